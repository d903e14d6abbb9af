/**
 * The footer of a fixed virtual hard disk: the disk itself, byte for byte, and 512 bytes behind it.
 * Defined by Microsoft: Virtual Hard Disk Image Format Specification 1.0, "Hard Disk Footer Format".
 * @module
 */
import { byteString, writeByteString } from '../bytes/byte-string.ts';

export const VHD_FOOTER_SIZE = 512;

const COOKIE = byteString('conectix');
/** The bit that is always set. */
const FEATURES = 2;
const FORMAT_VERSION = 0x00010000;
const CREATOR_VERSION = 0x000a0000;
const FIXED = 2;
const FIELD = {
  features: 8,
  formatVersion: 12,
  dataOffset: 16,
  creatorVersion: 32,
  originalSize: 40,
  currentSize: 48,
  diskType: 60,
  checksum: 64,
  uniqueId: 68,
} as const;

/**
 * Encodes a footer as hcsshim does: without a time, a creator or a geometry, so that the same disk has the same footer.
 *
 * @param size bytes of the disk, before the footer
 * @param uniqueId 16 bytes
 * @returns 512 bytes
 */
export function encodeVhdFooter(size: number, uniqueId: Uint8Array): Uint8Array {
  const out = new Uint8Array(VHD_FOOTER_SIZE);
  const view = new DataView(out.buffer);
  writeByteString(out, 0, COOKIE);
  view.setUint32(FIELD.features, FEATURES);
  view.setUint32(FIELD.formatVersion, FORMAT_VERSION);
  // No further structure follows.
  view.setBigInt64(FIELD.dataOffset, -1n);
  view.setUint32(FIELD.creatorVersion, CREATOR_VERSION);
  view.setBigUint64(FIELD.originalSize, BigInt(size));
  view.setBigUint64(FIELD.currentSize, BigInt(size));
  view.setUint32(FIELD.diskType, FIXED);
  out.set(uniqueId, FIELD.uniqueId);
  view.setUint32(FIELD.checksum, ~out.reduce((sum, byte) => sum + byte, 0));
  return out;
}
