/**
 * How much libcomposefs lets the xattrs of one inode cost. Dump files, directory scans and the writer all count
 * this way, and which trees are refused depends on it.
 * @module
 */
import type { Xattr } from './file-tree.ts';

/** Bytes of an xattr key. */
export const XATTR_NAME_MAX = 255;

/** Bytes of an xattr value. */
export const XATTR_VALUE_MAX = 65535;

/** What the xattrs that come from a dump file or a directory may cost together. */
export const XATTR_BUDGET = 32767;

/** What the xattrs in an image may cost together. */
export const IMAGE_XATTR_BUDGET = 65535;

/** Cost of having any xattr at all: the header of the area. */
const AREA_COST = 12;

/** Cost of an xattr beside its bytes: its header and the worst padding. */
const ENTRY_COST = 7;

/**
 * Adds an xattr, or replaces the one of the same key.
 *
 * @param account what the xattrs cost so far, 0 for none; the returned value of the call before
 * @returns the new cost, or undefined if key, value or cost are out of range (xattrs are then not to be used)
 */
export function setXattr(
  xattrs: Xattr[],
  xattr: Xattr,
  account: number,
  budget: number = XATTR_BUDGET,
): number | undefined {
  const [key, value] = xattr;
  if (key === '' || key.length > XATTR_NAME_MAX || value.length > XATTR_VALUE_MAX) return undefined;
  let cost = account;
  for (let at = 0; at < xattrs.length; at++) {
    const old = xattrs[at] as Xattr;
    if (old[0] !== key) continue;
    cost -= ENTRY_COST + key.length + old[1].length;
    // The last one takes the place of the one that goes, as in libcomposefs: composefs-info shows the order.
    const last = xattrs.pop() as Xattr;
    if (at < xattrs.length) xattrs[at] = last;
    break;
  }
  if (xattrs.length === 0) cost = AREA_COST;
  cost += ENTRY_COST + key.length + value.length;
  // libcomposefs counts unsigned: below zero is far too much.
  if (cost < 0 || cost > budget) return undefined;
  xattrs.push(xattr);
  return cost;
}
