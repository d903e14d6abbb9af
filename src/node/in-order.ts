/** Results that come in any order, taken in that of their places. @module */

/**
 * @param take gets result 0, 1, 2 … as soon as all before it have come
 * @returns to be called with every result and its place, once each
 */
export function inOrder<T>(take: (result: T) => void): (place: number, result: T) => void {
  const early = new Map<number, T>();
  let next = 0;
  return (place, result) => {
    early.set(place, result);
    for (; early.has(next); next++) {
      const ready = early.get(next) as T;
      early.delete(next);
      take(ready);
    }
  };
}
