/** What a composefs image can hold of one file; the same numbers bound dump files and directory scans. @module */
import type { Xattr } from './file-tree.ts';

/** Bytes of one name in a directory. */
export const NAME_MAX = 255;

/** Bytes of a symlink's target or of the path of a backing object. */
export const PAYLOAD_MAX = 4095;

/** Bytes of content that may stand in the image itself. */
export const INLINE_CONTENT_MAX = 5000;

/** Bytes of an xattr key. */
export const XATTR_NAME_MAX = 255;

/** Bytes of an xattr value. */
export const XATTR_VALUE_MAX = 65535;

/** What all xattrs of an inode may cost together, by {@link xattrCost} and {@link XATTR_HEADER_COST}. */
export const XATTR_BUDGET = 32767;

/** Cost of having any xattr at all. */
export const XATTR_HEADER_COST = 12;

/** Cost of one xattr against {@link XATTR_BUDGET}: its bytes, its entry header and the worst padding. */
export function xattrCost(keyLength: number, valueLength: number): number {
  return 7 + keyLength + valueLength;
}

/** Whether an inode may carry these xattrs: names, values and their sum. */
export function xattrsFit(xattrs: readonly Xattr[]): boolean {
  let cost = XATTR_HEADER_COST;
  for (const [key, value] of xattrs) {
    if (key.length === 0 || key.length > XATTR_NAME_MAX || value.length > XATTR_VALUE_MAX) return false;
    cost += xattrCost(key.length, value.length);
  }
  return xattrs.length === 0 || cost <= XATTR_BUDGET;
}
