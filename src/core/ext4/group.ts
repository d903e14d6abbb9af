/**
 * Groups of blocks: their descriptors and bitmaps.
 * Defined by Linux: Documentation/filesystems/ext4/group_descr.rst, bitmaps.rst.
 * @module
 */
import { crc32c } from '../bytes/crc.ts';
import { DESCRIPTOR_SIZE_64, groupChecksum } from './format.ts';

export interface GroupFields {
  readonly number: number;
  /** Blocks of the disk. */
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
  readonly freeBlocks: number;
  readonly freeInodes: number;
  readonly directories: number;
  /** Inodes at the end of the table that were never used. */
  readonly unusedInodes: number;
  /** `EXT4_BG_*`. */
  readonly flags: number;
}

/** What the checksums of a group are made of, where the file system has any. */
export interface GroupChecksums {
  /** As `checksumSeed` makes it. */
  readonly seed: number;
  /** A bit for each block and each inode of the group. */
  readonly blocks: Uint8Array;
  readonly inodes: Uint8Array;
}

/**
 * Encodes the descriptor of a group.
 *
 * @param size 64 bytes with the feature `bit64`, 32 without
 */
export function encodeGroupDescriptor(
  fields: GroupFields,
  size: number,
  checksums: GroupChecksums | undefined,
): Uint8Array {
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  const isLong = size >= DESCRIPTOR_SIZE_64;
  const place = (low: number, high: number, block: number) => {
    view.setUint32(low, block % 2 ** 32, true);
    if (isLong) view.setUint32(high, Math.floor(block / 2 ** 32), true);
  };
  const count = (low: number, high: number, value: number) => {
    view.setUint16(low, value & 0xffff, true);
    if (isLong) view.setUint16(high, value >>> 16, true);
  };
  place(0x00, 0x20, fields.blockBitmap);
  place(0x04, 0x24, fields.inodeBitmap);
  place(0x08, 0x28, fields.inodeTable);
  count(0x0c, 0x2c, fields.freeBlocks);
  count(0x0e, 0x2e, fields.freeInodes);
  count(0x10, 0x30, fields.directories);
  view.setUint16(0x12, fields.flags, true);
  count(0x1c, 0x32, fields.unusedInodes);
  if (checksums !== undefined) {
    const { seed, blocks, inodes } = checksums;
    count(0x18, 0x38, crc32c(seed, blocks));
    count(0x1a, 0x3a, crc32c(seed, inodes));
    view.setUint16(0x1e, groupChecksum(seed, fields.number, out), true);
  }
  return out;
}

/** A bitmap whose bits are set up to `used` and from `end` on. @param bits all that it has, a multiple of 8 */
export function encodeBitmap(used: number, end: number, bits: number): Uint8Array {
  const out = new Uint8Array(bits / 8);
  const set = (from: number, to: number) => {
    let bit = from;
    for (; bit < to && bit % 8 !== 0; bit++) out[bit >>> 3] = (out[bit >>> 3] as number) | (1 << (bit & 7));
    const whole = Math.floor((to - bit) / 8);
    if (whole > 0) out.fill(0xff, bit >>> 3, (bit >>> 3) + whole);
    for (bit += whole * 8; bit < to; bit++) out[bit >>> 3] = (out[bit >>> 3] as number) | (1 << (bit & 7));
  };
  set(0, used);
  set(end, bits);
  return out;
}
