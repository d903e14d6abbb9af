/**
 * The order of the slots of GLib's hash table. A dictionary that went through a GVariantDict is written in it, so it
 * is part of a commit's bytes, hence of its checksum; and ostree goes through refs and objects in it.
 * Defined by GLib's implementation alone (string hash, open addressing with triangular probing, growth by 4/3);
 * the same in every release tried.
 * @module
 */
import type { ByteString } from '../bytes/byte-string.ts';

/** Largest prime below each power of two: the first slot is taken modulo this, not modulo the table's size. */
const PRIMES = [
  1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071, 262139, 524287,
  1048573, 2097143, 4194301, 8388593, 16777213, 33554393, 67108859, 134217689, 268435399, 536870909,
  1073741789, 2147483647,
];

const MIN_SHIFT = 3;

interface Node<T> {
  readonly key: ByteString;
  readonly hash: number;
  entry: T;
}

interface Table<T> {
  shift: number;
  slots: (Node<T> | undefined)[];
  count: number;
}

/**
 * Orders dictionary entries as a GVariantDict that they were inserted into gives them back.
 * A key that is there already gets the later value and keeps its place.
 *
 * @param entries `[key, …]` in order of insertion
 */
export function inDictOrder<T extends readonly [ByteString, ...unknown[]]>(entries: Iterable<T>): T[] {
  return inTableOrder(entries, stringHash);
}

/**
 * As {@link inDictOrder}, for a table with its own hash function.
 *
 * @param hashOf an entry's hash, of 32 bits; entries of the same key have the same
 */
export function inTableOrder<T extends readonly [ByteString, ...unknown[]]>(
  entries: Iterable<T>,
  hashOf: (key: ByteString, entry: T) => number,
): T[] {
  const table: Table<T> = { shift: MIN_SHIFT, slots: new Array(1 << MIN_SHIFT).fill(undefined), count: 0 };
  for (const entry of entries) insert(table, entry, hashOf(entry[0], entry) >>> 0);
  return table.slots.filter((node) => node !== undefined).map((node) => node.entry);
}

function insert<T extends readonly [ByteString, ...unknown[]]>(
  table: Table<T>,
  entry: T,
  fullHash: number,
): void {
  const [key] = entry;
  // 0 and 1 stand for empty and removed slots.
  const hash = Math.max(fullHash, 2);
  const mask = table.slots.length - 1;
  let at = firstSlot(table.shift, hash);
  for (let step = 1; ; step++) {
    const node = table.slots[at];
    if (node === undefined) break;
    if (node.hash === hash && node.key === key) {
      node.entry = entry;
      return;
    }
    at = (at + step) & mask;
  }
  table.slots[at] = { key, hash, entry };
  table.count++;
  if (table.slots.length <= table.count + Math.floor(table.count / 16)) grow(table);
}

/** Grows the table in place: nodes are moved slot by slot, a node that is in the way is moved next. */
function grow<T>(table: Table<T>): void {
  const wanted = Math.floor(table.count * 1.333);
  const oldSize = table.slots.length;
  table.shift = Math.max(MIN_SHIFT, 32 - Math.clz32(wanted));
  const size = 1 << table.shift;
  const { slots } = table;
  while (slots.length < size) slots.push(undefined);
  const settled: boolean[] = new Array(Math.max(size, oldSize)).fill(false);
  for (let i = 0; i < oldSize; i++) {
    if (settled[i]) continue;
    let node = slots[i];
    slots[i] = undefined;
    while (node !== undefined) {
      let at = firstSlot(table.shift, node.hash);
      for (let step = 1; settled[at]; step++) at = (at + step) & (size - 1);
      settled[at] = true;
      const evicted = slots[at];
      slots[at] = node;
      node = evicted;
    }
  }
  slots.length = size;
}

function firstSlot(shift: number, hash: number): number {
  return (Math.imul(hash, 11) >>> 0) % (PRIMES[shift] as number);
}

/** GLib's string hash; bytes are signed. */
export function stringHash(text: ByteString): number {
  let hash = 5381;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 33) + ((text.charCodeAt(i) << 24) >> 24)) | 0;
  return hash >>> 0;
}
