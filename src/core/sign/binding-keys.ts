/**
 * The key file of an initramfs: base64 of a public key on each line, empty lines and `#` comments between them.
 * Stricter than ostree-prepare-root, which takes any line for a key and notices one that is none only if no key
 * before it fits: here such a line is an error wherever it stands, and so is a key that could not verify anything.
 * @module
 */
import { type ByteString, bytesOf, displayByteString } from '../bytes/byte-string.ts';
import { hexOf } from '../bytes/hex.ts';
import { malformed } from '../errors.ts';
import { decodeBase64 } from './base64.ts';
import { isUsableKey } from './ed25519.ts';
import type { PublicKey } from './keys.ts';

/**
 * The keys of a key file; none if it has no line with one.
 *
 * @throws SealtreeError `malformed`, naming the first line that is neither key, comment nor empty
 */
export function parseBindingKeys(text: ByteString, path: ByteString): PublicKey[] {
  const source = displayByteString(path);
  return text.split('\n').flatMap((raw, i) => {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) return [];
    return [parseStrictKey(line as ByteString, `${source}: line ${i + 1}`, source)];
  });
}

/**
 * One public key in base64, without anything that a decoder would have to pass over.
 *
 * @param what names its place in messages
 * @throws SealtreeError `malformed` if it is not 32 bytes, or a key under which forged signatures verify
 */
export function parseStrictKey(base64: ByteString, what: string, source: string): PublicKey {
  const shown = displayByteString(base64.slice(0, 60) as ByteString);
  if (!/^[A-Za-z0-9+/]{43}=$/.test(base64))
    throw malformed(`${what}: not a public key, expected base64 of 32 bytes, found '${shown}'`);
  const key = decodeBase64(bytesOf(base64));
  if (!isUsableKey(key))
    throw malformed(
      `${what}: public key ${hexOf(key)} is not canonical or of small order: anyone could sign for it`,
    );
  return { key, hex: hexOf(key), source };
}
