/** The integers of dump files, read as C's strtoull(3) and the casts behind it read them. @module */
import type { ByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';

const U64 = 1n << 64n;
const TWO_32 = 0x100000000;

/**
 * Reads an unsigned integer: leading blanks, a sign (a negative one counts from 2^64 down), saturating at 2^64-1.
 *
 * @returns a bigint only above 2^53
 * @throws SealtreeError `malformed`: `Invalid integer …`
 */
export function parseUnsigned(field: ByteString, radix: 8 | 10): number | bigint {
  const match = (radix === 10 ? /^[\t\v\f\r]*([+-]?)([0-9]+)$/ : /^[\t\v\f\r]*([+-]?)([0-7]+)$/).exec(field);
  if (match === null) throw malformed(`Invalid integer ${field}`);
  const digits = (match[2] as string).replace(/^0+(?=.)/, '');
  // 30 digits are above 2^64 in either base: no need to compute with more.
  let value = digits.length > 30 ? U64 : BigInt(radix === 8 ? `0o${digits}` : digits);
  if (value >= U64) value = U64 - 1n;
  else if (match[1] === '-') value = BigInt.asUintN(64, -value);
  return value <= BigInt(2 ** 53) ? Number(value) : value;
}

/** Keeps the low 32 bits. */
export function lowWord(value: number | bigint): number {
  return typeof value === 'bigint' ? Number(BigInt.asUintN(32, value)) : value % TWO_32;
}

/** The same 64 bits as a signed integer; a bigint only outside the safe integers. */
export function asSigned(value: number | bigint): number | bigint {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  const signed = BigInt.asIntN(64, BigInt(value));
  const small = Number(signed);
  return Number.isSafeInteger(small) ? small : signed;
}
