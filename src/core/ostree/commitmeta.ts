/**
 * The commitmeta object: metadata beside a commit that is not part of its checksum, above all its signatures;
 * GVariant `a{sv}`. Defined by ostree's repository format.
 * @module
 */
import type { ByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import { decodeVariant } from '../gvariant/decode.ts';
import { encodeVariant } from '../gvariant/encode.ts';
import type { Variant } from '../gvariant/value.ts';
import type { MetadataEntry } from './commit.ts';
import { inDictOrder } from './dict-order.ts';
import { lookup } from './metadata.ts';

export const METADATA_TYPE = 'a{sv}';

/** The bytes of the object, entries in the given order. */
export function encodeCommitmeta(entries: readonly MetadataEntry[]): Uint8Array {
  return encodeVariant(
    METADATA_TYPE,
    entries.map(([key, value]) => [key, value]),
  );
}

/**
 * Decodes a commitmeta object; one of no bytes has no entries.
 *
 * @param what names the object in messages: `CHECKSUM.commitmeta`
 * @throws SealtreeError `malformed`
 */
export function decodeCommitmeta(data: Uint8Array, what: string): MetadataEntry[] {
  return decodeVariant(METADATA_TYPE, data, what) as [ByteString, Variant][];
}

/**
 * The signatures that stand under a key.
 *
 * @param key such as `ostree.sign.ed25519`
 * @returns the raw signatures in their order; none if the key is not there
 * @throws SealtreeError `malformed` if the value is not of type `aay`
 */
export function signatures(entries: readonly MetadataEntry[], key: ByteString): Uint8Array[] {
  const value = lookup(entries, key);
  if (value === undefined) return [];
  if (value.type !== 'aay') throw malformed(`${key}: type is ${value.type}, expected aay`);
  return value.value as Uint8Array[];
}

/**
 * Adds a signature behind those that stand under the key already; like ostree, without looking for the same one.
 *
 * @returns the entries in the order in which ostree writes them
 */
export function withSignature(
  entries: readonly MetadataEntry[],
  key: ByteString,
  signature: Uint8Array,
): MetadataEntry[] {
  const value: Variant = { type: 'aay', value: [...signatures(entries, key), signature] };
  return inDictOrder<MetadataEntry>([...entries, [key, value]]);
}
