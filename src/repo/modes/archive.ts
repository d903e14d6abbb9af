/**
 * File objects of an archive repository (`archive-z2`): a header, then the content as raw deflate, in one `.filez`.
 * @module
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { malformed, prefixed } from '../../core/errors.ts';
import { isSymlink } from '../../core/fs/mode.ts';
import { archiveHeaderLength, decodeArchiveHeader } from '../../core/ostree/file-header.ts';
import { inflateRaw } from '../../node/inflate.ts';
import { errnoNameOf, ioError } from '../../node/io-error.ts';
import type { Repo } from '../repo.ts';
import { type FileObject, openRegularFile, readPieces } from './file-object.ts';

/** Bytes of the first read; nearly every header fits. */
const FIRST_READ = 4096;

/** Undefined if this repository has no such object. */
export function readArchiveFile(repo: Repo, checksum: string): FileObject | undefined {
  const opened = openArchiveFile(repo, checksum);
  if (opened === undefined) return undefined;
  closeSync(opened.descriptor);
  const { header } = opened;
  const size = Number(opened.size);
  if (!Number.isSafeInteger(size)) {
    throw malformed(`${repo.objectPath('file', checksum)}: header says ${opened.size} bytes of content`);
  }
  return {
    header,
    size,
    contentFile: undefined,
    *content() {
      if (isSymlink(header.mode)) return;
      const again = openArchiveFile(repo, checksum);
      if (again === undefined)
        throw malformed(`${repo.objectPath('file', checksum)}: vanished while it was read`);
      try {
        yield* exactContent(again, size);
      } catch (error) {
        throw prefixed(repo.objectPath('file', checksum), error);
      } finally {
        closeSync(again.descriptor);
      }
    },
  };
}

/** An open archive object whose header has been read; the deflate stream begins at `start`. */
export interface OpenArchiveFile {
  readonly descriptor: number;
  readonly header: FileObject['header'];
  /** Bytes of content as the header says, which no checksum covers. Unsigned, 64 bits. */
  readonly size: bigint;
  readonly start: number;
  readonly fileSize: number;
}

/**
 * Opens an object and reads its header; the caller closes the descriptor.
 *
 * @param name of the object in messages; its path by default
 * @returns undefined if this repository has no such object
 */
export function openArchiveFile(
  repo: Repo,
  checksum: string,
  name: string = repo.objectPath('file', checksum),
): OpenArchiveFile | undefined {
  let descriptor: number;
  try {
    descriptor = openRegularFile(repo.objectFile('file', checksum), name);
  } catch (error) {
    if (errnoNameOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const fileSize = fstatSync(descriptor).size;
    const data = readHeader(descriptor, fileSize, name);
    const { header, size, length } = decodeArchiveHeader(data, name);
    return { descriptor, header, size, start: length, fileSize };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** The compressed bytes inflated, as they are; the generator returns how many bytes there were of them. */
export function inflatedContent(file: OpenArchiveFile): Generator<Uint8Array, number> {
  return inflateRaw(readPieces(file.descriptor, file.start, file.fileSize));
}

function* exactContent(file: OpenArchiveFile, size: number): Generator<Uint8Array, void> {
  let length = 0;
  for (const piece of inflatedContent(file)) {
    length += piece.length;
    if (length > size) throw malformed(`header says ${size} bytes of content, it has more`);
    yield piece;
  }
  if (length !== size) throw malformed(`header says ${size} bytes of content, it has ${length}`);
}

/** Length prefix, padding and header; all of it is there or the object is refused. */
function readHeader(descriptor: number, fileSize: number, name: string): Uint8Array {
  const first = readExactly(descriptor, Buffer.alloc(Math.min(FIRST_READ, fileSize)), name);
  const end = archiveHeaderLength(first, fileSize, name);
  return end <= first.length ? first.subarray(0, end) : readExactly(descriptor, Buffer.alloc(end), name);
}

function readExactly(descriptor: number, buffer: Buffer, name: string): Buffer {
  for (let at = 0; at < buffer.length; ) {
    let length: number;
    try {
      length = readSync(descriptor, buffer, at, buffer.length - at, at);
    } catch (error) {
      throw ioError(`${name}: read`, error);
    }
    if (length === 0) throw malformed(`${name}: truncated while it was read`);
    at += length;
  }
  return buffer;
}
