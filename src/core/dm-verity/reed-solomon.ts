/**
 * Reed–Solomon codes over bytes, as dm-verity's error correction has them: RS(255, 255 − roots), field polynomial 0x11d,
 * roots of the generator α⁰ … α^(roots−1).
 * Defined by the kernel: Documentation/admin-guide/device-mapper/verity.rst, `fec_roots`; drivers/md/dm-verity-fec.h.
 * @module
 */

export const CODEWORD_SIZE = 255;

const FIELD_POLYNOMIAL = 0x11d;

/** Powers of α, twice in a row so that a sum of two logarithms needs no remainder; and logarithms to it. */
const EXP = new Uint8Array(2 * CODEWORD_SIZE);
const LOG = new Uint8Array(256);
for (let i = 0, value = 1; i < CODEWORD_SIZE; i++) {
  EXP[i] = value;
  EXP[i + CODEWORD_SIZE] = value;
  LOG[value] = i;
  value <<= 1;
  if (value > 255) value ^= FIELD_POLYNOMIAL;
}

const multiply = (a: number, b: number): number =>
  a === 0 || b === 0 ? 0 : (EXP[(LOG[a] as number) + (LOG[b] as number)] as number);

/** a divided by b, which is not 0. */
const divide = (a: number, b: number): number =>
  a === 0 ? 0 : (EXP[(LOG[a] as number) + CODEWORD_SIZE - (LOG[b] as number)] as number);

/**
 * Computes the parity of many codewords at once, that lie in columns: a row holds one byte of each. Rows come one
 * after the other, and each row takes one pass over 32-bit words, four bytes of parity in each.
 */
export class ParityColumns {
  readonly #roots: number;
  readonly #words: Uint32Array[];
  readonly #tables: Uint32Array[];
  readonly #feedback: Uint8Array;
  readonly #zeros: Uint32Array;

  /** @param columns codewords at most */
  constructor(roots: number, columns: number) {
    this.#roots = roots;
    const count = Math.ceil(roots / 4);
    this.#words = Array.from({ length: count }, () => new Uint32Array(columns));
    this.#tables = feedbackTables(roots, count);
    this.#feedback = new Uint8Array(columns);
    this.#zeros = new Uint32Array(columns);
  }

  reset(): void {
    for (const word of this.#words) word.fill(0);
  }

  /** Takes the next byte of the first `row.length` codewords. */
  addRow(row: Uint8Array): void {
    const [first, second] = this.#words as [Uint32Array, Uint32Array | undefined];
    const table = this.#tables[0] as Uint32Array;
    if (second === undefined) {
      for (let i = 0; i < row.length; i++) {
        const word = first[i] as number;
        first[i] = (word << 8) ^ (table[(word >>> 24) ^ (row[i] as number)] as number);
      }
      return;
    }
    // Word by word, each with the feedback of the old first one, which changes on the way.
    const feedback = this.#feedback;
    for (let i = 0; i < row.length; i++) feedback[i] = ((first[i] as number) >>> 24) ^ (row[i] as number);
    for (const [w, words] of this.#words.entries()) {
      const ownTable = this.#tables[w] as Uint32Array;
      const next = this.#words[w + 1] ?? this.#zeros;
      for (let i = 0; i < row.length; i++) {
        const carry = (next[i] as number) >>> 24;
        words[i] = ((words[i] as number) << 8) ^ carry ^ (ownTable[feedback[i] as number] as number);
      }
    }
  }

  /** Writes the parity of the first `columns` codewords, those of one behind each other. */
  writeTo(target: Uint8Array, columns: number): void {
    const roots = this.#roots;
    for (let k = 0; k < roots; k++) {
      const words = this.#words[k >> 2] as Uint32Array;
      const shift = 24 - 8 * (k & 3);
      for (let i = 0; i < columns; i++) target[i * roots + k] = (words[i] as number) >>> shift;
    }
  }
}

/**
 * Corrects a codeword in place.
 *
 * @param codeword 255 bytes, parity last
 * @returns how many bytes were wrong; undefined if more than can be corrected
 */
export function correct(codeword: Uint8Array, roots: number): number | undefined {
  const syndromes = syndromesOf(codeword, roots);
  if (syndromes.every((syndrome) => syndrome === 0)) return 0;
  const locator = errorLocator(syndromes);
  let degree = roots;
  while (locator[degree] === 0) degree--;
  const places = rootsOf(locator, degree);
  if (places.length !== degree) return undefined;
  const evaluator = syndromes
    .slice(0, degree)
    .map((_, i) =>
      Array.from({ length: i + 1 }, (_, j) => multiply(syndromes[i - j] as number, locator[j] ?? 0)).reduce(
        add,
        0,
      ),
    );
  for (const place of places) {
    // Forney: the place's power of α is x; the first root of the generator is α⁰, so x stays as a factor.
    const inverse = (CODEWORD_SIZE - place) % CODEWORD_SIZE;
    const numerator = evaluate(evaluator, inverse);
    const derivative = evaluate(
      locator.slice(1).map((coefficient, i) => (i % 2 === 0 ? coefficient : 0)),
      inverse,
    );
    const at = CODEWORD_SIZE - 1 - place;
    const error = multiply(divide(numerator, derivative), EXP[place] as number);
    codeword[at] = (codeword[at] as number) ^ error;
  }
  return places.length;
}

const add = (a: number, b: number): number => a ^ b;

/** By feedback byte what it adds to each word of parity, which has its first byte on top. */
function feedbackTables(roots: number, words: number): Uint32Array[] {
  // Coefficients of the generator, the lowest first; the highest is 1.
  let generator = [1];
  for (let i = 0; i < roots; i++) {
    const next = [0, ...generator];
    for (const [j, coefficient] of generator.entries()) {
      next[j] = (next[j] as number) ^ multiply(coefficient, EXP[i] as number);
    }
    generator = next;
  }
  return Array.from({ length: words }, (_, w) =>
    Uint32Array.from({ length: 256 }, (_, feedback) => {
      let word = 0;
      for (let k = 4 * w; k < Math.min(roots, 4 * w + 4); k++) {
        word |= multiply(feedback, generator[roots - 1 - k] as number) << (24 - 8 * (k & 3));
      }
      return word >>> 0;
    }),
  );
}

function syndromesOf(codeword: Uint8Array, roots: number): number[] {
  return Array.from({ length: roots }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < CODEWORD_SIZE; j++) sum = multiply(sum, EXP[i] as number) ^ (codeword[j] as number);
    return sum;
  });
}

/** Berlekamp and Massey: the shortest recurrence that the syndromes have, lowest coefficient first. */
function errorLocator(syndromes: readonly number[]): number[] {
  const size = syndromes.length + 1;
  let locator = [1, ...new Array<number>(size - 1).fill(0)];
  let previous = locator;
  let errors = 0;
  for (let r = 1; r < size; r++) {
    let discrepancy = 0;
    for (let i = 0; i < r; i++) discrepancy ^= multiply(locator[i] as number, syndromes[r - 1 - i] as number);
    const shifted = [0, ...previous.slice(0, size - 1)];
    if (discrepancy === 0) {
      previous = shifted;
      continue;
    }
    const next = locator.map((coefficient, i) => coefficient ^ multiply(discrepancy, shifted[i] as number));
    if (2 * errors <= r - 1) {
      errors = r - errors;
      previous = locator.map((coefficient) => divide(coefficient, discrepancy));
    } else previous = shifted;
    locator = next;
  }
  return locator;
}

/** Which powers of α have an inverse that is a root: the places of the errors, counted from the end of the codeword. */
function rootsOf(locator: readonly number[], degree: number): number[] {
  const places: number[] = [];
  for (let place = 0; place < CODEWORD_SIZE && places.length < degree; place++) {
    if (evaluate(locator, (CODEWORD_SIZE - place) % CODEWORD_SIZE) === 0) places.push(place);
  }
  return places;
}

/** The value of a polynomial at a power of α. */
function evaluate(coefficients: readonly number[], power: number): number {
  let sum = 0;
  for (const [i, coefficient] of coefficients.entries()) {
    if (coefficient !== 0) sum ^= EXP[((LOG[coefficient] as number) + power * i) % CODEWORD_SIZE] as number;
  }
  return sum;
}
