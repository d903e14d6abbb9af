/**
 * The hash port: the core asks for hashes, its surroundings say who computes them.
 * The default is @noble/hashes, which runs in any engine; src/node/hash.ts gives OpenSSL's.
 * @module
 */
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { SealtreeError } from './errors.ts';

export type HashName = 'sha256' | 'sha512';

/** Bytes of a digest. */
export const DIGEST_SIZE: Readonly<Record<HashName, number>> = { sha256: 32, sha512: 64 };

export interface StreamingHash {
  update(data: Uint8Array): void;
  digest(): Uint8Array;
}

export interface Hash {
  digest(name: HashName, data: Uint8Array): Uint8Array;
  /**
   * Writes the digest of `data` to `target` at `at`: for Merkle trees, which make one digest for every block.
   *
   * @param name one of `HashName`, or another that the surroundings said they have: dm-verity takes any
   */
  digestInto(name: string, data: Uint8Array, target: Uint8Array, at: number): void;
  /**
   * Writes the digests of all blocks of `data` behind each other to `target` at `at`. Where it is not there, or it
   * returns false because it does nothing for this hash, the blocks are to be given to `digestInto` one by one.
   *
   * @param size bytes of a block; `data` is a whole number of them
   * @param salt is hashed before every block
   */
  digestBlocksInto?(
    name: string,
    data: Uint8Array,
    size: number,
    target: Uint8Array,
    at: number,
    salt: Uint8Array,
  ): boolean;
  create(name: HashName): StreamingHash;
}

const NOBLE = { sha256, sha512 } as const;

export const portableHash: Hash = {
  digest: (name, data) => NOBLE[name](data),
  digestInto(name, data, target, at) {
    if (!Object.hasOwn(NOBLE, name))
      throw new SealtreeError('unsupported', `hash ${name} is not to be had here`);
    target.set(NOBLE[name as HashName](data), at);
  },
  create: (name) => NOBLE[name].create(),
};
