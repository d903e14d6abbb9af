/** Where compact file systems put extended attributes: as many as fit in the inode, the others in a block. @module */
import {
  byteString,
  byteStringFrom,
  bytesOf,
  compareByteStrings,
  displayByteString,
} from '../../bytes/byte-string.ts';
import { malformed, SealtreeError } from '../../errors.ts';
import type { Xattr } from '../../fs/file-tree.ts';
import { BLOCK_SIZE, INODE_SIZE, XATTR_HEADER_SIZE, XATTR_PREFIXES } from '../format.ts';
import {
  decodeEntries,
  encodeEntriesInBlock,
  encodeEntriesInInode,
  XATTR_ENTRY_SIZE,
  type XattrEntry,
  type XattrManner,
  xattrPadding,
} from '../xattr-entries.ts';
import { splitXattrKey } from '../xattrs.ts';

/** Bytes of fields in an inode behind the first 128. */
export const COMPACT_EXTRA_SIZE = 24;
const INODE_ROOM = INODE_SIZE - 128 - COMPACT_EXTRA_SIZE;
const MAGIC_SIZE = 4;
const END_SIZE = 4;
const MAX_NAME = 255;
/** Go sorts so few by insertion; more it sorts in an order that depends on more than which is less. */
const INSERTION_LIMIT = 12;

const MANNER: XattrManner = { hashInInode: true, hashOfBlock: false, placeOfEmpty: true };

export interface PlacedXattrs {
  readonly inInode: Uint8Array | undefined;
  /** undefined if a block is not needed. */
  readonly block: Uint8Array | undefined;
}

/**
 * Places attributes.
 *
 * @param xattrs distinct keys
 * @throws SealtreeError `malformed` in the words of compactext4 if they do not fit; `unsupported` if it puts them in an order
 *   that only its own sorting knows
 */
export function placeXattrs(xattrs: readonly Xattr[]): PlacedXattrs {
  const inInode: XattrEntry[] = [];
  const inBlock: XattrEntry[] = [];
  let inodeLeft = INODE_ROOM - MAGIC_SIZE - END_SIZE;
  let blockLeft = BLOCK_SIZE - XATTR_HEADER_SIZE - END_SIZE;
  for (const [key, value] of [...xattrs].sort(([a], [b]) => compareByteStrings(a, b))) {
    const { index, name } = splitXattrKey(key) ?? { index: 0, name: key };
    if (name.length > MAX_NAME)
      throw malformed(
        `xattr ${displayByteString(key)}: name of ${name.length} bytes, at most ${MAX_NAME} are possible`,
      );
    const size = XATTR_ENTRY_SIZE + padded(name.length) + padded(value.length);
    const entry = { index, name, value: bytesOf(value) };
    if (inodeLeft >= size) {
      inInode.push(entry);
      inodeLeft -= size;
    } else if (blockLeft >= size) {
      inBlock.push(entry);
      blockLeft -= size;
    } else throw malformed(`could not fit xattr ${displayByteString(key)}`);
  }
  return {
    inInode: inInode.length === 0 ? undefined : encodeEntriesInInode(inInode, INODE_ROOM, MANNER),
    block: inBlock.length === 0 ? undefined : encodeXattrBlock(sortEntries(inBlock)),
  };
}

/** A block of attributes; of none where an inode has a block that it needs no longer. */
export function encodeXattrBlock(entries: readonly XattrEntry[]): Uint8Array {
  return encodeEntriesInBlock(entries, BLOCK_SIZE, MANNER) as Uint8Array;
}

/** The attributes in the room of an inode, or in a block. An empty rest of a name hides those behind it. */
export function readXattrs(data: Uint8Array, where: 'inode' | 'block'): Xattr[] {
  const [first, base] = where === 'inode' ? [MAGIC_SIZE, MAGIC_SIZE] : [XATTR_HEADER_SIZE, 0];
  const entries = decodeEntries(data, first, base, 'xattrs');
  const end = entries.findIndex(({ name }) => name === '');
  return entries.slice(0, end < 0 ? entries.length : end).map(({ index, name, value }): Xattr => {
    const prefix = XATTR_PREFIXES.find(([number]) => number === index)?.[1] ?? '';
    return [byteString(prefix + name), byteStringFrom(value)];
  });
}

/** The order in a block, by a comparison that is none: an entry is less by its number, or its length, or its name. */
function sortEntries(entries: readonly XattrEntry[]): XattrEntry[] {
  const sorted = [...entries];
  if (sorted.length > INSERTION_LIMIT) {
    for (const [i, a] of sorted.entries()) {
      if (sorted.some((b, j) => i < j && isLess(a, b) && isLess(b, a)))
        throw new SealtreeError(
          'unsupported',
          `${sorted.length} xattrs of different kinds and lengths are in no order that could be told`,
        );
    }
    return sorted.sort((a, b) => (isLess(a, b) ? -1 : 1));
  }
  for (let i = 1; i < sorted.length; i++) {
    for (let j = i; j > 0 && isLess(sorted[j] as XattrEntry, sorted[j - 1] as XattrEntry); j--)
      [sorted[j - 1], sorted[j]] = [sorted[j] as XattrEntry, sorted[j - 1] as XattrEntry];
  }
  return sorted;
}

function isLess(a: XattrEntry, b: XattrEntry): boolean {
  return a.index < b.index || a.name.length < b.name.length || a.name < b.name;
}

function padded(length: number): number {
  return length + xattrPadding(length);
}
