/**
 * What a file object is once it is read, whatever way a repository's mode stores it.
 * @module
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { ByteString } from '../../core/bytes/byte-string.ts';
import { malformed, prefixed, SealtreeError } from '../../core/errors.ts';
import type { FileHeader } from '../../core/ostree/file-header.ts';
import { fsPath } from '../../node/fs-path.ts';
import { ioError } from '../../node/io-error.ts';

export interface FileObject {
  readonly header: FileHeader;
  /** Bytes of content; 0 for a symlink. What an archive object says of itself, until its content has been read. */
  readonly size: number;
  /** The file that is the content and nothing else; undefined for a symlink and in an archive repository. */
  readonly contentFile: ByteString | undefined;
  /**
   * The content, each piece valid until the next is asked for. Nothing for a symlink.
   *
   * @throws SealtreeError `malformed` if it cannot be inflated or has not `size` bytes
   */
  content(): Iterable<Uint8Array>;
}

/** Bytes of one read. */
const READ_SIZE = 256 * 1024;

/**
 * Reads a file from `at` to its end.
 *
 * @returns pieces, each valid until the next is asked for
 */
export function* readPieces(descriptor: number, at: number, size: number): Generator<Uint8Array, void> {
  const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(READ_SIZE, size - at + 1)));
  for (let position = at; ; ) {
    const length = readSync(descriptor, buffer, 0, buffer.length, position);
    if (length === 0) return;
    yield buffer.subarray(0, length);
    position += length;
    if (length < buffer.length && position >= size) return;
  }
}

/** The content of a bare file object; its length must be the one that its inode had. */
export function* bareContent(path: ByteString, name: string, size: number): Generator<Uint8Array, void> {
  if (size === 0) return;
  const descriptor = openRegularFile(path, name);
  try {
    let length = 0;
    for (const piece of readPieces(descriptor, 0, size)) {
      length += piece.length;
      if (length > size) break;
      yield piece;
    }
    if (length !== size) throw malformed(`${name}: changed while it was read, ${size} bytes were expected`);
  } finally {
    closeSync(descriptor);
  }
}

/** Opens a file that must be regular; a pipe or device in its place is refused and not waited for. */
export function openRegularFile(path: ByteString, name: string): number {
  let descriptor: number;
  try {
    descriptor = openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw ioError(`openat(${name})`, error);
  }
  if (fstatSync(descriptor).isFile()) return descriptor;
  closeSync(descriptor);
  throw malformed(`${name}: not a regular file`);
}

/** Runs a reader of bare objects; what it throws gets the words that ostree puts before it. */
export function openingContent<T>(checksum: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealtreeError) throw prefixed(`Opening content object ${checksum}`, error);
    throw ioError(`Opening content object ${checksum}`, error);
  }
}
