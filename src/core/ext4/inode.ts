/**
 * Inodes: what a file is, besides its names and its content.
 * Defined by Linux: Documentation/filesystems/ext4/inodes.rst.
 * @module
 */
import { type ByteString, writeByteString } from '../bytes/byte-string.ts';
import { INODE, INODE_BODY_SIZE, INODE_SIZE, inodeChecksum } from './format.ts';

export interface InodeFields {
  /** `st_mode` with the type bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  readonly links: number;
  /** All blocks that are the file's, in 512 bytes; in blocks of the file system with `INODE_FLAG.hugeFile`. */
  readonly blocks: number;
  /** Bits of `INODE_FLAG`. */
  readonly flags: number;
  /** 60 bytes: extents, the target of a symlink, or the number of a device. */
  readonly body: Uint8Array;
  /** Block of the disk; 0 for none. */
  readonly xattrBlock: number;
  readonly accessed: InodeTime;
  readonly changed: InodeTime;
  readonly modified: InodeTime;
  readonly created: InodeTime;
  /** Bytes of fields behind the first 128. */
  readonly extraSize: number;
  /** What stands behind the fields. */
  readonly xattrs: Uint8Array | undefined;
}

/** A time in its two words. */
export interface InodeTime {
  /** Seconds since 1970, the low 32 bits. */
  readonly low: number;
  /** Two more bits of them, nanoseconds above. */
  readonly extra: number;
}

/**
 * Encodes an inode.
 *
 * @param checksum number of the inode and what `checksumSeed` makes; undefined where the file system has no checksums
 * @param out 256 zeros to write to
 * @returns `out`
 */
export function encodeInode(
  fields: InodeFields,
  checksum: { readonly seed: number; readonly number: number } | undefined,
  out: Uint8Array = new Uint8Array(INODE_SIZE),
): Uint8Array {
  const { uid, gid, size, blocks, xattrBlock, extraSize } = fields;
  const view = new DataView(out.buffer, out.byteOffset, INODE_SIZE);
  view.setUint16(INODE.mode, fields.mode, true);
  view.setUint16(INODE.uidLow, uid & 0xffff, true);
  view.setUint32(INODE.sizeLow, size % 2 ** 32, true);
  view.setUint16(INODE.gidLow, gid & 0xffff, true);
  view.setUint16(INODE.links, fields.links, true);
  view.setUint32(INODE.blocks, blocks % 2 ** 32, true);
  view.setUint32(INODE.flags, fields.flags, true);
  out.set(fields.body, INODE.block);
  view.setUint32(INODE.xattrBlock, xattrBlock % 2 ** 32, true);
  view.setUint32(INODE.sizeHigh, Math.floor(size / 2 ** 32), true);
  view.setUint16(0x74, Math.floor(blocks / 2 ** 32), true);
  view.setUint16(0x76, Math.floor(xattrBlock / 2 ** 32), true);
  view.setUint16(INODE.uidHigh, uid >>> 16, true);
  view.setUint16(INODE.gidHigh, gid >>> 16, true);
  view.setUint16(INODE.extraSize, extraSize, true);
  for (const name of ['accessed', 'changed', 'modified', 'created'] as const) {
    const { low, extra } = fields[name];
    view.setUint32(INODE[name].low, low, true);
    view.setUint32(INODE[name].extra, extra, true);
  }
  if (fields.xattrs !== undefined) out.set(fields.xattrs, 128 + extraSize);
  if (checksum !== undefined) {
    const sum = inodeChecksum(checksum.seed, checksum.number, out);
    view.setUint16(INODE.checksumLow, sum & 0xffff, true);
    view.setUint16(INODE.checksumHigh, sum >>> 16, true);
  }
  return out;
}

/** Seconds since 1970 in 34 bits: the low word is signed, the two bits above count from there. */
export function inodeTime(seconds: number): InodeTime {
  const low = seconds | 0;
  return { low, extra: ((seconds - low) / 2 ** 32) & 3 };
}

/** The body of a symlink that is short enough to stand in its inode. */
export function symlinkBody(target: ByteString): Uint8Array {
  const out = new Uint8Array(INODE_BODY_SIZE);
  writeByteString(out, 0, target);
  return out;
}

/** The body of a device: small numbers as they always were, others as the kernel packs them. */
export function deviceBody(rdev: number): Uint8Array {
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  if (major >= 256 || minor >= 256) return packedDeviceBody(rdev);
  const out = new Uint8Array(INODE_BODY_SIZE);
  new DataView(out.buffer).setUint32(0, (major << 8) | minor, true);
  return out;
}

/** The body of a device whose number stands as the kernel packs it, however small it is. */
export function packedDeviceBody(rdev: number): Uint8Array {
  const out = new Uint8Array(INODE_BODY_SIZE);
  new DataView(out.buffer).setUint32(4, rdev, true);
  return out;
}
