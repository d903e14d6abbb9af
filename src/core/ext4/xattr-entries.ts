/**
 * Entries of extended attributes and the two places that they stand in: an inode's end, and a block of their own.
 * In which order they stand and which name becomes which number is the caller's affair.
 * Defined by Linux: Documentation/filesystems/ext4/attributes.rst, fs/ext4/xattr.c.
 * @module
 */
import { type ByteString, byteStringFrom, writeByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import { XATTR_HEADER_SIZE, XATTR_MAGIC } from './format.ts';

export interface XattrEntry {
  /** What the beginning of the name became. */
  readonly index: number;
  /** The rest of it. */
  readonly name: ByteString;
  readonly value: Uint8Array;
}

/** Bytes of an entry before its name. */
export const XATTR_ENTRY_SIZE = 16;

/** No file that is mounted has more: it would not fit a block. */
const MAX_ENTRIES = 4096 / XATTR_ENTRY_SIZE;

/** What the kernel does not look at, in which writers differ. */
export interface XattrManner {
  /** Whether entries in an inode have a hash too. */
  readonly hashInInode: boolean;
  /** Whether a block has one of all its entries. */
  readonly hashOfBlock: boolean;
  /** Whether an empty value has a place. */
  readonly placeOfEmpty: boolean;
}

/** As the kernel itself writes them. */
export const KERNEL_MANNER: XattrManner = { hashInInode: false, hashOfBlock: true, placeOfEmpty: false };

/**
 * Encodes entries for the room behind an inode's fields.
 *
 * @param room bytes that the inode has for them
 * @returns undefined if they do not fit
 */
export function encodeEntriesInInode(
  entries: readonly XattrEntry[],
  room: number,
  manner: XattrManner,
): Uint8Array | undefined {
  if (4 + encodedSize(entries) > room) return undefined;
  const out = new Uint8Array(room);
  new DataView(out.buffer).setUint32(0, XATTR_MAGIC, true);
  // Offsets count from the first entry here.
  writeEntries(out, 4, entries, 4, manner.hashInInode, manner);
  return out;
}

/**
 * Encodes entries as a block, with everything but its checksum.
 *
 * @returns undefined if they do not fit
 */
export function encodeEntriesInBlock(
  entries: readonly XattrEntry[],
  blockSize: number,
  manner: XattrManner,
): Uint8Array | undefined {
  if (XATTR_HEADER_SIZE + encodedSize(entries) > blockSize) return undefined;
  const out = new Uint8Array(blockSize);
  const view = new DataView(out.buffer);
  view.setUint32(0, XATTR_MAGIC, true);
  view.setUint32(4, 1, true); // used by one inode
  view.setUint32(8, 1, true); // one block
  const hash = writeEntries(out, XATTR_HEADER_SIZE, entries, 0, true, manner);
  if (manner.hashOfBlock) view.setUint32(12, hash, true);
  return out;
}

/**
 * Decodes the entries in an inode or in a block.
 *
 * @param data the whole room or block
 * @param first offset of the first entry
 * @param base what the offsets of values count from
 * @throws SealtreeError `malformed` for an entry or value that is not inside `data`, or a value in another inode
 */
export function decodeEntries(data: Uint8Array, first: number, base: number, what: string): XattrEntry[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const entries: XattrEntry[] = [];
  for (let at = first; at + 4 <= data.length && view.getUint32(at, true) !== 0; ) {
    if (at + XATTR_ENTRY_SIZE > data.length) throw malformed(`${what}: xattr entry at ${at} is cut off`);
    const nameLength = view.getUint8(at);
    const index = view.getUint8(at + 1);
    const start = base + view.getUint16(at + 2, true);
    const size = view.getUint32(at + 8, true);
    const next = at + XATTR_ENTRY_SIZE + nameLength;
    if (view.getUint32(at + 4, true) !== 0)
      throw malformed(`${what}: xattr value in another inode is not supported`);
    if (next > data.length || start + size > data.length)
      throw malformed(`${what}: xattr entry at ${at} leads outside`);
    if (entries.length === MAX_ENTRIES) throw malformed(`${what}: too many xattrs`);
    const name = byteStringFrom(data, at + XATTR_ENTRY_SIZE, next);
    entries.push({ index, name, value: data.subarray(start, start + size) });
    at = next + xattrPadding(next);
  }
  return entries;
}

/** Zeros behind a name or value of this length. */
export function xattrPadding(length: number): number {
  return -length & 3;
}

/** Bytes of entries, the zeros that end them, and values. */
function encodedSize(entries: readonly XattrEntry[]): number {
  const sizes = entries.map(
    ({ name, value }) =>
      XATTR_ENTRY_SIZE + name.length + xattrPadding(name.length) + value.length + xattrPadding(value.length),
  );
  return sizes.reduce((sum, size) => sum + size, 4);
}

/** Entries from the front, values from the end. @returns the hash of them all, for a block's header */
function writeEntries(
  out: Uint8Array,
  first: number,
  entries: readonly XattrEntry[],
  base: number,
  hashed: boolean,
  { placeOfEmpty }: XattrManner,
): number {
  const view = new DataView(out.buffer);
  let at = first;
  let end = out.length;
  let hash = 0;
  for (const { index, name, value } of entries) {
    end -= value.length + xattrPadding(value.length);
    out.set(value, end);
    view.setUint8(at, name.length);
    view.setUint8(at + 1, index);
    view.setUint16(at + 2, value.length === 0 && !placeOfEmpty ? 0 : end - base, true);
    view.setUint32(at + 8, value.length, true);
    if (hashed) {
      const own = hashEntry(name, value);
      view.setUint32(at + 12, own, true);
      hash = ((hash << 16) ^ (hash >>> 16) ^ own) >>> 0;
    }
    writeByteString(out, at + XATTR_ENTRY_SIZE, name);
    at += XATTR_ENTRY_SIZE + name.length + xattrPadding(name.length);
  }
  return hash;
}

function hashEntry(name: ByteString, value: Uint8Array): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash << 5) ^ (hash >>> 27) ^ name.charCodeAt(i);
  const padded = new Uint8Array(value.length + xattrPadding(value.length));
  padded.set(value);
  const words = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += 4)
    hash = (hash << 16) ^ (hash >>> 16) ^ words.getUint32(at, true);
  return hash >>> 0;
}
