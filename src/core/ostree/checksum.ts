/** SHA-256 values inside metadata objects: 32 bytes there, 64 hexadecimal digits everywhere else. @module */
import { bytesFromHex, hexOf } from '../bytes/hex.ts';
import { malformed, prefixed } from '../errors.ts';
import type { Value } from '../gvariant/value.ts';

/** A checksum as a GVariant `ay`. */
export function checksumValue(checksum: string): Uint8Array {
  const bytes = bytesFromHex(checksum, 'checksum');
  if (bytes.length !== 32) throw malformed(`Invalid checksum of length ${bytes.length} expected 32`);
  return bytes;
}

/**
 * The checksum that a GVariant `ay` holds.
 *
 * @param what prefix of the message
 * @throws SealtreeError `malformed` unless it has 32 bytes
 */
export function checksumFrom(value: Value, what: string): string {
  const bytes = value as Uint8Array;
  if (bytes.length !== 32)
    throw prefixed(what, malformed(`Invalid checksum of length ${bytes.length} expected 32`));
  return hexOf(bytes);
}
