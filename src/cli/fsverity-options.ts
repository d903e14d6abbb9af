/** What the verbs of fsverity have in common: how its options are read and its files opened. @module */
import { closeSync } from 'node:fs';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { bytesFromHex } from '../core/bytes/hex.ts';
import type { HashName } from '../core/hash.ts';
import {
  DEFAULT_BLOCK_SIZE,
  HASH_ALGORITHM_NUMBER,
  type VerityParameters,
} from '../core/verity/descriptor.ts';
import { ioError } from '../node/io-error.ts';
import { openStable } from '../node/stable-read.ts';
import { usageError } from './usage.ts';
import type { OptionSpec, OptionValues } from './verb.ts';

export const TREE_OPTIONS: readonly OptionSpec[] = [
  { flags: '--hash-alg <hash_alg>', description: 'sha256, the default, or sha512' },
  {
    flags: '--block-size <block_size>',
    description: 'bytes of a block of the Merkle tree, a power of 2; 4096 by default',
  },
  {
    flags: '--salt <salt>',
    description: 'up to 32 bytes in hexadecimal, hashed before every block; none by default',
  },
];

const ALGORITHMS = Object.keys(HASH_ALGORITHM_NUMBER) as HashName[];

/**
 * Reads the options that say how the tree is built. Sizes are not limited yet: digest and enable differ in that.
 *
 * @throws SealtreeError `usage` in the words of fsverity
 */
export function treeParameters(options: OptionValues): VerityParameters {
  return {
    algorithm: hashAlgorithm(onlyValue(options, 'hash-alg')),
    blockSize: blockSizeOf(onlyValue(options, 'block-size')),
    salt: saltOf(onlyValue(options, 'salt')),
  };
}

/** The value of an option that fsverity takes once. */
export function onlyValue(options: OptionValues, name: string): ByteString | undefined {
  if (options.values(name).length > 1) throw usageError(`--${name} can only be specified once`);
  return options.value(name);
}

/** Runs `use` with a file open for reading; failures of the opening are fsverity's. */
export function withFile<T>(path: ByteString, use: (fd: number) => T): T {
  const fd = openForReading(path);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function openForReading(path: ByteString): number {
  try {
    return openStable(path, { follow: true });
  } catch (error) {
    throw ioError(`can't open '${displayByteString(path)}' for reading`, error);
  }
}

function hashAlgorithm(name: ByteString | undefined): HashName {
  if (name === undefined) return 'sha256';
  const algorithm = ALGORITHMS.find((known) => known === name);
  if (algorithm !== undefined) return algorithm;
  throw usageError(
    `unknown hash algorithm: '${displayByteString(name)}'\nAvailable hash algorithms: ${ALGORITHMS.join(' ')}`,
  );
}

/** As strtoul reads it: blanks and a sign may stand before. */
function blockSizeOf(text: ByteString | undefined): number {
  if (text === undefined) return DEFAULT_BLOCK_SIZE;
  const size = /^[ \t\n\v\f\r]*\+?[0-9]+$/.test(text) ? Number(text) : 0;
  if (size > 0 && size < 2 ** 31 && Number.isInteger(Math.log2(size))) return size;
  throw usageError(`Invalid block size: ${displayByteString(text)}.  Must be power of 2`);
}

function saltOf(hex: ByteString | undefined): Uint8Array {
  if (hex === undefined) return new Uint8Array(0);
  try {
    return bytesFromHex(hex);
  } catch {
    throw usageError('salt is not a valid hex string');
  }
}
