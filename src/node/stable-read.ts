/** Reading files that must not change meanwhile. @module */
import { closeSync, constants, openSync } from 'node:fs';
import type { ByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { fsPath } from './fs-path.ts';
import { type FileStatus, openAt, readAt, readStamp } from './syscalls.ts';

/** By what a change shows. */
export type FileStamp = Pick<FileStatus, 'size' | 'mtimeSec' | 'mtimeNsec' | 'ctimeSec' | 'ctimeNsec'>;

/** Numbers of a packed stamp. */
export const STAMP_LENGTH = 5;

/** Puts a stamp into an array of packed ones, to be sent to a worker. */
export function packStamp(target: Float64Array, index: number, stamp: FileStamp): void {
  const at = index * STAMP_LENGTH;
  target[at] = stamp.size;
  target[at + 1] = stamp.mtimeSec;
  target[at + 2] = stamp.mtimeNsec;
  target[at + 3] = stamp.ctimeSec;
  target[at + 4] = stamp.ctimeNsec;
}

export function unpackStamp(source: Float64Array, index: number): FileStamp {
  const at = index * STAMP_LENGTH;
  return {
    size: source[at] as number,
    mtimeSec: source[at + 1] as number,
    mtimeNsec: source[at + 2] as number,
    ctimeSec: source[at + 3] as number,
    ctimeNsec: source[at + 4] as number,
  };
}

/**
 * Reads a regular file once from end to end.
 *
 * @param stamp its status as it was examined; it must still hold when the end is reached
 * @param buffer where the pieces go, one after another; a file larger than it comes in several
 * @param consume gets each piece, valid during the call
 * @throws SealtreeError `io`: what the system says, or `file changed while it was read: …`
 */
export function readStable(
  place: ByteString,
  stamp: FileStamp,
  buffer: Buffer,
  consume: (piece: Uint8Array) => void,
  { follow = false } = {},
): void {
  const fd = openStable(place, { follow });
  try {
    readRange(fd, 0, stamp.size, buffer, consume);
    checkUnchanged(fd, stamp);
  } finally {
    closeSync(fd);
  }
}

/** Opens a file for reading: through a symlink only if told to, and without waiting should it be a fifo by now. */
export function openStable(place: ByteString, { follow = false } = {}): number {
  return openSync(fsPath(place), follow ? STABLE & ~constants.O_NOFOLLOW : STABLE);
}

/** As `openStable`, by a name in an open directory, which spares the kernel the way there. */
export function openStableAt(directory: number, name: ByteString): number {
  return openAt(directory, name, STABLE);
}

const STABLE = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

/**
 * Reads `length` bytes at `start` through `buffer`.
 *
 * @throws SealtreeError `io` if the file ends before
 */
export function readRange(
  fd: number,
  start: number,
  length: number,
  buffer: Buffer,
  consume: (piece: Uint8Array) => void,
): void {
  let at = 0;
  while (at < length) {
    const wanted = Math.min(buffer.length, length - at);
    readAll(fd, start + at, wanted, buffer, start + length);
    consume(wanted === buffer.length ? buffer : buffer.subarray(0, wanted));
    at += wanted;
  }
}

/**
 * Reads `length` bytes at `start` to the beginning of `buffer`.
 *
 * @param end where the file is taken to end, for the message
 * @throws SealtreeError `io` if it ends before
 */
export function readAll(
  fd: number,
  start: number,
  length: number,
  buffer: Buffer,
  end = start + length,
): void {
  for (let filled = 0; filled < length; ) {
    const target = filled === 0 ? buffer : buffer.subarray(filled);
    const count = readAt(fd, target, length - filled, start + filled);
    if (count === 0) throw endedEarly(start + filled, end);
    filled += count;
  }
}

const now = { size: 0, mtimeSec: 0, mtimeNsec: 0, ctimeSec: 0, ctimeNsec: 0 };

/** @throws SealtreeError `io` if size, modification or change time are no longer what they were */
export function checkUnchanged(fd: number, stamp: FileStamp): void {
  readStamp(fd, now);
  if (now.size !== stamp.size) throw sizeChanged(now.size, stamp.size);
  const same =
    now.mtimeNsec === stamp.mtimeNsec &&
    now.ctimeNsec === stamp.ctimeNsec &&
    now.mtimeSec === stamp.mtimeSec &&
    now.ctimeSec === stamp.ctimeSec;
  if (!same) throw timesChanged();
}

/** The failure of a file that ended before it was read. */
export function endedEarly(at: number, end: number): SealtreeError {
  return changed(`it ends at ${at} bytes, not ${end}`);
}

/** The failure of a file that was read and has another size now. */
export function sizeChanged(now: number, before: number): SealtreeError {
  return changed(`size is ${now}, was ${before}`);
}

/** The failure of a file that was read and has been changed by its times. */
export function timesChanged(): SealtreeError {
  return changed('its times are not what they were');
}

function changed(how: string): SealtreeError {
  return new SealtreeError('io', `file changed while it was read: ${how}`);
}
