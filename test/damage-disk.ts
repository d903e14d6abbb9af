/** Damage to files where they lie on a disk, below the file system. @module */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { byteString } from '../src/core/bytes/byte-string.ts';
import type { Ext4Inode, Ext4Reader } from '../src/core/ext4/reader.ts';
import { findRoot, openDisk } from '../src/disk/disk-file.ts';

/**
 * Changes a bit of a file on the root file system of a raw disk.
 *
 * @param place offset in the file, or what finds it
 */
export function damageFile(
  path: string,
  file: string,
  place: number | ((reader: Ext4Reader, inode: Ext4Inode) => number),
): void {
  const disk = openDisk(byteString(path));
  const { reader, partition } = findRoot(disk, path);
  const inode = reader.lookUp(byteString(file));
  if (inode === undefined || partition === undefined) throw new Error(`${file} is not there`);
  const at = typeof place === 'number' ? place : place(reader, inode);
  const extent = reader
    .extents(inode)
    .find(({ logical, length }) => at < (logical + length) * reader.blockSize);
  disk.close();
  if (extent === undefined) throw new Error(`${file} has no byte ${at}`);
  const offset = partition.start + (extent.physical - extent.logical) * reader.blockSize + at;
  const fd = openSync(path, 'r+');
  const byte = new Uint8Array(1);
  readSync(fd, byte, 0, 1, offset);
  byte[0] = (byte[0] as number) ^ 1;
  writeSync(fd, byte, 0, 1, offset);
  closeSync(fd);
}

/** Where the descriptor of a file with fs-verity has the root hash: at the start of its last block. */
export function rootHashPlace(reader: Ext4Reader, inode: Ext4Inode): number {
  const last = reader.extents(inode).at(-1);
  if (last === undefined) throw new Error('the file has no blocks');
  return (last.logical + last.length - 1) * reader.blockSize + 16;
}
