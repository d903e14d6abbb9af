/**
 * The tree of a file's extents: its root in the inode, and blocks of leaves where the inode has no room for them.
 * Defined by Linux: Documentation/filesystems/ext4/ifork.rst, "Extent Tree".
 * @module
 */
import { crc32c } from '../bytes/crc.ts';
import { BLOCK_SIZE, EXTENT_MAGIC, EXTENTS_IN_BLOCK, EXTENTS_IN_INODE, INODE_BODY_SIZE } from './format.ts';

/** Blocks of a file that lie behind each other on the disk as well. */
export interface Extent {
  /** Block of the file. */
  readonly logical: number;
  /** Block of the disk. */
  readonly physical: number;
  readonly length: number;
}

const HEADER_SIZE = 12;
const ENTRY_SIZE = 12;

/**
 * Encodes the root of a tree.
 *
 * @param extents all of the file, in the order of its blocks
 * @param blocks blocks of the disk that hold them, `EXTENTS_IN_BLOCK` each; none if they stand in the root itself
 * @returns the 60 bytes that an inode has for it
 */
export function encodeExtentRoot(extents: readonly Extent[], blocks: readonly number[]): Uint8Array {
  const out = new Uint8Array(INODE_BODY_SIZE);
  const view = new DataView(out.buffer);
  if (blocks.length === 0) {
    writeLeaves(view, extents, EXTENTS_IN_INODE);
    return out;
  }
  writeHeader(view, blocks.length, EXTENTS_IN_INODE, 1);
  blocks.forEach((physical, i) => {
    const entry = HEADER_SIZE + ENTRY_SIZE * i;
    view.setUint32(entry, (extents[i * EXTENTS_IN_BLOCK] as Extent).logical, true);
    view.setUint32(entry + 4, physical % 2 ** 32, true);
    view.setUint16(entry + 8, Math.floor(physical / 2 ** 32), true);
  });
  return out;
}

/**
 * Encodes a block of leaves.
 *
 * @param extents at most `EXTENTS_IN_BLOCK`
 * @param seed as `inodeSeed` makes it; undefined where the file system has no checksums
 */
export function encodeExtentBlock(extents: readonly Extent[], seed: number | undefined): Uint8Array {
  const out = new Uint8Array(BLOCK_SIZE);
  const view = new DataView(out.buffer);
  writeLeaves(view, extents, EXTENTS_IN_BLOCK);
  const tail = HEADER_SIZE + ENTRY_SIZE * EXTENTS_IN_BLOCK;
  if (seed !== undefined) view.setUint32(tail, crc32c(seed, out.subarray(0, tail)), true);
  return out;
}

function writeHeader(view: DataView, count: number, max: number, depth: number): void {
  view.setUint16(0, EXTENT_MAGIC, true);
  view.setUint16(2, count, true);
  view.setUint16(4, max, true);
  view.setUint16(6, depth, true);
}

function writeLeaves(view: DataView, extents: readonly Extent[], max: number): void {
  writeHeader(view, extents.length, max, 0);
  extents.forEach(({ logical, physical, length }, i) => {
    const entry = HEADER_SIZE + ENTRY_SIZE * i;
    view.setUint32(entry, logical, true);
    view.setUint16(entry + 4, length, true);
    view.setUint16(entry + 6, Math.floor(physical / 2 ** 32), true);
    view.setUint32(entry + 8, physical % 2 ** 32, true);
  });
}
