/**
 * The compressions of an initramfs: gzip by Node's zlib, zstd and xz by the programs of these names, which also keeps
 * their decoders out of this process.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { malformed, SealtreeError } from '../core/errors.ts';
import { inflateRaw } from '../node/inflate.ts';
import { ioError } from '../node/io-error.ts';
import type { Compression } from './archives.ts';
import { zstdFrameLength } from './zstd-frame.ts';

/** Bytes of compressed data given to zlib at once. */
const PIECE = 1024 * 1024;
const GZIP_TRAILER = 8;

/** See `Decompress` in archives.ts. */
export function decompress(
  compression: Compression,
  image: Uint8Array,
  at: number,
  limit: number,
): { content: Uint8Array; length: number } {
  switch (compression) {
    case 'gzip':
      return gunzip(image, at, limit);
    case 'zstd': {
      const length = zstdFrameLength(image, at);
      const content = runDecompressor(['zstd', '-dcq'], image.subarray(at, at + length), limit);
      return { content, length };
    }
    case 'xz': {
      // Where an xz stream ends is not easily found: the kernel takes the first, `xz` refuses what is no further one.
      const data = image.subarray(at);
      return { content: runDecompressor(['xz', '-dcq'], withoutZeros(data), limit), length: data.length };
    }
  }
}

function gunzip(image: Uint8Array, at: number, limit: number): { content: Uint8Array; length: number } {
  const dataAt = gzipHeaderEnd(image, at);
  const pieces: Uint8Array[] = [];
  let size = 0;
  const inflating = inflateRaw(slices(image, dataAt));
  for (;;) {
    const { done, value } = inflating.next();
    if (done) {
      const end = dataAt + value + GZIP_TRAILER;
      if (end > image.length) throw malformed('the checksum at the end is missing');
      return { content: Buffer.concat(pieces, size), length: end - at };
    }
    size += value.length;
    if (size > limit) {
      inflating.return(0);
      throw tooLarge(limit);
    }
    pieces.push(value.slice());
  }
}

/** The kernel passes over a file name and knows no other member of the header. */
function gzipHeaderEnd(image: Uint8Array, at: number): number {
  const FNAME = 8;
  const flags = image[at + 3] ?? 0;
  if (image[at + 2] !== 8 || (flags & ~(FNAME | 1)) !== 0)
    throw malformed('a gzip header that the kernel does not read');
  if ((flags & FNAME) === 0) return at + 10;
  const end = image.indexOf(0, at + 10);
  if (end < 0) throw malformed('a file name that does not end');
  return end + 1;
}

function* slices(data: Uint8Array, from: number): Generator<Uint8Array> {
  for (let at = from; at < data.length; at += PIECE) yield data.subarray(at, at + PIECE);
}

function withoutZeros(data: Uint8Array): Uint8Array {
  let end = data.length;
  while (end > 0 && data[end - 1] === 0) end--;
  return data.subarray(0, end);
}

function runDecompressor(
  [program, ...args]: readonly [string, ...string[]],
  data: Uint8Array,
  limit: number,
): Uint8Array {
  const { error, status, signal, stdout, stderr } = spawnSync(program, args, {
    input: data,
    maxBuffer: limit,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ENOENT')
    throw new SealtreeError(
      'unsupported',
      `the program ${program} is needed to read it, and is not installed`,
    );
  if (code === 'ENOBUFS') throw tooLarge(limit);
  if (status === 0) return stdout;
  if (error !== undefined && code !== 'EPIPE') throw ioError(`running ${program}`, error);
  const reason = stderr.toString('utf8').trim().split('\n').at(-1) || `ended with ${signal ?? status}`;
  throw malformed(reason.replace(/[^\x20-\x7e]/g, '?'));
}

function tooLarge(limit: number): SealtreeError {
  return malformed(`decompresses to more than ${limit} bytes, which is all that is left of what is allowed`);
}
