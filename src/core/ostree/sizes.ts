/**
 * The metadata value `ostree.sizes`: how large each object of a commit is, compressed and not; GVariant `aay`.
 * An entry is the checksum (32 bytes), both sizes as base-128 numbers (low bits first), and the kind of object.
 * Defined by ostree's source.
 * @module
 */
import { bytesFromHex, hexOf } from '../bytes/hex.ts';
import { malformed, SealtreeError } from '../errors.ts';
import type { Variant } from '../gvariant/value.ts';
import type { Commit } from './commit.ts';
import { lookup, SIZES_KEY } from './metadata.ts';
import { OBJECT_TYPES, type ObjectType, objectTypeNumber } from './objects.ts';

export interface ObjectSize {
  readonly checksum: string;
  readonly type: ObjectType;
  /** Bytes of the object in an archive repository. */
  readonly archived: bigint;
  /** Bytes of the content, or of the metadata object. */
  readonly unpacked: bigint;
}

const SIZES_TYPE = 'aay';

/** The value; entries in any order, one for each checksum. */
export function sizesValue(entries: readonly ObjectSize[]): Variant {
  const sorted = [...entries].sort((a, b) => (a.checksum < b.checksum ? -1 : 1));
  return { type: SIZES_TYPE, value: sorted.map(encodeEntry) };
}

/**
 * The sizes that a commit carries, in the order in which they are stored.
 *
 * @throws SealtreeError `missing` if it carries none (a value of another type counts as none), `malformed` if an
 *   entry is cut short
 */
export function objectSizes({ metadata }: Pick<Commit, 'metadata'>): ObjectSize[] {
  const found = lookup(metadata, SIZES_KEY);
  if (found?.type !== SIZES_TYPE)
    throw new SealtreeError('missing', `No metadata key ${SIZES_KEY} in commit`);
  return (found.value as Uint8Array[]).map(decodeEntry);
}

function encodeEntry({ checksum, type, archived, unpacked }: ObjectSize): Uint8Array {
  return Uint8Array.from([
    ...bytesFromHex(checksum, 'checksum'),
    ...encodeNumber(archived),
    ...encodeNumber(unpacked),
    objectTypeNumber(type),
  ]);
}

function encodeNumber(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return bytes;
}

function decodeEntry(data: Uint8Array): ObjectSize {
  if (data.length < 34) throw malformed(`${SIZES_KEY}: entry has ${data.length} bytes, expected at least 34`);
  const archived = decodeNumber(data, 32);
  const unpacked = decodeNumber(data, archived.end);
  // Commits of before 2020 have no kind, and list files only.
  const kind = data[unpacked.end] ?? 1;
  const type = OBJECT_TYPES[kind - 1];
  if (type === undefined) throw malformed(`Unexpected ostree.sizes object type ${kind}`);
  return {
    checksum: hexOf(data.subarray(0, 32)),
    type,
    archived: archived.value,
    unpacked: unpacked.value,
  };
}

/** Bytes of the longest number that fits 64 bits. */
const MAX_NUMBER_SIZE = 10;

function decodeNumber(data: Uint8Array, start: number): { value: bigint; end: number } {
  let value = 0n;
  for (let count = 0; count < MAX_NUMBER_SIZE; count++) {
    const byte = data[start + count];
    if (byte === undefined) break;
    value |= BigInt(byte & 0x7f) << BigInt(7 * count);
    if (byte < 0x80) return { value: BigInt.asUintN(64, value), end: start + count + 1 };
  }
  throw malformed('Unexpected EOF reading ostree.sizes varint');
}
