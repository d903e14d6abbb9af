/**
 * Extended attributes of ext4: in the inode behind its fields, or in a block of their own.
 * Defined by Linux: Documentation/filesystems/ext4/attributes.rst, fs/ext4/xattr.c.
 * @module
 */
import { byteString, byteStringFrom, bytesOf } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import type { Xattr } from '../fs/file-tree.ts';
import { aclFromDisk, aclToDisk } from './acl.ts';
import { XATTR_PREFIXES } from './format.ts';
import {
  encodeEntriesInBlock,
  encodeEntriesInInode,
  XATTR_ENTRY_SIZE,
  type XattrEntry,
  xattrPadding,
} from './xattr-entries.ts';

/** No file that is mounted has more: it would not fit a block. */
const MAX_ENTRIES = 4096 / XATTR_ENTRY_SIZE;

/**
 * Encodes attributes for the room behind an inode's fields.
 *
 * @param room bytes that the inode has for them
 * @returns undefined if they do not fit
 * @throws SealtreeError `malformed` for an attribute that ext4 cannot have
 */
export function encodeInodeXattrs(xattrs: readonly Xattr[], room: number): Uint8Array | undefined {
  return encodeEntriesInInode(makeEntries(xattrs), room);
}

/**
 * Encodes attributes as a block, with everything but its checksum.
 *
 * @returns undefined if they do not fit
 * @throws SealtreeError `malformed` for an attribute that ext4 cannot have
 */
export function encodeXattrBlock(xattrs: readonly Xattr[], blockSize: number): Uint8Array | undefined {
  return encodeEntriesInBlock(makeEntries(xattrs), blockSize);
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
    if (xattrs.length === MAX_ENTRIES) throw malformed(`${what}: too many xattrs`);
    const value = data.subarray(start, start + size);
    xattrs.push([
      byteString(prefixOf(index, what) + byteStringFrom(data, at + XATTR_ENTRY_SIZE, next)),
      index === 2 || index === 3 ? aclFromDisk(value, what) : byteStringFrom(value),
    ]);
    at = next + xattrPadding(next);
  }
  return xattrs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function makeEntries(xattrs: readonly Xattr[]): XattrEntry[] {
  const entries = xattrs.map(([key, value]): XattrEntry => {
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

function prefixOf(index: number, what: string): string {
  const found = XATTR_PREFIXES.find(([number]) => number === index);
  if (found === undefined) throw malformed(`${what}: xattr of unknown kind ${index}`);
  return found[1];
}
