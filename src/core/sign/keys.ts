/**
 * ostree's Ed25519 key files: one base64 key a line, without comments. A public key has 32 bytes, a secret key
 * 64: the seed and the public key behind it, as libsodium lays it out.
 * Source: ostree man page ostree-sign(1), and ostree's messages for keys that are neither.
 * @module
 */
import { type ByteString, bytesOf, displayByteString } from '../bytes/byte-string.ts';
import { hexOf } from '../bytes/hex.ts';
import { malformed } from '../errors.ts';
import { base64Of, decodeBase64 } from './base64.ts';
import { PUBLIC_KEY_SIZE } from './ed25519.ts';

export const SEED_SIZE = 32;
export const SECRET_KEY_SIZE = SEED_SIZE + PUBLIC_KEY_SIZE;

/** A public key, and where it was found. */
export interface PublicKey {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 64 lower-case digits, the name under which ostree prints it. */
  readonly hex: string;
  /** For messages: a file, or `argument 1`. */
  readonly source: string;
}

/**
 * Decodes one public key.
 *
 * @throws SealtreeError `malformed` in ostree's words if it has not 32 bytes
 */
export function parsePublicKey(base64: ByteString, source: string): PublicKey {
  return makePublicKey(decodeBase64(bytesOf(base64)), source, 'Invalid ed25519 public key');
}

/** The line that holds a public key in a key file. */
export function encodePublicKey(key: Uint8Array): ByteString {
  return `${base64Of(key)}\n` as ByteString;
}

/**
 * The keys of a file with public keys, as `ostree sign` loads it: lines that are no key are passed over as long
 * as one is, an empty line is an error.
 *
 * @param kind `revoked` only changes the message
 * @throws SealtreeError `malformed` in ostree's words
 */
export function parsePublicKeyFile(
  text: ByteString,
  path: ByteString,
  kind: 'trusted' | 'revoked' = 'trusted',
): PublicKey[] {
  const source = displayByteString(path);
  const keys: PublicKey[] = [];
  let first: unknown;
  for (const line of keyLines(text)) {
    if (line === '') throw malformed('Invalid base64 blob format', { path: source });
    try {
      const prefix = kind === 'trusted' ? 'Invalid ed25519 public key' : 'Incorrect ed25519 revoked key';
      keys.push(makePublicKey(decodeBase64(bytesOf(line)), source, prefix));
    } catch (error) {
      first ??= error;
    }
  }
  if (keys.length > 0) return keys;
  if (first === undefined)
    throw malformed(`signature: ed25519: no valid keys in file '${source}'`, { path: source });
  throw malformed(
    `ed25519: unable to read from NULL key-data input stream: ${first instanceof Error ? first.message : ''}`,
    { path: source },
  );
}

/** The lines of a key file; a line end at its end begins no further line. */
export function keyLines(text: ByteString): ByteString[] {
  const lines = text.split('\n') as ByteString[];
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/**
 * Checks the length of a decoded secret key.
 *
 * @throws SealtreeError `malformed` in ostree's words
 */
export function checkSecretKeySize(length: number): void {
  checkSize(length, SECRET_KEY_SIZE, 'Invalid ed25519 secret key');
}

function makePublicKey(key: Uint8Array, source: string, prefix: string): PublicKey {
  checkSize(key.length, PUBLIC_KEY_SIZE, prefix);
  return { key, hex: hexOf(key), source };
}

function checkSize(found: number, expected: number, prefix: string): void {
  if (found !== expected) {
    throw malformed(`${prefix}: Ill-formed input: expected ${expected} bytes, got ${found} bytes`, {
      expected,
      found,
    });
  }
}
