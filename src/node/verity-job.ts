/** The job that digests files: fs-verity digests, contents of small files, block hashes of parts of large ones. @module */
import { closeSync } from 'node:fs';
import { type ByteString, byteString, byteStringFrom } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { SealtreeError } from '../core/errors.ts';
import { DIGEST_SIZE } from '../core/hash.ts';
import { type VerityOptions, type VerityParameters, verityParameters } from '../core/verity/descriptor.ts';
import { VerityHash } from '../core/verity/digest.ts';
import { BlockHasher } from '../core/verity/merkle.ts';
import { opensslHash } from './hash.ts';
import { plainError } from './io-error.ts';
import type { Perform } from './jobs.ts';
import { checkUnchanged, type FileStamp, openStable, readRange, readStable } from './stable-read.ts';

/** Bytes read at once: a whole number of blocks of any size. */
const PIECE = 1024 * 1024;

/** Files to digest, or a part of one. */
export type VerityBatch = { readonly files: readonly VerityFile[] } | { readonly part: VerityPart };

export interface VerityFile {
  readonly place: ByteString;
  readonly stamp: FileStamp;
  /** Whether the content itself is wanted, instead of the digest. */
  readonly content: boolean;
}

export interface VerityPart {
  readonly place: ByteString;
  readonly stamp: FileStamp;
  /** Offset, a multiple of the block size. */
  readonly start: number;
  readonly length: number;
  /** The hashes of all blocks of the file; this part fills in its own. */
  readonly leaves: SharedArrayBuffer;
}

/** For each file of a batch the digest in hexadecimal, or the content; nothing for a part. */
export type VerityResult = readonly ByteString[];

/** Of a failure: which file of its batch. */
export const FAILED_FILE = 'file';

/** @param options how digests are computed */
export function startJob(options: VerityOptions): Perform {
  const parameters = verityParameters(options);
  const buffer = Buffer.allocUnsafeSlow(PIECE);
  const verity = new VerityHash(opensslHash, parameters);
  const blocks = new BlockHasher(opensslHash, parameters);
  return (batch: VerityBatch): VerityResult => {
    if ('part' in batch) {
      hashPart(batch.part, blocks, parameters, buffer);
      return [];
    }
    return batch.files.map((file, index) => {
      try {
        return file.content ? contentOf(file, buffer) : digestOf(file, verity, buffer);
      } catch (error) {
        throw aboutFile(index, error);
      }
    });
  };
}

function digestOf({ place, stamp }: VerityFile, verity: VerityHash, buffer: Buffer): ByteString {
  verity.reset();
  readStable(place, stamp, buffer, (piece) => verity.update(piece));
  return byteString(hexOf(verity.digest()));
}

function contentOf({ place, stamp }: VerityFile, buffer: Buffer): ByteString {
  let content = '';
  readStable(place, stamp, buffer, (piece) => {
    content += byteStringFrom(piece);
  });
  return byteString(content);
}

function hashPart(part: VerityPart, blocks: BlockHasher, parameters: VerityParameters, buffer: Buffer): void {
  const leaves = new Uint8Array(part.leaves);
  const digestSize = DIGEST_SIZE[parameters.algorithm];
  let at = (part.start / parameters.blockSize) * digestSize;
  let fd: number | undefined;
  try {
    fd = openStable(part.place);
    readRange(fd, part.start, part.length, buffer, (piece) => {
      at += blocks.hashAllInto(piece, leaves, at) * digestSize;
    });
    checkUnchanged(fd, part.stamp);
  } catch (error) {
    throw aboutFile(0, error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** The failure with the file's place in its batch; without a path, which whoever asked knows better. */
function aboutFile(index: number, error: unknown): unknown {
  const plain = plainError(error);
  if (!(plain instanceof SealtreeError)) return plain;
  return new SealtreeError(plain.code, plain.message, { ...plain.detail, [FAILED_FILE]: index });
}
