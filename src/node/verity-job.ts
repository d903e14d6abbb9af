/** The job that digests files: fs-verity digests, contents of small files, block hashes of parts of large ones. @module */
import { closeSync } from 'node:fs';
import { type ByteString, byteString, byteStringFrom } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { DIGEST_SIZE } from '../core/hash.ts';
import type { VerityParameters } from '../core/verity/descriptor.ts';
import { VerityHash } from '../core/verity/digest.ts';
import { blockRule } from '../core/verity/merkle.ts';
import { makePartHasher } from './block-job.ts';
import { blockHash } from './hash.ts';
import { plainError } from './io-error.ts';
import type { Perform } from './jobs.ts';
import {
  checkUnchanged,
  type FileStamp,
  openStable,
  readAll,
  readRange,
  unpackStamp,
} from './stable-read.ts';

export interface VeritySettings {
  readonly parameters: VerityParameters;
  /** Whether the last name of a place may be a symlink. */
  readonly follow: boolean;
}

/** Bytes read at once, or one block if that is more: a whole number of blocks. */
const PIECE = 1024 * 1024;

/** Files to digest, or a part of one. */
export type VerityBatch = { readonly files: VerityFiles } | { readonly part: VerityPart };

/** Files by column, which is several times cheaper to send than an object for each. */
export interface VerityFiles {
  readonly places: readonly ByteString[];
  /** Five numbers for each file, see `packStamp`. */
  readonly stamps: Float64Array;
  /** For each file 1 if the content itself is wanted, 0 for the digest. */
  readonly contents: Uint8Array;
}

export interface VerityPart {
  readonly place: ByteString;
  readonly stamp: FileStamp;
  /** Offset, a multiple of the block size. */
  readonly start: number;
  readonly length: number;
}

/** For each file of a batch the digest in hexadecimal, or the content; of a part the hashes of its blocks. */
export type VerityResult = readonly ByteString[] | Uint8Array;

/** Of a failure: which file of its batch. */
export const FAILED_FILE = 'file';

export interface FileReader {
  /** What is asked of one open file: its digest in hexadecimal, or its content. */
  read(fd: number, stamp: FileStamp, isContent: boolean): ByteString;
  /** The hashes of the blocks of a part. */
  hashPart(part: VerityPart): Uint8Array;
}

export function startJob(settings: VeritySettings): Perform {
  const reader = makeFileReader(settings);
  return (batch: VerityBatch): VerityResult => {
    if ('files' in batch) return readFiles(reader, batch.files, settings.follow);
    try {
      return reader.hashPart(batch.part);
    } catch (error) {
      throw aboutFile(0, error);
    }
  };
}

function readFiles(
  reader: FileReader,
  { places, stamps, contents }: VerityFiles,
  follow: boolean,
): ByteString[] {
  return places.map((place, index) => {
    try {
      const fd = openStable(place, { follow });
      try {
        return reader.read(fd, unpackStamp(stamps, index), contents[index] === 1);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      throw aboutFile(index, error);
    }
  });
}

export function makeFileReader({ parameters, follow }: VeritySettings): FileReader {
  const hash = blockHash();
  const buffer = Buffer.allocUnsafeSlow(Math.max(PIECE, parameters.blockSize));
  const verity = new VerityHash(hash, parameters);
  const hashRange = makePartHasher(hash, blockRule(parameters), buffer);
  const digestSize = DIGEST_SIZE[parameters.algorithm];
  const digest = Buffer.allocUnsafeSlow(digestSize);
  const wholeLimit = Math.min(verity.wholeLimit, buffer.length);
  return {
    read(fd, stamp, isContent) {
      const result = isContent ? contentOf(fd, stamp) : digestOf(fd, stamp);
      checkUnchanged(fd, stamp);
      return result;
    },
    hashPart({ place, stamp, start, length }) {
      const fd = openStable(place, { follow });
      try {
        const leaves = hashRange(fd, start, length);
        checkUnchanged(fd, stamp);
        return leaves;
      } finally {
        closeSync(fd);
      }
    },
  };

  function digestOf(fd: number, { size }: FileStamp): ByteString {
    let descriptor: Uint8Array;
    if (size > 0 && size <= wholeLimit) {
      readAll(fd, 0, size, buffer);
      descriptor = verity.wholeDescriptor(buffer, size);
    } else {
      verity.reset();
      readRange(fd, 0, size, buffer, (piece) => verity.update(piece));
      descriptor = verity.descriptor();
    }
    hash.digestInto(parameters.algorithm, descriptor, digest, 0);
    return byteString(digest.toString('hex'));
  }

  function contentOf(fd: number, { size }: FileStamp): ByteString {
    let content = '';
    readRange(fd, 0, size, buffer, (piece) => {
      content += byteStringFrom(piece);
    });
    return byteString(content);
  }
}

/** The failure with the file's place in its batch; without a path, which whoever asked knows better. */
function aboutFile(index: number, error: unknown): unknown {
  const plain = plainError(error);
  if (!(plain instanceof SealtreeError)) return plain;
  return new SealtreeError(plain.code, plain.message, { ...plain.detail, [FAILED_FILE]: index });
}
