/** Files that are there as a whole or not at all: temporary name, fsync, rename. @module */

import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { fsPath } from './fs-path.ts';
import { ioError } from './io-error.ts';
import { forgetTemporary, registerTemporary } from './temporary.ts';

export interface AtomicFileOptions {
  /** Permission bits, whatever the umask is; 0644 by default. */
  readonly mode?: number;
  /** Whether the data must be on disk before the name is; true by default. */
  readonly sync?: boolean;
}

/**
 * Writes a file under a temporary name beside it and renames it into place. On any failure nothing is left.
 *
 * @throws SealtreeError `io`: `writing PATH: …`
 */
export function writeFileAtomically(
  path: ByteString,
  data: Uint8Array | ByteString,
  { mode = 0o644, sync = true }: AtomicFileOptions = {},
): void {
  const temporary = temporaryName(path);
  let fd: number | undefined;
  registerTemporary(temporary);
  try {
    fd = openSync(fsPath(temporary), 'wx', 0o600);
    writeAll(fd, typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
    fchmodSync(fd, mode);
    if (sync) fsyncSync(fd);
    const open = fd;
    fd = undefined;
    closeSync(open);
    renameSync(fsPath(temporary), fsPath(path));
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    removeQuietly(temporary);
    throw ioError(`writing ${displayByteString(path)}`, error);
  } finally {
    forgetTemporary(temporary);
  }
}

/** A name beside `path` that nobody has: hidden, with 64 random bits. */
export function temporaryName(path: ByteString): ByteString {
  const slash = path.lastIndexOf('/') + 1;
  return byteString(`${path.slice(0, slash)}.tmp-${randomDigits()}`);
}

/**
 * 64 random bits in hexadecimal, for names. They are no secret, since who makes a file so named makes it anew (O_EXCL);
 * node:crypto would take 3 ms to load.
 */
export function randomDigits(): string {
  const half = () =>
    Math.floor(Math.random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  return half() + half();
}

/** Writes all of `data` at the current offset. */
export function writeAll(fd: number, data: Uint8Array): void {
  for (let at = 0; at < data.length; ) at += writeSync(fd, data, at);
}

function removeQuietly(path: ByteString): void {
  try {
    unlinkSync(fsPath(path));
  } catch {
    // It may never have been made; the failure that led here is the one to tell.
  }
}
