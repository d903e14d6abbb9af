/** Blobs of a container image as they lie in files: a file of a layout, or a part of an archive. @module */
import { closeSync, openSync, readSync } from 'node:fs';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed } from '../core/errors.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';

/** Plain data, which can be sent to a worker. */
export interface BlobRange {
  readonly file: ByteString;
  readonly offset: number;
  readonly size: number;
}

/**
 * Where the blobs of an image are: an archive, a layout, or what came from a registry.
 *
 * Names are those of an OCI layout (`index.json`, `blobs/sha256/…`) or of a docker archive (`manifest.json`, `ID/layer.tar`).
 */
export interface BlobStore {
  /** What stands for it in messages. */
  readonly name: string;
  /** undefined if it has no such blob; may take long where it has to be brought first. */
  find(name: ByteString): Promise<BlobRange | undefined>;
  /** Removes what was brought. */
  close(): void;
}

/** Bytes read at once. */
const PIECE = 1024 * 1024;

/**
 * The bytes of a blob.
 *
 * @returns pieces, each valid until the next is asked for
 * @throws SealtreeError `io`, `malformed` if the file has become shorter
 */
export function* blobPieces({ file, offset, size }: BlobRange): Generator<Uint8Array> {
  // No Buffer: parts of one take several times as long to make.
  const buffer = new Uint8Array(Math.min(PIECE, Math.max(size, 1)));
  const fd = attempt('opening', file, () => openSync(fsPath(file), 'r'));
  try {
    for (let done = 0; done < size; ) {
      const wanted = Math.min(buffer.length, size - done);
      const length = attempt('reading', file, () => readSync(fd, buffer, 0, wanted, offset + done));
      if (length === 0)
        throw malformed(
          `${displayByteString(file)}: ends at byte ${offset + done}, ${size - done} are missing`,
        );
      yield buffer.subarray(0, length);
      done += length;
    }
  } finally {
    closeSync(fd);
  }
}

/**
 * A small blob as a whole.
 *
 * @throws SealtreeError `malformed` if it has more than `limit` bytes
 */
export function readBlob(blob: BlobRange, limit: number, what: string): Uint8Array {
  if (blob.size > limit) throw malformed(`${what}: ${blob.size} bytes, at most ${limit} are allowed`);
  return Buffer.concat(Array.from(blobPieces(blob), (piece) => Buffer.from(piece)));
}

/**
 * The bytes of a file, of a pipe too.
 *
 * @returns pieces, each valid until the next is asked for
 * @throws SealtreeError `io`
 */
export function* filePieces(file: ByteString): Generator<Uint8Array> {
  const buffer = new Uint8Array(PIECE);
  const fd = attempt('opening', file, () => openSync(fsPath(file), 'r'));
  try {
    for (;;) {
      const length = attempt('reading', file, () => readSync(fd, buffer, 0, buffer.length, null));
      if (length === 0) return;
      yield buffer.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}

function attempt<T>(doing: string, file: ByteString, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw ioError(`${doing} ${displayByteString(file)}`, error);
  }
}
