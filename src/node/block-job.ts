/** The job that hashes the blocks of a part of an open file. @module */
import type { Hash } from '../core/hash.ts';
import { BlockHasher, type BlockRule } from '../core/verity/merkle.ts';
import { blockHash } from './hash.ts';
import { plainError } from './io-error.ts';
import type { Perform } from './jobs.ts';
import { readRange } from './stable-read.ts';

export interface BlockSettings {
  readonly rule: BlockRule;
}

/** A part of a file. Threads share descriptors, so that all read the same file whatever its name leads to by now. */
export interface BlockPart {
  readonly fd: number;
  /** Offset, a multiple of the block size. */
  readonly start: number;
  readonly length: number;
}

/** Bytes read at once, or one block if that is more: a whole number of blocks. */
const PIECE = 256 * 1024;

export function startJob({ rule }: BlockSettings): Perform {
  const hashPart = makePartHasher(blockHash(), rule);
  return ({ fd, start, length }: BlockPart): Uint8Array => {
    try {
      return hashPart(fd, start, length);
    } catch (error) {
      throw plainError(error);
    }
  };
}

/** The hashes, behind each other, of the blocks in a range of an open file. */
export type PartHasher = (fd: number, start: number, length: number) => Uint8Array;

/** @param buffer what the file is read to, a whole number of blocks */
export function makePartHasher(
  hash: Hash,
  rule: BlockRule,
  buffer: Buffer = Buffer.allocUnsafeSlow(Math.max(PIECE, rule.blockSize)),
): PartHasher {
  const blocks = new BlockHasher(hash, rule);
  return (fd, start, length) => {
    const leaves = new Uint8Array(Math.ceil(length / rule.blockSize) * rule.digestSize);
    let at = 0;
    readRange(fd, start, length, buffer, (piece) => {
      at += blocks.hashAllInto(piece, leaves, at) * rule.digestSize;
    });
    return leaves;
  };
}
