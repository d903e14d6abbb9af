/** The job that digests files: fs-verity digests, contents of small files, block hashes of parts of large ones. @module */
import { hash } from 'node:crypto';
import { closeSync } from 'node:fs';
import { type ByteString, byteString, byteStringFrom } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { DIGEST_SIZE } from '../core/hash.ts';
import type { VerityParameters } from '../core/verity/descriptor.ts';
import { VerityHash } from '../core/verity/digest.ts';
import { BlockHasher } from '../core/verity/merkle.ts';
import { opensslHash } from './hash.ts';
import { plainError } from './io-error.ts';
import type { Perform } from './jobs.ts';
import {
  checkUnchanged,
  type FileStamp,
  openStable,
  readRange,
  readStable,
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

export function startJob({ parameters, follow }: VeritySettings): Perform {
  const buffer = Buffer.allocUnsafeSlow(Math.max(PIECE, parameters.blockSize));
  const verity = new VerityHash(opensslHash, parameters);
  const blocks = new BlockHasher(opensslHash, parameters);
  return (batch: VerityBatch): VerityResult => {
    if ('part' in batch) return hashPart(batch.part);
    const { places, stamps, contents } = batch.files;
    return places.map((place, index) => {
      try {
        const stamp = unpackStamp(stamps, index);
        return contents[index] === 1 ? contentOf(place, stamp) : digestOf(place, stamp);
      } catch (error) {
        throw aboutFile(index, error);
      }
    });
  };

  function digestOf(place: ByteString, stamp: FileStamp): ByteString {
    verity.reset();
    readStable(place, stamp, buffer, (piece) => verity.update(piece), { follow });
    return byteString(hash(parameters.algorithm, verity.descriptor(), 'hex'));
  }

  function contentOf(place: ByteString, stamp: FileStamp): ByteString {
    let content = '';
    const add = (piece: Uint8Array) => {
      content += byteStringFrom(piece);
    };
    readStable(place, stamp, buffer, add, { follow });
    return byteString(content);
  }

  function hashPart({ place, stamp, start, length }: VerityPart): Uint8Array {
    const digestSize = DIGEST_SIZE[parameters.algorithm];
    const leaves = new Uint8Array(Math.ceil(length / parameters.blockSize) * digestSize);
    let at = 0;
    let fd: number | undefined;
    try {
      fd = openStable(place, { follow });
      readRange(fd, start, length, buffer, (piece) => {
        at += blocks.hashAllInto(piece, leaves, at) * digestSize;
      });
      checkUnchanged(fd, stamp);
      return leaves;
    } catch (error) {
      throw aboutFile(0, error);
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }
}

/** The failure with the file's place in its batch; without a path, which whoever asked knows better. */
function aboutFile(index: number, error: unknown): unknown {
  const plain = plainError(error);
  if (!(plain instanceof SealtreeError)) return plain;
  return new SealtreeError(plain.code, plain.message, { ...plain.detail, [FAILED_FILE]: index });
}
