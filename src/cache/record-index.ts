/** Finding records of 32-bit numbers by some of them: a hash table of their places, without an object for each. @module */

/** Places of records by the hash of their keys. Room for a given number, doubled. */
export class RecordIndex {
  readonly #slots: Int32Array;
  readonly #mask: number;

  /** @param count records that will be added at most */
  constructor(count: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(2 * count, 16)));
    this.#slots = new Int32Array(size).fill(-1);
    this.#mask = size - 1;
  }

  /**
   * The first record that was added with this hash and is the one that is looked for.
   *
   * @returns -1 if there is none
   */
  find(hash: number, isIt: (record: number) => boolean): number {
    for (let at = mixed(hash) & this.#mask; ; at = (at + 1) & this.#mask) {
      const record = this.#slots[at] as number;
      if (record < 0 || isIt(record)) return record;
    }
  }

  add(hash: number, record: number): void {
    let at = mixed(hash) & this.#mask;
    while ((this.#slots[at] as number) >= 0) at = (at + 1) & this.#mask;
    this.#slots[at] = record;
  }
}

/** Inode numbers that follow each other must not fill neighbouring slots, nor may those of a hostile file all meet. */
function mixed(hash: number): number {
  let h = hash ^ SEED;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

const SEED = (Math.random() * 2 ** 32) >>> 0;
