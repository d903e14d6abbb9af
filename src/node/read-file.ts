/** Whole small files: bounded, and never waiting for a pipe that stands in a file's place. @module */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { ByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { fsPath } from './fs-path.ts';
import { ioError, isErrno } from './io-error.ts';

/**
 * Reads a regular file; symlinks to one are followed.
 *
 * @param name what stands for the path in messages
 * @param limit bytes; a larger file is refused before anything is read
 * @returns undefined if there is no such file
 * @throws SealtreeError `malformed` if it is too large or no regular file, `io` (`openat(NAME): …`) for the rest
 */
export function readFileLimited(path: ByteString, name: string, limit: number): Uint8Array | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(fsPath(path), constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw ioError(`openat(${name})`, error);
  }
  try {
    return readLimited(descriptor, name, limit);
  } catch (error) {
    throw error instanceof SealtreeError ? error : ioError(name, error);
  } finally {
    closeSync(descriptor);
  }
}

function readLimited(descriptor: number, name: string, limit: number): Uint8Array {
  const stat = fstatSync(descriptor);
  if (stat.isDirectory()) throw new SealtreeError('io', `${name}: Is a directory`, { errno: 'EISDIR' });
  if (!stat.isFile()) throw malformed(`${name}: not a regular file`);
  if (stat.size > limit) throw malformed(`${name}: ${stat.size} bytes, at most ${limit} are allowed`);
  const buffer = new Uint8Array(stat.size);
  let at = 0;
  while (at < buffer.length) {
    const length = readSync(descriptor, buffer, at, buffer.length - at, at);
    if (length === 0) return buffer.subarray(0, at);
    at += length;
  }
  return buffer;
}
