/**
 * The superblock of ext4: what the whole file system has and is. A copy of it differs in the number of its group.
 * Defined by Linux: Documentation/filesystems/ext4/super.rst.
 * @module
 */
import { type ByteString, byteString, writeByteString } from '../bytes/byte-string.ts';
import { crc32c } from '../bytes/crc.ts';
import { type Extent, encodeExtentRoot } from './extents.ts';
import {
  BLOCK_SIZE,
  BLOCKS_PER_GROUP,
  DESCRIPTOR_SIZE_64,
  FIRST_INODE,
  INCOMPAT,
  INODE_SIZE,
  JOURNAL_INODE,
  RO_COMPAT,
  SUPERBLOCK_MAGIC,
  SUPERBLOCK_SIZE,
} from './format.ts';

export interface SuperblockFields {
  readonly blocks: number;
  readonly freeBlocks: number;
  readonly inodes: number;
  readonly freeInodes: number;
  readonly inodesPerGroup: number;
  /** Number of the group that this copy stands in. */
  readonly group: number;
  /** Bits of `COMPAT`, `INCOMPAT` and `RO_COMPAT`. */
  readonly compat: number;
  readonly incompat: number;
  readonly roCompat: number;
  /** Bytes of fields in an inode behind the first 128. */
  readonly extraInodeSize: number;
  /** Seconds since 1970: when it was made. */
  readonly timestamp: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** At most 16 bytes. */
  readonly label: ByteString;
  /** Mounts after which it is checked; 0xffff for none. */
  readonly maxMounts: number;
  /** What it is mounted with unless told otherwise, `EXT4_DEFM_*`. */
  readonly mountOptions: number;
  /** 16 bytes that hashes of names begin with; undefined where no directory has an index. */
  readonly hashSeed: Uint8Array | undefined;
  /** Groups whose bitmaps and inodes stand together, as a power of two; 0 without `INCOMPAT.flexBg`. */
  readonly logGroupsPerFlex: number;
  /** Number of the inode; 0 for one that is found by its name. */
  readonly lostAndFound: number;
  readonly journal: { readonly extents: readonly Extent[]; readonly blocks: number } | undefined;
}

const CLEAN = 1;
const ERRORS_CONTINUE = 1;
const DYNAMIC_REVISION = 1;
const LOG_BLOCK_SIZE = 2; // 1024 << 2
const HALF_MD4 = 1;
const SIGNED_HASH = 1;
const JOURNAL_BACKUP = 1;
const CRC32C = 1;
const MAX_LABEL = 16;

/**
 * Encodes a superblock. Its checksum and the size of group descriptors follow from the features.
 *
 * @returns 1024 bytes
 */
export function encodeSuperblock(fields: SuperblockFields): Uint8Array {
  const { blocks, freeBlocks, timestamp, hashSeed, journal, roCompat } = fields;
  const out = new Uint8Array(SUPERBLOCK_SIZE);
  const view = new DataView(out.buffer);
  const u16 = (at: number, value: number) => view.setUint16(at, value, true);
  const u32 = (at: number, value: number) => view.setUint32(at, value, true);
  u32(0x00, fields.inodes);
  u32(0x04, blocks % 2 ** 32);
  u32(0x150, Math.floor(blocks / 2 ** 32));
  u32(0x0c, freeBlocks % 2 ** 32);
  u32(0x158, Math.floor(freeBlocks / 2 ** 32));
  u32(0x10, fields.freeInodes);
  u32(0x18, LOG_BLOCK_SIZE);
  u32(0x1c, LOG_BLOCK_SIZE);
  u32(0x20, BLOCKS_PER_GROUP);
  u32(0x24, BLOCKS_PER_GROUP);
  u32(0x28, fields.inodesPerGroup);
  u32(0x30, timestamp);
  u16(0x36, fields.maxMounts);
  u16(0x38, SUPERBLOCK_MAGIC);
  u16(0x3a, CLEAN);
  u16(0x3c, ERRORS_CONTINUE);
  u32(0x40, timestamp);
  u32(0x4c, DYNAMIC_REVISION);
  u32(0x54, FIRST_INODE);
  u16(0x58, INODE_SIZE);
  u16(0x5a, fields.group);
  u32(0x5c, fields.compat);
  u32(0x60, fields.incompat);
  u32(0x64, roCompat);
  out.set(fields.uuid, 0x68);
  writeByteString(out, 0x78, byteString(fields.label.slice(0, MAX_LABEL)));
  if (hashSeed !== undefined) {
    out.set(hashSeed, 0xec);
    out[0xfc] = HALF_MD4;
    u32(0x160, SIGNED_HASH);
  }
  u16(0xfe, fields.incompat & INCOMPAT.bit64 ? DESCRIPTOR_SIZE_64 : 0);
  u32(0x100, fields.mountOptions);
  u32(0x108, timestamp);
  if (journal !== undefined) {
    u32(0xe0, JOURNAL_INODE);
    out[0xfd] = JOURNAL_BACKUP;
    out.set(encodeExtentRoot(journal.extents, []), 0x10c);
    u32(0x10c + 64, journal.blocks * BLOCK_SIZE);
  }
  u16(0x15c, fields.extraInodeSize);
  u16(0x15e, fields.extraInodeSize);
  out[0x174] = fields.logGroupsPerFlex;
  u32(0x268, fields.lostAndFound);
  if (roCompat & RO_COMPAT.metadataCsum) {
    out[0x175] = CRC32C;
    u32(0x3fc, crc32c(0xffffffff, out.subarray(0, 0x3fc)));
  }
  return out;
}
