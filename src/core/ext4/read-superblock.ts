/**
 * Reads a superblock of ext4, of which nothing is trusted: what is wrong, or not read here, is refused.
 * Defined by Linux: Documentation/filesystems/ext4/super.rst.
 * @module
 */
import { crc32c } from '../bytes/crc.ts';
import type { ImageSource } from '../erofs/image-source.ts';
import { malformed, SealtreeError } from '../errors.ts';
import {
  checksumSeed,
  INCOMPAT,
  RO_COMPAT,
  SUPERBLOCK_MAGIC,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
} from './format.ts';

/** What reading the rest needs to know. */
export interface ReadSuperblock {
  readonly blockSize: number;
  readonly blocks: number;
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  readonly inodesPerGroup: number;
  readonly inodes: number;
  readonly inodeSize: number;
  readonly descriptorSize: number;
  readonly firstMetaGroup: number | undefined;
  readonly sparse: boolean;
  readonly hasVerity: boolean;
  /** Undefined where the file system has no checksums. */
  readonly seed: number | undefined;
}

const META_BG = 0x10;
const MMP = 0x100;
const READABLE =
  INCOMPAT.filetype |
  INCOMPAT.extents |
  INCOMPAT.bit64 |
  INCOMPAT.flexBg |
  INCOMPAT.csumSeed |
  INCOMPAT.largedir |
  META_BG |
  MMP;

/** @throws SealtreeError `malformed` if it is none, `unsupported` if the file system has what is not read here */
export function readSuperblock(source: ImageSource): ReadSuperblock {
  const what = 'ext4 superblock';
  if (source.size < SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE) throw malformed(`${what}: disk is too small`);
  const data = new Uint8Array(source.read(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE));
  const view = new DataView(data.buffer);
  const u16 = (at: number) => view.getUint16(at, true);
  const u32 = (at: number) => view.getUint32(at, true);
  if (u16(0x38) !== SUPERBLOCK_MAGIC) throw malformed(`${what}: no magic number`);
  const incompat = u32(0x60);
  const readOnlyCompat = u32(0x64);
  const checksums = (readOnlyCompat & RO_COMPAT.metadataCsum) !== 0;
  if (checksums && crc32c(0xffffffff, data.subarray(0, 0x3fc)) !== u32(0x3fc))
    throw malformed(`${what}: wrong checksum`);
  if ((incompat & INCOMPAT.recover) !== 0)
    throw new SealtreeError(
      'unsupported',
      'the file system was not unmounted: its journal must be replayed first, by mounting it or by e2fsck',
    );
  const unknown = incompat & ~READABLE;
  if (unknown !== 0)
    throw new SealtreeError('unsupported', `${what}: unknown features 0x${(unknown >>> 0).toString(16)}`);
  const blockSize = 1024 * 2 ** u32(0x18);
  const is64 = (incompat & INCOMPAT.bit64) !== 0;
  const superblock: ReadSuperblock = {
    blockSize,
    blocks: u32(0x04) + (is64 ? u32(0x150) * 2 ** 32 : 0),
    firstDataBlock: u32(0x14),
    blocksPerGroup: u32(0x20),
    inodesPerGroup: u32(0x28),
    inodes: u32(0x00),
    inodeSize: u32(0x4c) === 0 ? 128 : u16(0x58),
    descriptorSize: is64 ? u16(0xfe) : 32,
    firstMetaGroup: (incompat & META_BG) === 0 ? undefined : u32(0x104),
    sparse: (readOnlyCompat & RO_COMPAT.sparseSuper) !== 0,
    hasVerity: (readOnlyCompat & RO_COMPAT.verity) !== 0,
    seed: checksums
      ? (incompat & INCOMPAT.csumSeed) !== 0
        ? u32(0x270)
        : checksumSeed(data.subarray(0x68, 0x78))
      : undefined,
  };
  check(superblock, source.size, what);
  return superblock;
}

function check(superblock: ReadSuperblock, size: number, what: string): void {
  const { blockSize, blocks, firstDataBlock, blocksPerGroup, inodesPerGroup, inodes } = superblock;
  const { inodeSize, descriptorSize } = superblock;
  const powerOfTwo = (value: number) => Number.isInteger(Math.log2(value));
  if (blockSize > 65536) throw malformed(`${what}: blocks of ${blockSize} bytes`);
  if (blocks * blockSize > size)
    throw malformed(`${what}: ${blocks} blocks of ${blockSize} bytes, the partition has ${size} bytes`);
  if (firstDataBlock > 1 || blocksPerGroup < 8 || blocksPerGroup > 8 * blockSize)
    throw malformed(`${what}: groups of ${blocksPerGroup} blocks`);
  const groups = Math.ceil((blocks - firstDataBlock) / blocksPerGroup);
  if (inodesPerGroup < 1 || inodesPerGroup > 8 * blockSize || inodes !== groups * inodesPerGroup)
    throw malformed(`${what}: ${inodes} inodes in ${groups} groups`);
  if (inodeSize < 128 || inodeSize > blockSize || !powerOfTwo(inodeSize))
    throw malformed(`${what}: inodes of ${inodeSize} bytes`);
  if (descriptorSize < 32 || descriptorSize > blockSize || !powerOfTwo(descriptorSize))
    throw malformed(`${what}: group descriptors of ${descriptorSize} bytes`);
}
