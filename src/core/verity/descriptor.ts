/**
 * The fs-verity descriptor, whose hash is the fs-verity digest of a file.
 * Defined by the kernel: Documentation/filesystems/fsverity.rst, "fs-verity descriptor"; include/uapi/linux/fsverity.h.
 * @module
 */
import { malformed } from '../errors.ts';
import { DIGEST_SIZE, type HashName } from '../hash.ts';

/** How a Merkle tree is built. What is left out is what composefs and ostree use: SHA-256, 4096 bytes, no salt. */
export interface VerityOptions {
  readonly algorithm?: HashName | undefined;
  /** Bytes of a block of data and of the tree: a power of two. The kernel has those from 1024 to its page size. */
  readonly blockSize?: number | undefined;
  /** At most 32 bytes. */
  readonly salt?: Uint8Array | undefined;
}

export interface VerityParameters {
  readonly algorithm: HashName;
  readonly blockSize: number;
  readonly salt: Uint8Array;
}

export const DEFAULT_BLOCK_SIZE = 4096;
export const DESCRIPTOR_SIZE = 256;

const MAX_SALT_SIZE = 32;
const MAX_BLOCK_SIZE = 2 ** 30;

/** `FS_VERITY_HASH_ALG_*`. */
export const HASH_ALGORITHM_NUMBER: Readonly<Record<HashName, number>> = { sha256: 1, sha512: 2 };

const NO_SALT = new Uint8Array(0);

/**
 * Fills in the defaults.
 *
 * @throws SealtreeError `malformed` for a block size that holds no two digests, or one or a salt that is too large, in the words of
 *   libfsverity
 */
export function verityParameters(options: VerityOptions = {}): VerityParameters {
  const { algorithm = 'sha256', blockSize = DEFAULT_BLOCK_SIZE, salt = NO_SALT } = options;
  if (!Number.isInteger(Math.log2(blockSize)) || blockSize > MAX_BLOCK_SIZE) {
    throw malformed(`block size (${blockSize}) is not a power of 2 up to ${MAX_BLOCK_SIZE}`);
  }
  if (blockSize < 2 * DIGEST_SIZE[algorithm]) {
    throw malformed(`block size (${blockSize}) too small for hash algorithm ${algorithm}`);
  }
  if (salt.length > MAX_SALT_SIZE) {
    throw malformed(`unsupported salt size (${salt.length})`);
  }
  return { algorithm, blockSize, salt };
}

/**
 * Encodes the descriptor of a file.
 *
 * @param dataSize bytes of file data
 * @param rootHash root of the Merkle tree, 32 bytes for sha256 and 64 for sha512; all zeros for an empty file
 * @param out 256 bytes to write to, which held zeros or a descriptor with the same parameters before
 * @returns `out`
 * @throws SealtreeError `malformed` if `rootHash` has not the length of its algorithm
 */
export function encodeDescriptor(
  { algorithm, blockSize, salt }: VerityParameters,
  dataSize: number,
  rootHash: Uint8Array,
  out: Uint8Array = new Uint8Array(DESCRIPTOR_SIZE),
): Uint8Array {
  if (rootHash.length !== DIGEST_SIZE[algorithm]) {
    throw malformed(`${algorithm} root hash has ${rootHash.length} bytes, not ${DIGEST_SIZE[algorithm]}`);
  }
  out[0] = 1; // version
  out[1] = HASH_ALGORITHM_NUMBER[algorithm];
  out[2] = Math.log2(blockSize);
  out[3] = salt.length;
  for (let i = 0, rest = dataSize; i < 8; i++, rest = Math.floor(rest / 256)) out[8 + i] = rest % 256;
  out.set(rootHash, 16);
  out.set(salt, 80);
  return out;
}
