/**
 * The on-disk numbers of composefs images: the composefs header, and the part of EROFS it uses
 * (Linux fs/erofs/erofs_fs.h). Little-endian throughout. A "slot" is the 32-byte unit of inode addresses.
 * @module
 */
import type { ByteString } from '../bytes/byte-string.ts';
import { byteString } from '../bytes/byte-string.ts';
import { xxh32 } from '../bytes/xxh32.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from '../fs/mode.ts';

export const BLOCK_SIZE = 4096;
export const BLOCK_BITS = 12;
export const SLOT_SIZE = 32;
/** Data that ends in a piece longer than this gets a whole block for it. */
export const MAX_TAIL = BLOCK_SIZE / 2;

/** The composefs header: 32 bytes at offset 0; the rest up to the superblock is zero. */
export const COMPOSEFS_MAGIC = 0xd078629a;
/** Version of the header, not of the format. */
export const COMPOSEFS_HEADER_VERSION = 1;
export const HEADER = { magic: 0, headerVersion: 4, flags: 8, formatVersion: 12 } as const;
/** Header flag: some inode has a POSIX ACL. */
export const FLAG_HAS_ACL = 1;
export const MAX_FORMAT_VERSION = 1;

/** The EROFS superblock: 128 bytes at offset 1024; fields not named here are zero. */
export const SUPERBLOCK_OFFSET = 1024;
export const SUPERBLOCK_SIZE = 128;
export const EROFS_MAGIC = 0xe0f5e1e2;
export const SUPERBLOCK = {
  magic: 0,
  featureCompat: 8,
  blockBits: 12,
  rootNid: 14,
  inodeCount: 16,
  buildTime: 24,
  buildTimeNsec: 32,
  blocks: 36,
  metaBlock: 40,
  xattrBlock: 44,
} as const;
/** EROFS_FEATURE_COMPAT_MTIME | EROFS_FEATURE_COMPAT_XATTR_FILTER. */
export const FEATURE_COMPAT = 6;
/** Where the first inode may stand. */
export const INODES_START = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE;

export const COMPACT_INODE_SIZE = 32;
export const EXTENDED_INODE_SIZE = 64;
export const COMPACT_INODE = {
  format: 0,
  xattrCount: 2,
  mode: 4,
  nlink: 6,
  size: 8,
  union: 16,
  ino: 20,
  uid: 24,
  gid: 26,
} as const;
export const EXTENDED_INODE = {
  format: 0,
  xattrCount: 2,
  mode: 4,
  size: 8,
  union: 16,
  ino: 20,
  uid: 24,
  gid: 28,
  mtime: 32,
  mtimeNsec: 40,
  nlink: 44,
} as const;

/** Data layouts, bits 1..3 of an inode's format field; bit 0 says extended. */
export const LAYOUT_PLAIN = 0;
export const LAYOUT_INLINE = 2;
export const LAYOUT_CHUNKS = 4;

/** The largest chunk is 2^43 bytes: 31 in the five bits that hold log2(chunk size) - 12. */
export const MAX_CHUNK_BITS = 43;
/** Chunks of a file that libcomposefs allows: their addresses fill one block. */
export const MAX_CHUNKS = 1024;
export const CHUNK_ADDRESS_SIZE = 4;

/** Header of an inode's xattr area: u32 name filter, u8 count of shared ids, 7 zero bytes. */
export const XATTR_AREA_HEADER_SIZE = 12;
/** u8 suffix length, u8 prefix index, u16 value length. */
export const XATTR_ENTRY_HEADER_SIZE = 4;
/** Shared ids of one inode; what is beyond stands inline. */
export const MAX_SHARED_XATTRS = 128;

export const DIRENT_SIZE = 12;

/** Type of an inode as a directory entry names it; 0 is none of the seven. */
export function direntType(mode: number): number {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 1;
    case S_IFDIR:
      return 2;
    case S_IFCHR:
      return 3;
    case S_IFBLK:
      return 4;
    case S_IFIFO:
      return 5;
    case S_IFSOCK:
      return 6;
    case S_IFLNK:
      return 7;
    default:
      return 0;
  }
}

/** Prefixes that an xattr entry names by number, in the order in which they are tried. */
const XATTR_PREFIXES: readonly (readonly [index: number, prefix: string])[] = [
  [1, 'user.'],
  [2, 'system.posix_acl_access'],
  [3, 'system.posix_acl_default'],
  [4, 'trusted.'],
  [6, 'security.'],
];

/** Splits an xattr key into prefix index and the suffix that is stored; index 0 stores the whole key. */
export function splitXattrKey(key: ByteString): { index: number; suffix: ByteString } {
  for (const [index, prefix] of XATTR_PREFIXES) {
    if (key.startsWith(prefix)) return { index, suffix: byteString(key.slice(prefix.length)) };
  }
  return { index: 0, suffix: key };
}

/** The prefix that an index stands for, also the `lustre.` that libcomposefs only reads; undefined if there is none. */
export function xattrPrefix(index: number): ByteString | undefined {
  if (index === 0) return byteString('');
  if (index === 5) return byteString('lustre.');
  const found = XATTR_PREFIXES.find(([known]) => known === index);
  return found === undefined ? undefined : byteString(found[1]);
}

const NAME_FILTER_SEED = 0x25bbe08f;

/** The bit that a key clears in the name filter of an inode that has it. */
export function nameFilterBit(index: number, suffix: ByteString): number {
  return xxh32(suffix, NAME_FILTER_SEED + index) & 31;
}

/** Names that overlayfs reads, and the escaped ones that stand for a file's own. */
export const OVERLAY_PREFIX = byteString('trusted.overlay.');
export const OVERLAY_ESCAPE_PREFIX = byteString('trusted.overlay.overlay.');
export const OVERLAY_METACOPY = byteString('trusted.overlay.metacopy');
export const OVERLAY_REDIRECT = byteString('trusted.overlay.redirect');
export const OVERLAY_OPAQUE = byteString('trusted.overlay.opaque');
export const ESCAPED_WHITEOUT = byteString('trusted.overlay.overlay.whiteout');
export const ESCAPED_WHITEOUTS = byteString('trusted.overlay.overlay.whiteouts');
export const ESCAPED_OPAQUE = byteString('trusted.overlay.overlay.opaque');
export const USER_WHITEOUT = byteString('user.overlay.whiteout');
export const USER_WHITEOUTS = byteString('user.overlay.whiteouts');
export const USER_OPAQUE = byteString('user.overlay.opaque');

/** Value of `trusted.overlay.metacopy` before the digest: version 0, 36 bytes, no flags, sha256. */
export const METACOPY_HEADER: readonly number[] = [0, 36, 0, 1];
