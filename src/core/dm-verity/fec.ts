/**
 * Forward error correction of dm-verity: which bytes make a codeword, and their parity on the FEC device. What is covered,
 * data and then the rest of the hash device from the tree on, is cut into as many rows as a codeword has bytes of data;
 * a codeword takes one byte of each, so that a row of damaged blocks costs every codeword a byte at most.
 * Defined by the kernel: Documentation/admin-guide/device-mapper/verity.rst, drivers/md/dm-verity-fec.c; the messages are
 * cryptsetup's.
 * @module
 */
import { malformed, SealtreeError } from '../errors.ts';
import type { DmVerityParameters } from './layout.ts';
import { CODEWORD_SIZE, correct, ParityColumns } from './reed-solomon.ts';

export interface FecGeometry {
  /** Bytes of parity in a codeword. */
  readonly roots: number;
  readonly blockSize: number;
  /** Bytes that are covered; what lacks in the last row counts as zeros. */
  readonly covered: number;
  /** Bytes of a row, which is the number of codewords. */
  readonly rowSize: number;
}

/** Reads what is covered, or parity, at an offset; false if it ends before `target` is full. */
export type ReadCovered = (offset: number, target: Uint8Array) => boolean;

export const MIN_FEC_ROOTS = 2;
export const MAX_FEC_ROOTS = 24;

/** Codewords at once. Their state, four bytes for four roots, fits a processor's first cache about. */
const STRIP = 16384;

/**
 * @param blocks blocks of data and of the hash device that are covered
 * @throws SealtreeError `malformed` for parameters that the kernel does not take
 */
export function fecGeometry(
  { dataBlockSize, hashBlockSize }: Pick<DmVerityParameters, 'dataBlockSize' | 'hashBlockSize'>,
  blocks: number,
  roots: number,
): FecGeometry {
  if (dataBlockSize !== hashBlockSize) throw malformed('Block sizes must match for FEC.');
  if (roots < MIN_FEC_ROOTS || roots > MAX_FEC_ROOTS) throw malformed('Invalid number of parity bytes.');
  const rounds = Math.ceil(blocks / (CODEWORD_SIZE - roots));
  return {
    roots,
    blockSize: dataBlockSize,
    covered: blocks * dataBlockSize,
    rowSize: rounds * dataBlockSize,
  };
}

/** Bytes of parity. */
export function paritySize({ rowSize, roots }: FecGeometry): number {
  return rowSize * roots;
}

/**
 * Computes the parity of all that is covered.
 *
 * @param write gets it piece by piece, each valid during the call
 */
export function encodeFec(
  geometry: FecGeometry,
  read: ReadCovered,
  write: (parity: Uint8Array) => void,
): void {
  const parity = new Uint8Array(STRIP * geometry.roots);
  eachStrip(geometry, read, (_start, columns, codewords) => {
    codewords.writeTo(parity, columns);
    write(parity.subarray(0, columns * geometry.roots));
  });
}

/**
 * Looks whether what is covered could be repaired.
 *
 * @param readParity by offset in the parity
 * @param onError hears where in what is covered a byte is wrong, and what it should be
 * @returns how many bytes are wrong
 * @throws SealtreeError `mismatch` if some codeword has more wrong bytes than can be corrected
 */
export function checkFec(
  geometry: FecGeometry,
  read: ReadCovered,
  readParity: ReadCovered,
  onError: (offset: number, value: number) => void = () => {},
): number {
  const { roots, blockSize, rowSize } = geometry;
  const rows = CODEWORD_SIZE - roots;
  const computed = new Uint8Array(STRIP * roots);
  const stored = new Uint8Array(STRIP * roots);
  const row = new Uint8Array(STRIP);
  let errors = 0;
  eachStrip(geometry, read, (start, columns, parity) => {
    parity.writeTo(computed, columns);
    const found = stored.subarray(0, columns * roots);
    if (!readParity(start * roots, found)) {
      throw new SealtreeError('io', `Failed to read parity for RS block ${Math.floor(start / blockSize)}.`);
    }
    const wrong = wrongColumns(computed, found, roots);
    if (wrong.length === 0) return;
    const codewords = wrong.map(() => new Uint8Array(CODEWORD_SIZE));
    for (let i = 0; i < rows; i++) {
      const piece = row.subarray(0, columns);
      readRow(geometry, read, i, start, piece);
      for (const [j, column] of wrong.entries()) (codewords[j] as Uint8Array)[i] = piece[column] as number;
    }
    for (const [j, column] of wrong.entries()) {
      const codeword = codewords[j] as Uint8Array;
      codeword.set(found.subarray(column * roots, (column + 1) * roots), rows);
      const before = codeword.slice();
      const corrected = correct(codeword, roots);
      if (corrected === undefined) {
        const round = Math.floor((start + column) / blockSize);
        throw new SealtreeError('mismatch', `Failed to repair parity for block ${round}.`);
      }
      errors += corrected;
      for (let i = 0; i < rows; i++) {
        if (codeword[i] !== before[i]) onError(i * rowSize + start + column, codeword[i] as number);
      }
    }
  });
  return errors;
}

/** Takes all codewords in strips, whose rows come one after the other, and gives each strip with its parity computed. */
function eachStrip(
  geometry: FecGeometry,
  read: ReadCovered,
  take: (start: number, columns: number, parity: ParityColumns) => void,
): void {
  const { roots, rowSize } = geometry;
  const parity = new ParityColumns(roots, STRIP);
  const row = new Uint8Array(STRIP);
  for (let start = 0; start < rowSize; start += STRIP) {
    const columns = Math.min(STRIP, rowSize - start);
    parity.reset();
    for (let i = 0; i < CODEWORD_SIZE - roots; i++) {
      const piece = row.subarray(0, columns);
      readRow(geometry, read, i, start, piece);
      parity.addRow(piece);
    }
    take(start, columns, parity);
  }
}

function readRow(
  { rowSize, covered, blockSize }: FecGeometry,
  read: ReadCovered,
  row: number,
  start: number,
  target: Uint8Array,
): void {
  const at = row * rowSize + start;
  const length = Math.max(0, Math.min(target.length, covered - at));
  target.fill(0, length);
  if (length === 0 || read(at, target.subarray(0, length))) return;
  throw new SealtreeError('io', `Failed to read RS block ${Math.floor(start / blockSize)} byte ${row}.`);
}

function wrongColumns(computed: Uint8Array, stored: Uint8Array, roots: number): number[] {
  const wrong: number[] = [];
  for (let at = 0; at < stored.length; at++) {
    if (computed[at] === stored[at]) continue;
    const column = Math.floor(at / roots);
    wrong.push(column);
    at = (column + 1) * roots - 1;
  }
  return wrong;
}
