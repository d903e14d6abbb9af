/** Lower-case hexadecimal, the form in which checksums and digests are named. @module */
import { malformed } from '../errors.ts';

const DIGITS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
);

/** Bytes as lower-case hexadecimal. */
export function hexOf(data: Uint8Array): string {
  let out = '';
  for (let i = 0; i < data.length; i++) out += DIGITS[data[i] as number];
  return out;
}

/**
 * Parses hexadecimal of either case.
 *
 * @param what names the value in the error message
 * @throws SealtreeError `malformed` on an odd length or another character
 */
export function bytesFromHex(hex: string, what = 'hexadecimal value'): Uint8Array {
  if (hex.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(hex))
    throw malformed(`${what} is not hexadecimal: ${hex.slice(0, 80)}`);
  const out = new Uint8Array(hex.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return out;
}

/** Whether `text` is a SHA-256 value as ostree names objects: exactly 64 lower-case hexadecimal digits. */
export function isChecksum(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}
