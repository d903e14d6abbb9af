/** Which files a place on a data device belongs to, in words. @module */
import { displayByteString } from '../core/bytes/byte-string.ts';
import { erofsFiles } from '../core/erofs/owner.ts';
import { SealtreeError } from '../core/errors.ts';
import { ext4Files } from '../core/ext4/owner.ts';
import { Ext4Reader } from '../core/ext4/reader.ts';
import { ownersOf, type PlacedFiles } from '../core/fs/owner.ts';
import { type Device, readFully } from '../node/device.ts';

/** A block holds the inline content of many files, or several blocks of a file system. */
const MAX_OWNERS = 8;

/**
 * What goes behind `bytes 4096 to 8191`: whose they are, if the data is a file system that is known here.
 *
 * @param start,end bytes of the device
 */
export function ownerOfRange(device: Device, start: number, end: number): string {
  for (const [name, files] of [
    ['ext4', filesOf(() => ext4Files(new Ext4Reader(sourceOf(device))))],
    ['EROFS', filesOf(() => erofsFiles(sourceOf(device)))],
  ] as const) {
    if (files === undefined) continue;
    const owners = ownersOf(files, start, end, MAX_OWNERS + 1).map(displayByteString);
    if (owners.length === 0)
      return `belong to no file of its ${name} file system, but to its metadata or to nothing`;
    const more = owners.length > MAX_OWNERS ? ' and others' : '';
    return `belong to ${owners.slice(0, MAX_OWNERS).join(', ')}${more} of its ${name} file system`;
  }
  return 'differ';
}

function filesOf(open: () => PlacedFiles | undefined): PlacedFiles | undefined {
  try {
    return open();
  } catch (error) {
    if (error instanceof SealtreeError) return undefined;
    throw error;
  }
}

function sourceOf({ fd, size }: Device) {
  return {
    size,
    read(at: number, length: number): Uint8Array {
      const data = new Uint8Array(length);
      if (!readFully(fd, at, data)) throw new SealtreeError('io', 'device ends too early');
      return data;
    },
  };
}
