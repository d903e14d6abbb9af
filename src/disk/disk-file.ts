/** A disk, or an image of one, opened for reading; and the root file system on it. @module */
import { closeSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import type { ImageSource } from '../core/erofs/image-source.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import { SUPERBLOCK_MAGIC, SUPERBLOCK_OFFSET } from '../core/ext4/format.ts';
import { Ext4Reader } from '../core/ext4/reader.ts';
import { type Partition, ROOT_TYPES, readGpt } from '../core/gpt/gpt.ts';
import { openDevice, readFully } from '../node/device.ts';
import { ioError } from '../node/io-error.ts';

export interface OpenDisk extends ImageSource {
  close(): void;
}

export interface RootFileSystem {
  readonly reader: Ext4Reader;
  /** Undefined if the disk has no partitions and is the file system itself. */
  readonly partition: Partition | undefined;
}

const REPOSITORY = byteString('ostree/repo/config');

/** @throws SealtreeError `io`: `opening PATH: …` */
export function openDisk(path: ByteString): OpenDisk {
  const shown = displayByteString(path);
  try {
    const { fd, size } = openDevice(path);
    return { size, read: (at, length) => readAt(fd, at, length, shown), close: () => closeSync(fd) };
  } catch (error) {
    throw ioError(`opening ${shown}`, error);
  }
}

/**
 * Finds the root file system: of the partitions that the table calls so the first that has a repository on it, else of
 * all partitions.
 *
 * @throws SealtreeError `missing` if there is none
 */
export function findRoot(disk: ImageSource, name: string): RootFileSystem {
  const partitions = attempt(name, () => readGpt(disk));
  if (partitions === undefined)
    return { reader: attempt(name, () => new Ext4Reader(disk)), partition: undefined };
  const types = Object.values(ROOT_TYPES);
  const isRoot = ({ type }: Partition) => types.includes(type);
  const ordered = [...partitions.filter(isRoot), ...partitions.filter((partition) => !isRoot(partition))];
  for (const partition of ordered) {
    const source = within(disk, partition);
    if (!hasMagic(source)) continue;
    const reader = attempt(`${name}: partition ${partition.name}`, () => new Ext4Reader(source));
    const found = attempt(`${name}: partition ${partition.name}`, () => reader.lookUp(REPOSITORY));
    if (found !== undefined) return { reader, partition };
  }
  throw new SealtreeError(
    'missing',
    `${name}: none of ${partitions.length} partitions is ext4 with an ostree repository`,
  );
}

function within(disk: ImageSource, { start, size }: Partition): ImageSource {
  return { size, read: (at, length) => disk.read(start + at, length) };
}

function hasMagic(source: ImageSource): boolean {
  if (source.size < SUPERBLOCK_OFFSET + 0x3a) return false;
  const [low = 0, high = 0] = source.read(SUPERBLOCK_OFFSET + 0x38, 2);
  return low + high * 256 === SUPERBLOCK_MAGIC;
}

function attempt<T>(name: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw error instanceof SealtreeError ? prefixed(name, error) : error;
  }
}

function readAt(fd: number, at: number, length: number, shown: string): Uint8Array {
  const data = new Uint8Array(length);
  let isWhole: boolean;
  try {
    isWhole = readFully(fd, at, data);
  } catch (error) {
    throw ioError(`reading ${shown}`, error);
  }
  if (!isWhole) throw new SealtreeError('io', `${shown} ends before ${at + length} bytes`);
  return data;
}
