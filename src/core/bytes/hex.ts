/** Lower-case hexadecimal, the form in which checksums and digests are named. @module */
import { malformed } from '../errors.ts';

const DIGITS = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));

const NOT_A_DIGIT = 0x10;

/** Value of each character below U+0080 as a digit. */
const NIBBLES = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = '0123456789abcdef'.indexOf(String.fromCharCode(code).toLowerCase());
  return value < 0 ? NOT_A_DIGIT : value;
});

/** Bytes turned into one string at a time: a digest at most. Piecing strings together was four times slower (measured). */
const CHUNK = 64;
const codes = new Uint8Array(2 * CHUNK);

/** Bytes as lower-case hexadecimal. */
export function hexOf(data: Uint8Array): string {
  let out = '';
  for (let start = 0; start < data.length; start += CHUNK) {
    const count = Math.min(CHUNK, data.length - start);
    for (let i = 0; i < count; i++) {
      const byte = data[start + i] as number;
      codes[2 * i] = DIGITS[byte >> 4] as number;
      codes[2 * i + 1] = DIGITS[byte & 15] as number;
    }
    out += String.fromCharCode.apply(null, codes.subarray(0, 2 * count) as unknown as number[]);
  }
  return out;
}

/**
 * Parses hexadecimal of either case.
 *
 * @param what names the value in the error message
 * @throws SealtreeError `malformed` on an odd length or another character
 */
export function bytesFromHex(hex: string, what = 'hexadecimal value'): Uint8Array {
  const out = new Uint8Array(hex.length >>> 1);
  readHex(hex, out, what);
  return out;
}

/**
 * As {@link bytesFromHex}, to the beginning of memory that is there.
 *
 * @throws SealtreeError `malformed` on another character, or if it does not fill `out`
 */
export function readHex(hex: string, out: Uint8Array, what = 'hexadecimal value'): void {
  let bad = hex.length === 2 * out.length ? 0 : NOT_A_DIGIT;
  for (let i = 0; i < out.length; i++) {
    const high = NIBBLES[hex.charCodeAt(2 * i)] ?? NOT_A_DIGIT;
    const low = NIBBLES[hex.charCodeAt(2 * i + 1)] ?? NOT_A_DIGIT;
    bad |= (high | low) & NOT_A_DIGIT;
    out[i] = (high << 4) | low;
  }
  if (bad !== 0) throw malformed(`${what} is not hexadecimal: ${hex.slice(0, 80)}`);
}

/** Whether `text` is a SHA-256 value as ostree names objects: exactly 64 lower-case hexadecimal digits. */
export function isChecksum(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}
