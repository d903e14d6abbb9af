/** UUIDs: RFC 9562. @module */
import { bytesFromHex, hexOf } from './hex.ts';

const DASHES_BEHIND = [8, 12, 16, 20] as const;

/** The first 16 bytes of a hash as a UUID: version 8, made in its owner's own way. */
export function uuidFrom(hash: Uint8Array): Uint8Array {
  const uuid = hash.slice(0, 16);
  uuid[6] = ((uuid[6] as number) & 0x0f) | 0x80;
  uuid[8] = ((uuid[8] as number) & 0x3f) | 0x80;
  return uuid;
}

/** `01234567-89ab-cdef-0123-456789abcdef`. */
export function formatUuid(uuid: Uint8Array): string {
  const hex = hexOf(uuid);
  return [0, ...DASHES_BEHIND].map((from, i) => hex.slice(from, DASHES_BEHIND[i])).join('-');
}

/** @throws SealtreeError `malformed` if it holds anything but hexadecimal digits and dashes */
export function parseUuid(text: string): Uint8Array {
  return bytesFromHex(text.replaceAll('-', ''), 'UUID');
}
