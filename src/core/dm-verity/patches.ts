/** Corrected bytes of something that is not changed itself, to look at it as it would be. @module */

/** More are not kept: some thousand blocks of which nothing is right. */
const MAX_PATCHES = 1 << 22;

export class Patches {
  #offsets: number[] = [];
  #values: number[] = [];
  #isSorted = true;

  /** @returns false if there are too many */
  add(offset: number, value: number): boolean {
    if (this.#offsets.length === MAX_PATCHES) return false;
    this.#offsets.push(offset);
    this.#values.push(value);
    this.#isSorted = false;
    return true;
  }

  /** Puts the bytes right that are in `data`, which begins at `start`. */
  apply(start: number, data: Uint8Array): void {
    for (let i = this.#firstFrom(start); i < this.#offsets.length; i++) {
      const at = (this.#offsets[i] as number) - start;
      if (at >= data.length) return;
      data[at] = this.#values[i] as number;
    }
  }

  /** Which blocks from `start` to `end` have a byte that is to be put right: where they begin. */
  *blocks(start: number, end: number, blockSize: number): Generator<number> {
    for (let i = this.#firstFrom(start); i < this.#offsets.length; ) {
      const block = Math.floor((this.#offsets[i] as number) / blockSize) * blockSize;
      if (block >= end) return;
      yield block;
      i = this.#firstFrom(block + blockSize);
    }
  }

  #firstFrom(offset: number): number {
    this.#sort();
    let low = 0;
    for (let high = this.#offsets.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((this.#offsets[middle] as number) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #sort(): void {
    if (this.#isSorted) return;
    const order = this.#offsets.map((_, i) => i);
    order.sort((a, b) => (this.#offsets[a] as number) - (this.#offsets[b] as number));
    this.#values = order.map((i) => this.#values[i] as number);
    this.#offsets = order.map((i) => this.#offsets[i] as number);
    this.#isSorted = true;
  }
}
