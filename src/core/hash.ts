/**
 * The hash port: the core asks for hashes, its surroundings say who computes them.
 * The default is @noble/hashes, which runs in any engine; src/node/hash.ts gives OpenSSL's.
 * @module
 */
import { sha256, sha512 } from '@noble/hashes/sha2.js';

export type HashName = 'sha256' | 'sha512';

/** Bytes of a digest. */
export const DIGEST_SIZE: Readonly<Record<HashName, number>> = { sha256: 32, sha512: 64 };

export interface StreamingHash {
  update(data: Uint8Array): void;
  digest(): Uint8Array;
}

export interface Hash {
  digest(name: HashName, data: Uint8Array): Uint8Array;
  /** Writes the digest of `data` to `target` at `at`: for Merkle trees, which make one digest for every block. */
  digestInto(name: HashName, data: Uint8Array, target: Uint8Array, at: number): void;
  /**
   * Writes the digests of all blocks of `data` behind each other to `target` at `at`. Where it is not there the blocks
   * are given to `digestInto` one by one.
   *
   * @param size bytes of a block; `data` is a whole number of them
   */
  digestBlocksInto?(name: HashName, data: Uint8Array, size: number, target: Uint8Array, at: number): void;
  create(name: HashName): StreamingHash;
}

const NOBLE = { sha256, sha512 } as const;

export const portableHash: Hash = {
  digest: (name, data) => NOBLE[name](data),
  digestInto: (name, data, target, at) => target.set(NOBLE[name](data), at),
  create: (name) => NOBLE[name].create(),
};
