/**
 * Extended attributes of ext4: in the inode behind its fields, or in a block of their own.
 * Defined by Linux: Documentation/filesystems/ext4/attributes.rst, fs/ext4/xattr.c.
 * @module
 */
import {
  type ByteString,
  byteString,
  byteStringFrom,
  bytesOf,
  displayByteString,
} from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import type { Xattr } from '../fs/file-tree.ts';
import { aclFromDisk, aclToDisk } from './acl.ts';
import { XATTR_PREFIXES } from './format.ts';
import {
  decodeEntries,
  encodeEntriesInBlock,
  encodeEntriesInInode,
  KERNEL_MANNER,
  type XattrEntry,
} from './xattr-entries.ts';

/**
 * Encodes attributes for the room behind an inode's fields.
 *
 * @param room bytes that the inode has for them
 * @returns undefined if they do not fit
 * @throws SealtreeError `malformed` for an attribute that ext4 cannot have
 */
export function encodeInodeXattrs(xattrs: readonly Xattr[], room: number): Uint8Array | undefined {
  return encodeEntriesInInode(makeEntries(xattrs), room, KERNEL_MANNER);
}

/**
 * Encodes attributes as a block, with everything but its checksum.
 *
 * @returns undefined if they do not fit
 * @throws SealtreeError `malformed` for an attribute that ext4 cannot have
 */
export function encodeXattrBlock(xattrs: readonly Xattr[], blockSize: number): Uint8Array | undefined {
  return encodeEntriesInBlock(makeEntries(xattrs), blockSize, KERNEL_MANNER);
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
  const xattrs = decodeEntries(data, first, base, what).map(
    ({ index, name, value }): Xattr => [
      byteString(prefixOf(index, what) + name),
      index === 2 || index === 3 ? aclFromDisk(value, what) : byteStringFrom(value),
    ],
  );
  return xattrs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function makeEntries(xattrs: readonly Xattr[]): XattrEntry[] {
  const entries = xattrs.map(([key, value]): XattrEntry => {
    const found = splitXattrKey(key);
    if (found === undefined) throw malformed(`xattr ${displayByteString(key)} is of no kind that ext4 has`);
    const { index, name } = found;
    if (name.length > 255)
      throw malformed(`xattr ${displayByteString(byteString(key.slice(0, 40)))}…: name too long`);
    return { index, name, value: index === 2 || index === 3 ? aclToDisk(value) : bytesOf(value) };
  });
  return entries.sort(
    (a, b) =>
      a.index - b.index || a.name.length - b.name.length || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
}

/** A key as the number that its beginning becomes and the rest of it; undefined if ext4 has no number for it. */
export function splitXattrKey(key: ByteString): Pick<XattrEntry, 'index' | 'name'> | undefined {
  const found = XATTR_PREFIXES.find(([, prefix]) => key.startsWith(prefix));
  return found && { index: found[0], name: byteString(key.slice(found[1].length)) };
}

function prefixOf(index: number, what: string): string {
  const found = XATTR_PREFIXES.find(([number]) => number === index);
  if (found === undefined) throw malformed(`${what}: xattr of unknown kind ${index}`);
  return found[1];
}
