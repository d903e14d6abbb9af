/** The files or block devices that a verity device is made of, opened, refused and written as veritysetup does. @module */
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import type { ReadCovered } from '../core/dm-verity/fec.ts';
import type { DmVerityLayout, DmVerityParameters } from '../core/dm-verity/layout.ts';
import { temporaryName } from '../node/atomic-file.ts';
import { type Device, describeDevice, openDevice, readFully } from '../node/device.ts';
import { fsPath } from '../node/fs-path.ts';
import { errnoNameOf, ioError, isErrno } from '../node/io-error.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';
import { verityError } from './errors.ts';

/** A device to be written to: in place if it is there, else under a temporary name until `commit`. */
export interface Output extends Device {
  /** Makes all that was written last, and gives a new file its name. */
  commit(): void;
  /** Closes it; a new file that was not committed is gone. */
  close(): void;
}

/** @throws SealtreeError in the words of veritysetup */
export function openForReading(path: ByteString): Device {
  try {
    return openDevice(path);
  } catch (error) {
    const shown = displayByteString(path);
    if (errnoNameOf(error) === undefined || isErrno(error, 'ENXIO')) {
      throw verityError('io', `Device ${shown} is not compatible.`, 'device');
    }
    throw verityError('missing', `Device ${shown} does not exist or access denied.`, 'device');
  }
}

/**
 * Opens a device to be written, for its owner alone if it is new.
 *
 * @param kind `hash` or `FEC`, for the message
 */
export function openOutput(path: ByteString, kind: string): Output {
  const shown = displayByteString(path);
  try {
    const device = openDevice(path, constants.O_RDWR);
    return { ...device, commit: () => sync(device), close: () => closeSync(device.fd) };
  } catch (error) {
    if (isErrno(error, 'EISDIR') || errnoNameOf(error) === undefined) {
      throw verityError('io', `Device ${shown} is not compatible.`, 'device');
    }
    if (!isErrno(error, 'ENOENT')) throw verityError('io', `Cannot open device ${shown}.`);
  }
  const temporary = temporaryName(path);
  registerTemporary(temporary);
  let device: Device;
  try {
    device = describeDevice(path, openSync(fsPath(temporary), 'wx+', 0o600));
  } catch {
    forgetTemporary(temporary);
    throw verityError('io', `Cannot create ${kind} image ${shown} for writing.`);
  }
  let named = false;
  return {
    ...device,
    commit() {
      sync(device);
      try {
        renameSync(fsPath(temporary), fsPath(path));
      } catch (error) {
        throw ioError(`writing ${shown}`, error);
      }
      named = true;
      forgetTemporary(temporary);
    },
    close() {
      closeSync(device.fd);
      if (!named) removeTemporary(temporary);
    },
  };
}

/** Sees to it that a device has at least `size` bytes, of which those that are new are zeros. */
export function growTo({ fd, isFile, size, path }: Device, wanted: number): void {
  if (size >= wanted) return;
  const shown = displayByteString(path);
  if (!isFile) throw verityError('io', `Device ${shown} is too small. Need at least ${wanted} bytes.`);
  try {
    ftruncateSync(fd, wanted);
  } catch (error) {
    throw verityError('io', ioError(`Cannot grow ${shown} to ${wanted} bytes`, error).message);
  }
}

/** Writes all of `data` at an offset. */
export function writeAt(fd: number, data: Uint8Array, offset: number): void {
  for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at, offset + at);
}

/** Writes in larger pieces what comes in small ones, in several rows of neighbours. `flush` writes what is left. */
export function makeGatheringWriter(fd: number): {
  write(offset: number, data: Uint8Array): void;
  flush(): void;
} {
  const rows: { start: number; used: number; readonly buffer: Uint8Array }[] = [];
  const writeRow = (row: { start: number; used: number; readonly buffer: Uint8Array }) => {
    writeAt(fd, row.buffer.subarray(0, row.used), row.start);
    row.start += row.used;
    row.used = 0;
  };
  return {
    write(offset, data) {
      let row = rows.find(({ start, used }) => start + used === offset);
      if (row === undefined) {
        row = { start: offset, used: 0, buffer: new Uint8Array(Math.max(GATHERED, data.length)) };
        rows.push(row);
      }
      if (row.used + data.length > row.buffer.length) writeRow(row);
      row.buffer.set(data, row.used);
      row.used += data.length;
    },
    flush() {
      for (const row of rows) writeRow(row);
    },
  };
}

const GATHERED = 128 * 1024;

/** Reads what error correction covers: the data, then the hash device from the tree on. */
export function coveredReader(
  data: Device,
  hash: Device,
  { dataBlocks, dataBlockSize }: DmVerityParameters,
  { start }: DmVerityLayout,
): ReadCovered {
  const dataSize = dataBlocks * dataBlockSize;
  return (offset, target) => {
    const fromData = Math.max(0, Math.min(target.length, dataSize - offset));
    return (
      readFully(data.fd, offset, target.subarray(0, fromData)) &&
      readFully(hash.fd, start + offset + fromData - dataSize, target.subarray(fromData))
    );
  };
}

function sync({ fd, path }: Device): void {
  try {
    fsyncSync(fd);
  } catch (error) {
    throw ioError(`writing ${displayByteString(path)}`, error);
  }
}

function removeTemporary(path: ByteString): void {
  forgetTemporary(path);
  try {
    rmSync(fsPath(path), { force: true });
  } catch {
    // The failure that led here is the one to tell.
  }
}
