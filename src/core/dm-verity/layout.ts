/**
 * What a dm-verity device is made of, and where its Merkle tree lies on the hash device.
 * Defined by the kernel: Documentation/admin-guide/device-mapper/verity.rst; the messages are cryptsetup's.
 * @module
 */
import { malformed, type SealtreeError } from '../errors.ts';
import { type BlockRule, levelCounts, levelOffsets, type TreeShape } from '../verity/merkle.ts';

/** The two ways to hash and pack: 0 as Chrome OS did first, 1 as everybody does since. */
export type HashType = 0 | 1;

/** What the hashes of a device depend on. */
export interface DmVerityParameters {
  readonly hashType: HashType;
  /** As users and the superblock write it. */
  readonly algorithm: string;
  readonly digestSize: number;
  /** Bytes, a power of two. */
  readonly dataBlockSize: number;
  /** Bytes of a block of the tree, a power of two. */
  readonly hashBlockSize: number;
  readonly dataBlocks: number;
  /** At most 256 bytes. */
  readonly salt: Uint8Array;
}

/** One level of the tree: its blocks lie behind each other. */
export interface TreeLevel {
  /** Byte offset on the hash device. */
  readonly start: number;
  /** Blocks. */
  readonly count: number;
}

export interface DmVerityLayout {
  /** Level 0, which holds the hashes of the data, first. None for one block of data: its hash is the root. */
  readonly levels: readonly TreeLevel[];
  /** Byte offset on the hash device of the level of one block, which is first. */
  readonly start: number;
  /** Where the tree ends. */
  readonly end: number;
}

export const SUPERBLOCK_SIZE = 512;
export const MIN_BLOCK_SIZE = 512;
export const MAX_BLOCK_SIZE = 512 * 1024;
export const MAX_SALT_SIZE = 256;

const NOTHING = new Uint8Array(0);

export function isBlockSize(size: number): boolean {
  return size >= MIN_BLOCK_SIZE && size <= MAX_BLOCK_SIZE && Number.isInteger(Math.log2(size));
}

/** How a block of data is hashed. */
export function dataRule(parameters: DmVerityParameters): BlockRule {
  return ruleFor(parameters, parameters.dataBlockSize);
}

/** How a block of the tree is hashed. */
export function treeRule(parameters: DmVerityParameters): BlockRule {
  return ruleFor(parameters, parameters.hashBlockSize);
}

/** How hashes are packed: type 1 gives each a power of two, type 0 leaves no gaps; a block has a power of two of them. */
export function dmVerityShape({ hashType, digestSize, hashBlockSize }: DmVerityParameters): TreeShape {
  const fanOut = 2 ** Math.floor(Math.log2(hashBlockSize / digestSize));
  const slotSize = hashType === 0 ? digestSize : 2 ** Math.ceil(Math.log2(digestSize));
  return { blockSize: hashBlockSize, digestSize, slotSize, fanOut };
}

/**
 * Where the tree is.
 *
 * @param hashOffset bytes: of the superblock, a multiple of 512, or without one of the tree
 * @param hasSuperblock the tree begins at the block boundary behind it; without it, at the one before the offset
 * @throws SealtreeError `malformed` if there is no block of data, or more than anything has room for
 */
export function dmVerityLayout(
  parameters: DmVerityParameters,
  hashOffset: number,
  hasSuperblock: boolean,
): DmVerityLayout {
  const { dataBlocks, dataBlockSize, hashBlockSize } = parameters;
  if (dataBlocks === 0) throw malformed('Hash area overflow.');
  const start = hasSuperblock
    ? Math.ceil((hashOffset + SUPERBLOCK_SIZE) / hashBlockSize) * hashBlockSize
    : Math.floor(hashOffset / hashBlockSize) * hashBlockSize;
  if (!Number.isSafeInteger(dataBlocks * dataBlockSize)) throw overflow();
  const counts = levelCounts(dataBlocks, dmVerityShape(parameters).fanOut);
  const offsets = levelOffsets(counts, hashBlockSize);
  const size = counts.reduce((sum, count) => sum + count, 0) * hashBlockSize;
  if (!Number.isSafeInteger(start + size)) throw overflow();
  const levels = counts.map((count, level) => ({ start: start + (offsets[level] as number), count }));
  return { levels, start, end: start + size };
}

function overflow(): SealtreeError {
  return malformed('Device offset overflow.');
}

function ruleFor(
  { hashType, algorithm, digestSize, salt }: DmVerityParameters,
  blockSize: number,
): BlockRule {
  const [saltBefore, saltAfter] = hashType === 0 ? [NOTHING, salt] : [salt, NOTHING];
  return { algorithm, digestSize, blockSize, saltBefore, saltAfter };
}
