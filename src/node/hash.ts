/** OpenSSL's hashes for the Hash port of the core. @module */
import { DIGEST_SIZE, type Hash } from '../core/hash.ts';
import { type Native, native } from './native.ts';
import { addressIn, findSha256Blocks, type Sha256Blocks } from './sha256-blocks.ts';

/** By node:crypto, loaded when it is first needed: that takes some 3 ms. */
export const opensslHash: Hash = {
  digest: (name, data) => crypto().hash(name, data, 'buffer'),
  digestInto(name, data, target, at) {
    // A string of one character a byte costs no Buffer: 1.53 against 1.31 GB/s on blocks of 4 KiB.
    const digest = crypto().hash(name, data, 'latin1' as 'hex');
    for (let i = 0; i < digest.length; i++) target[at + i] = digest.charCodeAt(i);
  },
  create: (name) => crypto().createHash(name),
};

const NO_SALT = new Uint8Array(0);

type Crypto = typeof import('node:crypto');
let loaded: Crypto | undefined;

function crypto(): Crypto {
  loaded ??= process.getBuiltinModule('node:crypto');
  return loaded;
}

/**
 * The same hashes, faster for who hashes many blocks: by the native part, else by libcrypto (see sha256-blocks.ts), which
 * is only worth it for who calls C anyway.
 */
export function blockHash(): Hash {
  return nativeHash() ?? libcryptoHash();
}

/** The same hashes by the native part; undefined where there is none. */
export function nativeHash(): Hash | undefined {
  const part = native();
  if (part !== undefined) byNative ??= hashByNative(part);
  return part && byNative;
}

function libcryptoHash(): Hash {
  if (byLibcrypto === undefined) {
    const sha256 = findSha256Blocks();
    byLibcrypto = sha256 === undefined ? opensslHash : hashByLibcrypto(sha256);
  }
  return byLibcrypto;
}

let byNative: Hash | undefined;
let byLibcrypto: Hash | undefined;

/** SHA-256 hashes so many bytes at once; the native part does not divide them. */
const CHUNK = 64;

/** By the native part what it has, and the rest by others. */
export function hashByNative({ hashBlocks }: Native): Hash {
  const takes = (name: string, size: number) => name === 'sha256' && size >= CHUNK && size % CHUNK === 0;
  return hashWith(
    (name, data, target, at) => {
      if (takes(name, data.length)) hashBlocks(data, data.length, target, at, NO_SALT);
      else opensslHash.digestInto(name, data, target, at);
    },
    (name, data, size, target, at, salt) => {
      if (!takes(name, size)) {
        return libcryptoHash().digestBlocksInto?.(name, data, size, target, at, salt) ?? false;
      }
      hashBlocks(data, size, target, at, salt);
      return true;
    },
  );
}

function hashByLibcrypto(sha256: Sha256Blocks): Hash {
  /** @throws RangeError where C would write to memory of others */
  const hashSha256 = (
    data: Uint8Array,
    count: number,
    size: number,
    target: Uint8Array,
    at: number,
    salt: Uint8Array,
  ) => {
    if (at + count * DIGEST_SIZE.sha256 > target.length) throw new RangeError('no room for the digests');
    sha256(addressIn(data), count, size, target, at, salt);
  };
  return hashWith(
    (name, data, target, at) => {
      if (name === 'sha256') hashSha256(data, 1, data.length, target, at, NO_SALT);
      else opensslHash.digestInto(name, data, target, at);
    },
    (name, data, size, target, at, salt) => {
      if (name !== 'sha256') return false;
      hashSha256(data, Math.floor(data.length / size), size, target, at, salt);
      return true;
    },
  );
}

function hashWith(
  digestInto: Hash['digestInto'],
  digestBlocksInto: NonNullable<Hash['digestBlocksInto']>,
): Hash {
  return {
    digestBlocksInto,
    digestInto,
    digest(name, data) {
      const digest = new Uint8Array(DIGEST_SIZE[name]);
      digestInto(name, data, digest, 0);
      return digest;
    },
    create: opensslHash.create,
  };
}
