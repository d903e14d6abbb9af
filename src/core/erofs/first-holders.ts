/**
 * Finds out which inode was the first to have a value, for values that are nearly all distinct. A Map of half a
 * million strings takes more time than everything else that is done with them; this one looks at eight characters,
 * which is enough for digests, and turns to a Map if they turn out to say too little.
 * @module
 */

/** Values that may lie in the way of one before the characters looked at count as badly spread. */
const MAX_STEPS = 64;

/** A table from values to the inodes that had them first. */
export class FirstHolders {
  readonly #value: (ino: number) => string;
  readonly #mask: number;
  /** Inode number + 1, 0 for a free slot. */
  readonly #holders: Int32Array;
  readonly #hashes: Int32Array;
  #all: Map<string, number> | undefined;

  /**
   * @param count how many values there will be at most
   * @param value the value of an inode that was given to `find`
   */
  constructor(count: number, value: (ino: number) => string) {
    const slots = 1 << (32 - Math.clz32(2 * count));
    this.#value = value;
    this.#mask = slots - 1;
    this.#holders = new Int32Array(slots);
    this.#hashes = new Int32Array(slots);
  }

  /** The inode that had `value` before; -1 if there is none, and `ino` is remembered as the first. */
  find(value: string, ino: number): number {
    if (this.#all !== undefined) return this.#findInMap(this.#all, value, ino);
    const hash = lastCharacters(value);
    let slot = hash & this.#mask;
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      const holder = (this.#holders[slot] as number) - 1;
      if (holder < 0) {
        this.#holders[slot] = ino + 1;
        this.#hashes[slot] = hash;
        return -1;
      }
      if (this.#hashes[slot] === hash && this.#value(holder) === value) return holder;
      slot = (slot + 1) & this.#mask;
    }
    this.#all = this.#toMap();
    return this.#findInMap(this.#all, value, ino);
  }

  #toMap(): Map<string, number> {
    const all = new Map<string, number>();
    for (const holder of this.#holders) if (holder > 0) all.set(this.#value(holder - 1), holder - 1);
    return all;
  }

  #findInMap(all: Map<string, number>, value: string, ino: number): number {
    const holder = all.get(value);
    if (holder !== undefined) return holder;
    all.set(value, ino);
    return -1;
  }
}

/** A hash of up to eight characters: the ends of paths and digests differ most. */
function lastCharacters(value: string): number {
  let hash = value.length;
  for (let at = value.length - 1; at >= 0 && at > value.length - 9; at--) {
    hash = Math.imul(hash ^ value.charCodeAt(at), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}
