/**
 * Where everything of an image goes: which form an inode has, what of its data stands behind it and what in blocks
 * of its own, and which slots and blocks those are.
 * @module
 */
import { roundUp } from '../bytes/align.ts';
import type { Inode } from '../fs/file-tree.ts';
import {
  BLOCK_BITS,
  BLOCK_SIZE,
  CHUNK_ADDRESS_SIZE,
  COMPACT_INODE_SIZE,
  EXTENDED_INODE_SIZE,
  INODES_START,
  MAX_CHUNK_BITS,
  MAX_CHUNKS,
  MAX_TAIL,
  SLOT_SIZE,
} from './format.ts';
import { type InodeOrder, isWhiteout, throwFirstFault } from './order.ts';
import { type ImageXattrs, isExternal } from './xattrs.ts';

export interface Placement {
  /** By inode number: address of the inode in slots. A double: images may be larger than 4 GiB. */
  readonly nids: Float64Array;
  /** By inode number: whether the 64-byte form is needed. */
  readonly extended: Uint8Array;
  /** By inode number: bytes of data directly behind the inode. */
  readonly tails: Uint16Array;
  /** By inode number: data blocks. */
  readonly blockCounts: Uint32Array;
  readonly inodesEnd: number;
  readonly dataStart: number;
  readonly blocks: number;
}

/** Sizes in `number` or, above 2^53, `bigint`. */
type Size = number | bigint;

/** Gives every inode its number and its place, as libcomposefs does; what cannot be placed is among the faults of `order`. */
export function placeInodes(order: InodeOrder, xattrs: ImageXattrs): Placement {
  const { faults } = order;
  const count = order.inodes.length;
  const nids = new Float64Array(count);
  const extended = new Uint8Array(count);
  const tails = new Uint16Array(count);
  const blockCounts = new Uint32Array(count);
  let at = INODES_START;
  let dataBlocks = 0;
  let directory = 0;
  for (let ino = 0; ino < count; ino++) {
    const inode = order.inodes[ino] as Inode;
    const type = order.types[ino] as number;
    let size: Size = inode.size;
    let links = inode.nlink;
    let tail = 0;
    let blocks = 0;
    switch (type) {
      case 1:
        if (isExternal(inode)) {
          const chunks = chunksOf(size);
          if (chunks !== undefined) tail = chunks.count * CHUNK_ADDRESS_SIZE;
          else
            faults.push({
              ino,
              message: 'File too large',
              reason: `size is ${size}, the most is ${2 ** 53}`,
            });
        } else if (isWhiteout(inode)) {
          size = 0;
        } else if (inode.content) {
          const rest = inode.content.length % BLOCK_SIZE;
          tail = rest <= MAX_TAIL ? rest : 0;
          blocks = Math.floor(inode.content.length / BLOCK_SIZE) + (rest <= MAX_TAIL ? 0 : 1);
        }
        break;
      case 2:
        blocks = order.directoryBlocks[directory] as number;
        tail = order.directoryTails[directory] as number;
        links = order.directoryLinks[directory++] as number;
        size = directorySize(blocks, tail);
        break;
      case 7:
        size = tail = inode.payload?.length ?? 0;
        break;
    }
    const compact =
      inode.mtimeNsec === order.minMtimeNsec &&
      inode.mtimeSec === order.minMtimeSec &&
      links <= 0xffff &&
      inode.uid <= 0xffff &&
      inode.gid <= 0xffff &&
      size <= 0xffffffff;
    extended[ino] = compact ? 0 : 1;

    at = roundUp(at, SLOT_SIZE);
    const fixed = (compact ? COMPACT_INODE_SIZE : EXTENDED_INODE_SIZE) + (xattrs.areaSizes[ino] as number);
    if (type === 7) {
      const total = fixed + tail;
      if (total >= BLOCK_SIZE) {
        blocks = 1;
        tail = 0;
      }
      // The whole of a symlink is wanted in one block, also when its target has just been moved out.
      if (Math.floor(at / BLOCK_SIZE) !== Math.floor((at + total - 1) / BLOCK_SIZE)) {
        at = roundUp(at, BLOCK_SIZE);
      }
    } else if (tail > 0) {
      const room = BLOCK_SIZE - ((at + fixed) % BLOCK_SIZE);
      if (room < tail) {
        const shift = roundUp(room, SLOT_SIZE);
        if (tail <= BLOCK_SIZE - ((at + fixed + shift) % BLOCK_SIZE)) {
          at += shift;
        } else {
          blocks++;
          tail = 0;
          at = roundUp(at, BLOCK_SIZE);
        }
      }
    }
    tails[ino] = tail;
    blockCounts[ino] = blocks;
    nids[ino] = at / SLOT_SIZE;
    at += fixed + tail;
    dataBlocks += blocks;
  }
  throwFirstFault(order);
  const inodesEnd = roundUp(at, SLOT_SIZE);
  const dataStart = roundUp(inodesEnd + xattrs.sharedSize, BLOCK_SIZE);
  return {
    nids,
    extended,
    tails,
    blockCounts,
    inodesEnd,
    dataStart,
    blocks: dataStart / BLOCK_SIZE + dataBlocks,
  };
}

/** Bytes of a directory in so many whole blocks and a tail. */
export function directorySize(blocks: number, tail: number): number {
  return blocks * BLOCK_SIZE + tail;
}

/**
 * How a file outside the image is cut into chunks, none of which has an address.
 *
 * @returns undefined if there are more than libcomposefs allows
 */
export function chunksOf(size: Size): { bits: number; count: number } | undefined {
  if (typeof size === 'bigint') {
    // Rounding up to a chunk wraps around 2^64 in libcomposefs: the largest sizes have no chunk at all.
    return size > (1n << 64n) - (1n << BigInt(MAX_CHUNK_BITS))
      ? { bits: MAX_CHUNK_BITS, count: 0 }
      : undefined;
  }
  const bits = Math.min(Math.max(bitsOf(size - 1), BLOCK_BITS), MAX_CHUNK_BITS);
  const count = bits < MAX_CHUNK_BITS ? 1 : Math.ceil(size / 2 ** MAX_CHUNK_BITS);
  return count > MAX_CHUNKS ? undefined : { bits, count };
}

/** Binary digits of a number below 2^53. */
function bitsOf(value: number): number {
  return value < 0x100000000 ? 32 - Math.clz32(value) : 64 - Math.clz32(Math.floor(value / 0x100000000));
}
