/**
 * What a commit says of the sizes of its objects: metadata key `ostree.sizes`, an array of byte arrays, each a
 * checksum, two variable-length numbers (7 bits a byte, lowest first) and the kind of object.
 * Defined by ostree's repository format.
 * @module
 */
import { hexOf } from '../bytes/hex.ts';
import { malformed, SealtreeError } from '../errors.ts';
import type { Commit } from './commit.ts';
import { lookup, SIZES_KEY } from './metadata.ts';
import { OBJECT_TYPES, type ObjectType } from './objects.ts';

export interface ObjectSizes {
  readonly checksum: string;
  readonly type: ObjectType;
  /** Bytes in an archive repository. */
  readonly archived: bigint;
  /** Bytes of content, or of the metadata object. */
  readonly unpacked: bigint;
}

/**
 * The sizes that a commit carries.
 *
 * @throws SealtreeError `missing` if it carries none, `malformed` if an entry is cut short
 */
export function objectSizes(commit: Pick<Commit, 'metadata'>): ObjectSizes[] {
  const found = lookup(commit.metadata, SIZES_KEY);
  if (found?.type !== 'aay') throw new SealtreeError('missing', `No metadata key ${SIZES_KEY} in commit`);
  return (found.value as Uint8Array[]).map(readEntry);
}

function readEntry(entry: Uint8Array): ObjectSizes {
  if (entry.length < 34) throw malformed(`Unexpected EOF reading ${SIZES_KEY} varint`);
  const [archived, second] = readNumber(entry, 32);
  const [unpacked, end] = readNumber(entry, second);
  // Commits of old have no kind: only files were counted.
  const kind = entry[end] ?? 1;
  const type = OBJECT_TYPES[kind - 1];
  if (type === undefined) throw malformed(`Unexpected ${SIZES_KEY} object type ${kind}`);
  return { checksum: hexOf(entry.subarray(0, 32)), type, archived, unpacked };
}

/** @returns the number and the offset behind it */
function readNumber(data: Uint8Array, start: number): [bigint, number] {
  let value = 0n;
  for (let at = start, shift = 0n; shift < 70n; at++, shift += 7n) {
    const byte = data[at];
    if (byte === undefined) break;
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return [BigInt.asUintN(64, value), at + 1];
  }
  throw malformed(`Unexpected EOF reading ${SIZES_KEY} varint`);
}
