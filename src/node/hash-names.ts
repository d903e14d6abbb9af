/**
 * Hashes by the names that cryptsetup takes: those of OpenSSL's providers in any case, and two of libgcrypt's.
 * Defined by OpenSSL: manual pages OSSL_PROVIDER-default(7) and OSSL_PROVIDER-legacy(7).
 * @module
 */
import { createHash, getHashes } from 'node:crypto';

export interface NamedHash {
  /** What Node calls it. */
  readonly algorithm: string;
  readonly digestSize: number;
}

/** Names of cryptsetup's and of OpenSSL's own for hashes that Node has under another. */
const ALIASES: Readonly<Record<string, string>> = {
  'blake2b-512': 'blake2b512',
  'blake2s-256': 'blake2s256',
  'sha-1': 'sha1',
  'ssl3-sha1': 'sha1',
  'ssl3-md5': 'md5',
  ripemd: 'ripemd160',
  'ripemd-160': 'ripemd160',
  rmd160: 'ripemd160',
};

/** What is a signature of a hash and no hash, and what has no size of its own. */
const NO_HASH = /^(rsa-|id-)|with|^shake/;

/** Hashes that veritysetup has and Node's OpenSSL as it is started has not: of the legacy provider, or of newer versions. */
const ELSEWHERE = /^(whirlpool|md4|mdc2|keccak-\d+|keccak-kmac-?\d+)$/;

/** @returns undefined if there is no such hash here */
export function hashNamed(name: string): NamedHash | undefined {
  const lower = name.toLowerCase();
  const algorithm = ALIASES[lower] ?? lower.replace(/^sha2?-(224|256|384|512)/, 'sha$1').replace('/', '-');
  if (NO_HASH.test(lower) || !getHashes().includes(algorithm)) return undefined;
  return { algorithm, digestSize: createHash(algorithm).digest().length };
}

/** Why there is no such hash, where it is not for want of one in all the world. */
export function whyNoHash(name: string): string | undefined {
  if (!ELSEWHERE.test(name.toLowerCase())) return undefined;
  return `veritysetup may have ${name}, the OpenSSL in this Node (${process.versions.openssl}) has not`;
}
