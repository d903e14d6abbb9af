/**
 * A file's bytes into a content object, read once: the object's checksum and, if wanted, the fs-verity digest come
 * from the same buffer that is written. Content that fits into memory is hashed first and written only if the
 * object is not there; larger content is written while it is hashed.
 * @module
 */
import { once } from 'node:events';
import { createDeflateRaw, deflateRawSync } from 'node:zlib';
import { SealtreeError } from '../core/errors.ts';
import { isSymlink } from '../core/fs/mode.ts';
import { encodeArchiveHeader, encodeFileHeader, type FileHeader } from '../core/ostree/file-header.ts';
import { makePieceHash } from '../node/content-hash.ts';
import { type ObjectWriter, type TemporaryFile, writeFully } from './object-store.ts';

/** Bytes up to which content is kept in memory as a whole. */
export const BUFFER_LIMIT = 8 * 1024 * 1024;

export interface ContentOptions {
  /** Whether to compute the fs-verity digest. */
  readonly verity?: boolean;
  /** What the checksum has to be. */
  readonly expected?: string | undefined;
  /** Compresses large content for the mode archive instead of Node's zlib. */
  readonly stream?: DeflateStream | undefined;
}

export interface DeflateStream {
  push(data: Uint8Array, emit: (output: Uint8Array) => void): void;
  end(emit: (output: Uint8Array) => void): void;
}

export interface WrittenContent {
  readonly checksum: string;
  /** The fs-verity digest; undefined if it was not asked for, and for symlinks and empty files. */
  readonly verity: string | undefined;
  /** False if the object was there already. */
  readonly written: boolean;
}

/**
 * Writes a content object whose bytes come in pieces.
 *
 * @param size bytes of the content; 0 for a symlink
 * @param content has to have exactly `size` bytes
 * @throws SealtreeError `mismatch` if the checksum is not the expected one, `io` if the content ends early or late
 */
export async function writeContent(
  writer: ObjectWriter,
  header: FileHeader,
  size: number,
  content: Iterable<Uint8Array>,
  options: ContentOptions = {},
): Promise<WrittenContent> {
  if (isSymlink(header.mode) || size <= BUFFER_LIMIT)
    return writeBuffered(writer, header, gather(content, size), options);
  return writeStreamed(writer, header, size, content, options);
}

/** Writes a content object whose bytes are all at hand. */
export function writeBuffered(
  writer: ObjectWriter,
  header: FileHeader,
  content: Uint8Array,
  options: ContentOptions = {},
): WrittenContent {
  const wantsVerity = options.verity === true && content.length > 0;
  contentHash.begin(encodeFileHeader(header), wantsVerity);
  contentHash.update(content);
  const { checksum, verity } = contentHash.end();
  requireExpected(checksum, options.expected);
  return { checksum, verity, written: storeBuffered(writer, checksum, header, content) };
}

/**
 * Stores content whose checksum is known, unless the object is there.
 *
 * @param options `deflated`: the content compressed, for the mode archive, if somebody has done so already
 * @returns whether it was written
 */
export function storeBuffered(
  writer: ObjectWriter,
  checksum: string,
  header: FileHeader,
  content: Uint8Array,
  options: { deflated?: Uint8Array } = {},
): boolean {
  if (writer.has(checksum, 'file')) return false;
  const { mode, zlibLevel } = writer.store;
  writer.reserve(content.length);
  const deflates = mode === 'archive' && !isSymlink(header.mode);
  const stored = deflates ? (options.deflated ?? deflateRawSync(content, { level: zlibLevel })) : content;
  writer.writeFile(checksum, header, stored, content.length);
  return true;
}

async function writeStreamed(
  writer: ObjectWriter,
  header: FileHeader,
  size: number,
  content: Iterable<Uint8Array>,
  options: ContentOptions,
): Promise<WrittenContent> {
  const reserved = writer.reserve(size);
  const file = writer.openTemporary();
  try {
    const hash = makePieceHash();
    hash.begin(encodeFileHeader(header), options.verity === true);
    let seen = 0;
    const observed = function* () {
      for (const chunk of content) {
        seen += chunk.length;
        if (seen > size) break;
        hash.update(chunk);
        yield chunk;
      }
      if (seen !== size) throw sizeChanged(seen, size);
    };
    if (writer.store.mode === 'archive') {
      writeFully(file.fd, encodeArchiveHeader(header, size));
      if (options.stream === undefined) await deflateInto(file, observed(), writer.store.zlibLevel);
      else pushInto(file, observed(), options.stream);
    } else {
      for (const chunk of observed()) writeFully(file.fd, chunk);
    }
    const { checksum, verity } = hash.end();
    requireExpected(checksum, options.expected);
    const written = !writer.has(checksum, 'file');
    if (written) writer.finishFile(file, checksum, header);
    else writer.release(reserved);
    return { checksum, verity, written };
  } finally {
    file.discard();
  }
}

async function deflateInto(file: TemporaryFile, content: Iterable<Uint8Array>, level: number): Promise<void> {
  const deflate = createDeflateRaw({ level, chunkSize: 64 * 1024 });
  deflate.on('data', (chunk: Uint8Array) => {
    try {
      writeFully(file.fd, chunk);
    } catch (error) {
      deflate.destroy(error as Error);
    }
  });
  const ended = once(deflate, 'end');
  ended.catch(() => {});
  try {
    for (const chunk of content) {
      // The stream still holds the chunk when the source overwrites its buffer, unless it is drained first.
      await new Promise<void>((resolve, reject) =>
        deflate.write(chunk, (error) => (error ? reject(error) : resolve())),
      );
    }
    deflate.end();
    await ended;
  } finally {
    deflate.destroy();
  }
}

function pushInto(file: TemporaryFile, content: Iterable<Uint8Array>, stream: DeflateStream): void {
  const emit = (output: Uint8Array) => writeFully(file.fd, output);
  for (const chunk of content) stream.push(chunk, emit);
  stream.end(emit);
}

function gather(content: Iterable<Uint8Array>, size: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  let seen = 0;
  for (const chunk of content) {
    seen += chunk.length;
    if (seen > size) break;
    chunks.push(chunks.length === 0 && chunk.length === size ? chunk : Uint8Array.from(chunk));
  }
  if (seen !== size) throw sizeChanged(seen, size);
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks);
}

/** Made once: small files are many. */
const contentHash = makePieceHash();

function requireExpected(checksum: string, expected: string | undefined): void {
  if (expected === undefined || expected === checksum) return;
  throw new SealtreeError(
    'mismatch',
    `Corrupted file object; checksum expected='${expected}' actual='${checksum}'`,
    { expected, found: checksum },
  );
}

function sizeChanged(found: number, expected: number): SealtreeError {
  return found < expected
    ? new SealtreeError('io', `Unexpected EOF with ${expected - found}/${expected} bytes remaining`)
    : new SealtreeError('io', `More content than the ${expected} bytes that were announced`);
}
