/**
 * The parts of ext4 that a root file system with fs-verity needs: offsets, flags and checksums.
 * Defined by Linux: Documentation/filesystems/ext4, fs/ext4/ext4.h, fs/ext4/verity.c.
 * @module
 */
import { crc32c } from '../bytes/crc.ts';

/** The only block size written: the kernel's page on every machine that boots these disks. */
export const BLOCK_SIZE = 4096;
export const BLOCKS_PER_GROUP = 8 * BLOCK_SIZE;
export const INODE_SIZE = 256;
export const DESCRIPTOR_SIZE = 32;
export const DESCRIPTOR_SIZE_64 = 64;

/** Where the superblock begins, whatever the size of a block. */
export const SUPERBLOCK_OFFSET = 1024;
export const SUPERBLOCK_SIZE = 1024;
export const SUPERBLOCK_MAGIC = 0xef53;

export const ROOT_INODE = 2;
export const JOURNAL_INODE = 8;
export const FIRST_INODE = 11;

export const COMPAT = { hasJournal: 0x4, extAttr: 0x8, dirIndex: 0x20, sparseSuper2: 0x200 } as const;
export const INCOMPAT = {
  filetype: 0x2,
  recover: 0x4,
  extents: 0x40,
  bit64: 0x80,
  flexBg: 0x200,
  csumSeed: 0x2000,
  largedir: 0x4000,
} as const;
export const RO_COMPAT = {
  sparseSuper: 0x1,
  largeFile: 0x2,
  hugeFile: 0x8,
  dirNlink: 0x20,
  extraIsize: 0x40,
  metadataCsum: 0x400,
  readonly: 0x1000,
  verity: 0x8000,
} as const;

export const INODE_FLAG = {
  immutable: 0x10,
  index: 0x1000,
  hugeFile: 0x40000,
  extents: 0x80000,
  verity: 0x100000,
  inlineData: 0x10000000,
} as const;

/** Offsets in an inode. */
export const INODE = {
  mode: 0x00,
  uidLow: 0x02,
  sizeLow: 0x04,
  accessed: { low: 0x08, extra: 0x8c },
  changed: { low: 0x0c, extra: 0x84 },
  modified: { low: 0x10, extra: 0x88 },
  gidLow: 0x18,
  links: 0x1a,
  blocks: 0x1c,
  flags: 0x20,
  block: 0x28,
  generation: 0x64,
  xattrBlock: 0x68,
  sizeHigh: 0x6c,
  uidHigh: 0x78,
  gidHigh: 0x7a,
  checksumLow: 0x7c,
  extraSize: 0x80,
  checksumHigh: 0x82,
  created: { low: 0x90, extra: 0x94 },
} as const;

/** What stands behind the first 128 bytes of an inode before its xattrs. */
export const EXTRA_INODE_SIZE = 32;
/** What an inode has for extents, a short target or a device number. */
export const INODE_BODY_SIZE = 60;
export const XATTR_MAGIC = 0xea020000;
/** Bytes of the header of a block of xattrs. */
export const XATTR_HEADER_SIZE = 32;

export const EXTENT_MAGIC = 0xf30a;
/** Blocks of one extent; more mean an extent that is allocated but not written. */
export const EXTENT_MAX_LENGTH = 32768;
/** Entries in the 60 bytes of an inode, and in a block with the checksum behind them. */
export const EXTENTS_IN_INODE = 4;
export const EXTENTS_IN_BLOCK = Math.floor((BLOCK_SIZE - 12) / 12);

/** A symlink shorter than this stands in the inode. */
export const FAST_SYMLINK_LIMIT = 60;

/** The Merkle tree of a file begins at the first multiple of this behind its end. */
export const VERITY_ALIGNMENT = 65536;

/** The end of a directory block: an entry for no inode that holds the checksum. */
export const DIRECTORY_TAIL_SIZE = 12;
export const DIRECTORY_TAIL_TYPE = 0xde;

/** `FT_*` of a directory entry by the type bits of a mode, shifted right by 12. */
export const FILE_TYPE: Readonly<Record<number, number>> = {
  8: 1,
  4: 2,
  2: 3,
  6: 4,
  1: 5,
  12: 6,
  10: 7,
};

/** Begins of names that an xattr entry has as a number; the whole name where the rest is empty. */
export const XATTR_PREFIXES: readonly (readonly [index: number, prefix: string])[] = [
  [2, 'system.posix_acl_access'],
  [3, 'system.posix_acl_default'],
  [8, 'system.richacl'],
  [1, 'user.'],
  [4, 'trusted.'],
  [6, 'security.'],
  [7, 'system.'],
];

const word = new Uint8Array(8);
const wordView = new DataView(word.buffer);

/** What the checksums of a file system begin with: the CRC-32C of its UUID. */
export function checksumSeed(uuid: Uint8Array): number {
  return crc32c(0xffffffff, uuid);
}

/** What the checksums of what belongs to an inode begin with. */
export function inodeSeed(seed: number, inode: number, generation: number): number {
  wordView.setUint32(0, inode, true);
  wordView.setUint32(4, generation, true);
  return crc32c(seed, word);
}

/** The checksum of an inode, whose own two halves of it count as zeros. */
export function inodeChecksum(seed: number, number: number, inode: Uint8Array): number {
  const view = new DataView(inode.buffer, inode.byteOffset, inode.byteLength);
  const copy = new Uint8Array(inode);
  copy.fill(0, INODE.checksumLow, INODE.checksumLow + 2);
  if (inode.length > 128) copy.fill(0, INODE.checksumHigh, INODE.checksumHigh + 2);
  return crc32c(inodeSeed(seed, number, view.getUint32(INODE.generation, true)), copy);
}

/** The checksum of a group descriptor: 16 bits, at 0x1e of it. */
export function groupChecksum(seed: number, group: number, descriptor: Uint8Array): number {
  wordView.setUint32(0, group, true);
  const copy = new Uint8Array(descriptor);
  copy.fill(0, 0x1e, 0x20);
  return crc32c(crc32c(seed, word.subarray(0, 4)), copy) & 0xffff;
}

/** The checksum of a block of xattrs, whose own field of it, at 0x10, counts as zeros. */
export function xattrBlockChecksum(seed: number, block: number, data: Uint8Array): number {
  wordView.setUint32(0, block % 2 ** 32, true);
  wordView.setUint32(4, Math.floor(block / 2 ** 32), true);
  const copy = new Uint8Array(data);
  copy.fill(0, 0x10, 0x14);
  return crc32c(crc32c(seed, word), copy);
}

/** Whether a group has a copy of the superblock and the descriptors: 0, 1 and the powers of 3, 5 and 7. */
export function hasBackup(group: number): boolean {
  return group <= 1 || [3, 5, 7].some((base) => isPower(group, base));
}

function isPower(value: number, base: number): boolean {
  let power = base;
  while (power < value) power *= base;
  return power === value;
}
