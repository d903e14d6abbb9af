/**
 * Keys of a commit's metadata that mean something, above all the composefs digest: the fs-verity digest of the image
 * that the commit's tree becomes.
 * Defined by ostree's source (`ostree.composefs.digest.v0`) and by its documentation (`ostree.composefs.v0`).
 * @module
 */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import { bytesFromHex, hexOf } from '../bytes/hex.ts';
import { SealtreeError } from '../errors.ts';
import type { Variant } from '../gvariant/value.ts';
import type { Commit, MetadataEntry } from './commit.ts';

export { inDictOrder } from './dict-order.ts';

/** The key that released ostree writes and reads. */
export const COMPOSEFS_DIGEST_KEY = byteString('ostree.composefs.digest.v0');

/** The key that ostree's documentation names. */
export const COMPOSEFS_KEY = byteString('ostree.composefs.v0');

export const REF_BINDING_KEY = byteString('ostree.ref-binding');
export const COLLECTION_BINDING_KEY = byteString('ostree.collection-binding');
export const SIZES_KEY = byteString('ostree.sizes');
export const LINUX_KEY = byteString('ostree.linux');
export const BOOTABLE_KEY = byteString('ostree.bootable');

/** Whether only a computed composefs digest may stand under this key. */
export function isComposefsKey(key: ByteString): boolean {
  return key === COMPOSEFS_DIGEST_KEY || key === COMPOSEFS_KEY;
}

/** The digest (64 hexadecimal digits) as a metadata value. */
export function composefsValue(digest: string): Variant {
  return { type: 'ay', value: bytesFromHex(digest, 'composefs digest') };
}

/**
 * The composefs digest that a commit carries under either key.
 *
 * @returns 64 hexadecimal digits, or undefined if it carries none
 * @throws SealtreeError `malformed` if a value is not 32 bytes, a key stands twice, or the two keys differ
 */
export function composefsDigest(commit: Pick<Commit, 'metadata'>): string | undefined {
  let found: { key: ByteString; digest: string } | undefined;
  const seen = new Set<ByteString>();
  for (const [key, value] of commit.metadata) {
    if (!isComposefsKey(key)) continue;
    if (seen.has(key)) throw new SealtreeError('malformed', `${key}: stands twice in the commit's metadata`);
    seen.add(key);
    const digest = digestFrom(key, value);
    if (found !== undefined && found.digest !== digest) {
      throw new SealtreeError(
        'malformed',
        `${key}: digest is ${digest}, but ${found.key} says ${found.digest}`,
        { expected: found.digest, found: digest },
      );
    }
    found = { key, digest };
  }
  return found?.digest;
}

function digestFrom(key: ByteString, { type, value }: Variant): string {
  if (type !== 'ay') throw new SealtreeError('malformed', `${key}: type is ${type}, expected ay`);
  const bytes = value as Uint8Array;
  if (bytes.length !== 32)
    throw new SealtreeError(
      'malformed',
      `${key}: Expected composefs fs-verity in metadata has the wrong size: ${bytes.length} bytes, expected 32`,
    );
  return hexOf(bytes);
}

/**
 * The value of a key, the first if it stands there more than once, as g_variant_lookup finds it.
 *
 * @returns undefined if the key is not there
 */
export function lookup(metadata: readonly MetadataEntry[], key: ByteString): Variant | undefined {
  return metadata.find(([name]) => name === key)?.[1];
}
