/** Files and block devices alike: opened, told apart, measured. @module */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, realpathSync } from 'node:fs';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { fsPath } from './fs-path.ts';
import { ioError } from './io-error.ts';

/** A file or block device that is open. */
export interface Device {
  readonly path: ByteString;
  readonly fd: number;
  readonly isFile: boolean;
  /** Bytes when it was opened. */
  readonly size: number;
  /** The same for two names of the same thing. */
  readonly identity: string;
}

/** @throws what the system says; SealtreeError `io` for what is neither a file nor a block device */
export function openDevice(path: ByteString, flags: number = constants.O_RDONLY): Device {
  const fd = openSync(fsPath(path), flags | constants.O_NONBLOCK);
  try {
    return describeDevice(path, fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** As `openDevice`, of what is open already. */
export function describeDevice(path: ByteString, fd: number): Device {
  const status = fstatSync(fd);
  const isFile = status.isFile();
  if (!isFile && !status.isBlockDevice()) throw new SealtreeError('io', 'neither a file nor a disk');
  return {
    path,
    fd,
    isFile,
    size: isFile ? status.size : blockDeviceSize(path),
    identity: isFile ? `${status.dev}:${status.ino}` : `disk ${status.rdev}`,
  };
}

/**
 * Fills `target` with what is at an offset.
 *
 * @returns false if the file ends before
 */
export function readFully(fd: number, at: number, target: Uint8Array): boolean {
  for (let done = 0; done < target.length; ) {
    const count = readSync(fd, target, done, target.length - done, at + done);
    if (count === 0) return false;
    done += count;
  }
  return true;
}

/** A block device says its size elsewhere than in its status. */
function blockDeviceSize(path: ByteString): number {
  try {
    const device = realpathSync(fsPath(path), 'utf8').replace(/^.*\//, '');
    return Number(readFileSync(`/sys/class/block/${device}/size`, 'latin1')) * 512;
  } catch (error) {
    throw ioError(`size of ${displayByteString(path)}`, error);
  }
}
