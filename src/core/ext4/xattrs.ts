/**
 * Extended attributes of ext4: in the inode behind its fields, or in a block of their own.
 * Defined by Linux: Documentation/filesystems/ext4/attributes.rst, fs/ext4/xattr.c; ACLs: fs/ext4/acl.h.
 * @module
 */
import {
  type ByteString,
  byteString,
  byteStringFrom,
  bytesOf,
  writeByteString,
} from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import type { Xattr } from '../fs/file-tree.ts';
import { XATTR_HEADER_SIZE, XATTR_MAGIC, XATTR_PREFIXES } from './format.ts';

interface Entry {
  readonly index: number;
  readonly name: ByteString;
  readonly value: Uint8Array;
}

const ENTRY_SIZE = 16;

/** No file that is mounted has more: it would not fit a block. */
const MAX_ENTRIES = 4096 / ENTRY_SIZE;

/**
 * Encodes attributes for the room behind an inode's fields.
 *
 * @param room bytes that the inode has for them
 * @returns undefined if they do not fit
 */
export function encodeInodeXattrs(xattrs: readonly Xattr[], room: number): Uint8Array | undefined {
  const entries = makeEntries(xattrs);
  if (4 + encodedSize(entries) > room) return undefined;
  const out = new Uint8Array(room);
  new DataView(out.buffer).setUint32(0, XATTR_MAGIC, true);
  // Offsets count from the first entry here; hashes are for those in blocks.
  writeEntries(out, 4, entries, 4, false);
  return out;
}

/**
 * Encodes attributes as a block, with everything but its checksum.
 *
 * @returns undefined if they do not fit
 */
export function encodeXattrBlock(xattrs: readonly Xattr[], blockSize: number): Uint8Array | undefined {
  const entries = makeEntries(xattrs);
  if (XATTR_HEADER_SIZE + encodedSize(entries) > blockSize) return undefined;
  const out = new Uint8Array(blockSize);
  const view = new DataView(out.buffer);
  view.setUint32(0, XATTR_MAGIC, true);
  view.setUint32(4, 1, true); // used by one inode
  view.setUint32(8, 1, true); // one block
  const hash = writeEntries(out, XATTR_HEADER_SIZE, entries, 0, true);
  view.setUint32(12, hash, true);
  return out;
}

/**
 * Decodes the attributes in an inode or in a block.
 *
 * @param data the whole room or block
 * @param first offset of the first entry
 * @param base what the offsets of values count from
 * @throws SealtreeError `malformed` for an entry or value that is not inside `data`, or a value in another inode
 */
export function decodeXattrs(data: Uint8Array, first: number, base: number, what: string): Xattr[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const xattrs: Xattr[] = [];
  for (let at = first; at + 4 <= data.length && view.getUint32(at, true) !== 0; ) {
    if (at + ENTRY_SIZE > data.length) throw malformed(`${what}: xattr entry at ${at} is cut off`);
    const nameLength = view.getUint8(at);
    const index = view.getUint8(at + 1);
    const start = base + view.getUint16(at + 2, true);
    const size = view.getUint32(at + 8, true);
    const next = at + ENTRY_SIZE + nameLength;
    if (view.getUint32(at + 4, true) !== 0)
      throw malformed(`${what}: xattr value in another inode is not supported`);
    if (next > data.length || start + size > data.length)
      throw malformed(`${what}: xattr entry at ${at} leads outside`);
    if (xattrs.length === MAX_ENTRIES) throw malformed(`${what}: too many xattrs`);
    const value = data.subarray(start, start + size);
    xattrs.push([
      byteString(prefixOf(index, what) + byteStringFrom(data, at + ENTRY_SIZE, next)),
      index === 2 || index === 3 ? aclFromDisk(value, what) : byteStringFrom(value),
    ]);
    at = next + padding(next);
  }
  return xattrs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function makeEntries(xattrs: readonly Xattr[]): Entry[] {
  const entries = xattrs.map(([key, value]): Entry => {
    const found = XATTR_PREFIXES.find(([, prefix]) => key.startsWith(prefix));
    if (found === undefined) throw malformed(`xattr ${key} is of no kind that ext4 has`);
    const [index, prefix] = found;
    const name = byteString(key.slice(prefix.length));
    if (name.length > 255) throw malformed(`xattr ${key.slice(0, 40)}…: name too long`);
    return { index, name, value: index === 2 || index === 3 ? aclToDisk(value) : bytesOf(value) };
  });
  return entries.sort(
    (a, b) =>
      a.index - b.index || a.name.length - b.name.length || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
}

/** Bytes of entries, the zeros that end them, and values. */
function encodedSize(entries: readonly Entry[]): number {
  const sizes = entries.map(
    ({ name, value }) =>
      ENTRY_SIZE + name.length + padding(name.length) + value.length + padding(value.length),
  );
  return sizes.reduce((sum, size) => sum + size, 4);
}

/** Entries from the front, values from the end. @returns the hash of them all, for a block's header */
function writeEntries(
  out: Uint8Array,
  first: number,
  entries: readonly Entry[],
  base: number,
  hashed: boolean,
): number {
  const view = new DataView(out.buffer);
  let at = first;
  let end = out.length;
  let hash = 0;
  for (const { index, name, value } of entries) {
    end -= value.length + padding(value.length);
    out.set(value, end);
    view.setUint8(at, name.length);
    view.setUint8(at + 1, index);
    view.setUint16(at + 2, value.length === 0 ? 0 : end - base, true);
    view.setUint32(at + 8, value.length, true);
    if (hashed) {
      const own = hashEntry(name, value);
      view.setUint32(at + 12, own, true);
      hash = ((hash << 16) ^ (hash >>> 16) ^ own) >>> 0;
    }
    writeByteString(out, at + ENTRY_SIZE, name);
    at += ENTRY_SIZE + name.length + padding(name.length);
  }
  return hash;
}

function hashEntry(name: ByteString, value: Uint8Array): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash << 5) ^ (hash >>> 27) ^ name.charCodeAt(i);
  const padded = new Uint8Array(value.length + padding(value.length));
  padded.set(value);
  const words = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += 4)
    hash = (hash << 16) ^ (hash >>> 16) ^ words.getUint32(at, true);
  return hash >>> 0;
}

function padding(length: number): number {
  return -length & 3;
}

function prefixOf(index: number, what: string): string {
  const found = XATTR_PREFIXES.find(([number]) => number === index);
  if (found === undefined) throw malformed(`${what}: xattr of unknown kind ${index}`);
  return found[1];
}

// ---- access control lists: user space sees version 2, the disk has version 1 without the numbers that mean nothing

const ACL_VERSION = 2;
const ACL_DISK_VERSION = 1;
const ACL_USER = 0x02;
const ACL_GROUP = 0x08;
const ACL_NO_ID = 0xffffffff;

function aclToDisk(value: ByteString): Uint8Array {
  const data = bytesOf(value);
  const view = new DataView(data.buffer);
  if (data.length < 4 || (data.length - 4) % 8 !== 0 || view.getUint32(0, true) !== ACL_VERSION)
    throw malformed('access control list is not of version 2');
  const out: number[] = [ACL_DISK_VERSION, 0, 0, 0];
  for (let at = 4; at < data.length; at += 8) {
    const tag = view.getUint16(at, true);
    const hasId = tag === ACL_USER || tag === ACL_GROUP;
    out.push(...data.subarray(at, at + (hasId ? 8 : 4)));
  }
  return Uint8Array.from(out);
}

function aclFromDisk(data: Uint8Array, what: string): ByteString {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length < 4 || view.getUint32(0, true) !== ACL_DISK_VERSION)
    throw malformed(`${what}: access control list of unknown version`);
  const entries: number[] = [];
  for (let at = 4; at < data.length; ) {
    if (at + 4 > data.length) throw malformed(`${what}: access control list is cut off`);
    const tag = view.getUint16(at, true);
    const hasId = tag === ACL_USER || tag === ACL_GROUP;
    if (hasId && at + 8 > data.length) throw malformed(`${what}: access control list is cut off`);
    entries.push(tag, view.getUint16(at + 2, true), hasId ? view.getUint32(at + 4, true) : ACL_NO_ID);
    at += hasId ? 8 : 4;
  }
  const out = new Uint8Array(4 + (entries.length / 3) * 8);
  const target = new DataView(out.buffer);
  target.setUint32(0, ACL_VERSION, true);
  for (let i = 0, at = 4; i < entries.length; i += 3, at += 8) {
    target.setUint16(at, entries[i] as number, true);
    target.setUint16(at + 2, entries[i + 1] as number, true);
    target.setUint32(at + 4, entries[i + 2] as number, true);
  }
  return byteStringFrom(out);
}
