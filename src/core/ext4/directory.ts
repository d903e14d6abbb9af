/**
 * Blocks of a directory, as a list without an index.
 * Defined by Linux: Documentation/filesystems/ext4/directory.rst.
 * @module
 */
import { roundUp } from '../bytes/align.ts';
import { type ByteString, writeByteString } from '../bytes/byte-string.ts';
import { crc32c } from '../bytes/crc.ts';
import { BLOCK_SIZE, DIRECTORY_TAIL_SIZE, DIRECTORY_TAIL_TYPE, FILE_TYPE } from './format.ts';

export interface DirectoryRecord {
  readonly name: ByteString;
  /** Number of the inode; 0 for a record that is unused. */
  readonly inode: number;
  /** `st_mode`, of which the type is recorded. */
  readonly mode: number;
}

/** Bytes of a record with this name. */
export function recordSize(name: ByteString): number {
  return roundUp(8 + name.length, 4);
}

/**
 * Encodes a block; the last record has all that is left.
 *
 * @param records what fits into a block
 * @param seed as `inodeSeed` makes it; undefined where the file system has no checksums
 */
export function encodeDirectoryBlock(
  records: readonly DirectoryRecord[],
  seed: number | undefined,
): Uint8Array {
  const room = seed === undefined ? BLOCK_SIZE : BLOCK_SIZE - DIRECTORY_TAIL_SIZE;
  const block = new Uint8Array(BLOCK_SIZE);
  const view = new DataView(block.buffer);
  let at = 0;
  records.forEach(({ name, inode, mode }, i) => {
    const size = i === records.length - 1 ? room - at : recordSize(name);
    view.setUint32(at, inode, true);
    view.setUint16(at + 4, size, true);
    view.setUint8(at + 6, name.length);
    view.setUint8(at + 7, FILE_TYPE[mode >>> 12] ?? 0);
    writeByteString(block, at + 8, name);
    at += size;
  });
  if (seed !== undefined) {
    view.setUint16(room + 4, DIRECTORY_TAIL_SIZE, true);
    view.setUint8(room + 7, DIRECTORY_TAIL_TYPE);
    view.setUint32(room + 8, crc32c(seed, block.subarray(0, room)), true);
  }
  return block;
}
