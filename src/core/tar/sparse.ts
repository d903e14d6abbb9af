/**
 * Which parts of a sparse file an archive holds: four formats.
 * Defined by GNU tar, "Storing Sparse Files" and "Basic Tar Format".
 * @module
 */
import { byteString } from '../bytes/byte-string.ts';
import { BLOCK, decodeNumber } from './header.ts';
import { decimal, type PaxRecords, SPARSE_MAP } from './pax.ts';

/** A part of a file that is in the archive; between parts are holes. */
export interface SparsePart {
  readonly offset: number;
  readonly length: number;
}

/** More parts than any real file has: each costs memory. */
export const MAX_PARTS = 1 << 20;

const ENTRY_SIZE = 24;
const NUMBER_SIZE = 12;
const HEADER = { parts: 386, count: 4, extended: 482, realSize: 483 } as const;
const EXTENSION = { parts: 0, count: 21, extended: 504 } as const;

/** The parts that a GNU header block or one that extends it lists, and whether another extends it. */
export interface PartsInBlock {
  readonly parts: readonly SparsePart[];
  readonly extended: boolean;
}

/** undefined if the numbers are none. */
export function partsInHeader(block: Uint8Array): (PartsInBlock & { size: number }) | undefined {
  const size = decodeNumber(block, HEADER.realSize, NUMBER_SIZE);
  const found = partsAt(block, HEADER);
  return size === undefined || found === undefined ? undefined : { ...found, size };
}

/** undefined if the numbers are none. */
export function partsInExtension(block: Uint8Array): PartsInBlock | undefined {
  return partsAt(block, EXTENSION);
}

function partsAt(
  block: Uint8Array,
  { parts: start, count, extended }: { parts: number; count: number; extended: number },
): PartsInBlock | undefined {
  const parts: SparsePart[] = [];
  for (let i = 0, at = start; i < count && block[at] !== 0; i++, at += ENTRY_SIZE) {
    const offset = decodeNumber(block, at, NUMBER_SIZE);
    const length = decodeNumber(block, at + NUMBER_SIZE, NUMBER_SIZE);
    if (offset === undefined || length === undefined) return undefined;
    parts.push({ offset, length });
  }
  return { parts, extended: block[extended] !== 0 };
}

/** Which of the pax formats the records of an entry are of: 0.0 and 0.1 have the map in them, 1.0 has it before the data. */
export function paxSparseFormat(records: PaxRecords): 'in records' | 'in data' | undefined {
  const major = records.get(byteString('GNU.sparse.major')) ?? '';
  const minor = records.get(byteString('GNU.sparse.minor')) ?? '';
  if (major === '0' && (minor === '0' || minor === '1')) return 'in records';
  if (major === '1' && minor === '0') return 'in data';
  if (major !== '' || minor !== '') return undefined;
  return (records.get(SPARSE_MAP) ?? '') === '' ? undefined : 'in records';
}

/** The map of formats 0.0 and 0.1; undefined if it is none. */
export function partsInRecords(records: PaxRecords): SparsePart[] | undefined {
  const count = decimal(records.get(byteString('GNU.sparse.numblocks')) ?? '');
  const map = records.get(SPARSE_MAP) ?? '';
  const numbers = map === '' ? [] : map.split(',');
  if (count === undefined || count > MAX_PARTS || numbers.length !== 2 * count) return undefined;
  return paired(numbers);
}

/** Reads the map of format 1.0, which comes in blocks before the data: decimal numbers, each with a newline. */
export class SparseMapReader {
  #text = '';
  #numbers: string[] = [];
  #wanted: number | undefined;

  /**
   * @param block 512 bytes
   * @returns whether the map needs another block; undefined if it is none
   */
  push(block: Uint8Array): boolean | undefined {
    this.#text += String.fromCharCode(...block.subarray(0, BLOCK));
    const lines = this.#text.split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) {
      if (this.#wanted === undefined) {
        const count = decimal(line);
        if (count === undefined || count < 0 || count > MAX_PARTS) return undefined;
        this.#wanted = 2 * count;
      } else if (this.#numbers.length < this.#wanted) this.#numbers.push(line);
    }
    const isDone = this.#wanted !== undefined && this.#numbers.length === this.#wanted;
    // No number is as long as a block.
    return !isDone && this.#text.length > BLOCK ? undefined : !isDone;
  }

  /** undefined if the numbers are none. */
  parts(): SparsePart[] | undefined {
    return paired(this.#numbers);
  }
}

function paired(numbers: readonly string[]): SparsePart[] | undefined {
  const parts: SparsePart[] = [];
  for (let i = 0; i < numbers.length; i += 2) {
    const offset = decimal(numbers[i] as string);
    const length = decimal(numbers[i + 1] as string);
    if (offset === undefined || length === undefined) return undefined;
    parts.push({ offset, length });
  }
  return parts;
}

/** Whether parts are in order, do not overlap, and end within a file of `size` bytes. */
export function areValidParts(parts: readonly SparsePart[], size: number): boolean {
  let end = 0;
  for (const { offset, length } of parts) {
    if (offset < end || length < 0 || offset + length > size) return false;
    end = offset + length;
  }
  return Number.isSafeInteger(size) && size >= 0;
}
