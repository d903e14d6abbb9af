/**
 * Numbers of the GVariant text format: those of C's strtoull with base 0 (binary ones are new in C23), and of strtod.
 * Defined by GLib's documentation, "GVariant Text Format", "Numbers", and by GLib's parser where that is silent.
 * @module
 */
import { fitsInteger } from './encode.ts';
import { type Span, textError } from './text-tokens.ts';
import type { TypeClass } from './type.ts';

/** Whether a word of the text is a number, maybe a wrong one. */
export function isNumber(token: string): boolean {
  return /^[-+.0-9]/.test(token) || token === 'inf' || token === 'nan';
}

/**
 * The value of a number.
 *
 * @param span place of the number in the text
 * @param kind class of the type to read it as
 * @returns undefined if it is a number, but the type is not one of `y n q i u x t h d`
 * @throws SealtreeError `malformed` in GLib's words
 */
export function parseNumber(span: Span, token: string, kind: TypeClass): number | bigint | undefined {
  return kind === 'd' ? parseDouble(span, token) : parseInteger(span, token, kind);
}

const MAX_UINT64 = 0xffffffffffffffffn;

function parseInteger(span: Span, token: string, kind: TypeClass): number | bigint | undefined {
  const negative = token.startsWith('-');
  const skipped = negative ? 1 : 0;
  // A second sign belongs to C's strtoull, which wraps a negative number round.
  const rest = token.slice(skipped);
  const match = /^([+-]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)/.exec(rest);
  const digits = match?.[2] ?? '0';
  let magnitude = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  if (magnitude > MAX_UINT64) throw textError(span.start, span.end, 'integer too big for any type');
  if (match?.[1] === '-') magnitude = BigInt.asUintN(64, -magnitude);
  const end = match === null ? 0 : match[0].length;
  if (end < rest.length) throw invalidCharacter(span, skipped + end);
  if (!'ynqiuxth'.includes(kind)) return undefined;
  const value = negative ? -magnitude : magnitude;
  if (!fitsInteger(kind, value))
    throw textError(span.start, span.end, `number out of range for type '${kind}'`);
  return kind === 'x' || kind === 't' ? value : Number(value);
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/;
const HEXADECIMAL = /^([+-]?)0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP]([+-]?\d+))?/;
const SPECIAL = /^([+-]?)(infinity|inf|nan)/i;

/** Below this, C's library says that the number is out of range. */
const MIN_NORMAL = 2 ** -1022;

function parseDouble(span: Span, token: string): number {
  const { value, end, exact } = readDouble(token);
  const isTiny = value !== 0 && Math.abs(value) < MIN_NORMAL && !exact;
  const isHuge = !Number.isFinite(value) && !exact;
  if (isTiny || isHuge) throw textError(span.start, span.end, 'number too big for any type');
  if (end < token.length) throw invalidCharacter(span, end);
  return value;
}

function readDouble(token: string): { value: number; end: number; exact: boolean } {
  const special = SPECIAL.exec(token);
  if (special !== null) {
    const magnitude = special[2]?.toLowerCase() === 'nan' ? Number.NaN : Number.POSITIVE_INFINITY;
    return { value: special[1] === '-' ? -magnitude : magnitude, end: special[0].length, exact: true };
  }
  const hexadecimal = HEXADECIMAL.exec(token);
  if (hexadecimal !== null) return { ...hexadecimalDouble(hexadecimal), end: hexadecimal[0].length };
  const decimal = DECIMAL.exec(token);
  if (decimal === null) return { value: 0, end: 0, exact: true };
  return { value: Number(decimal[0]), end: decimal[0].length, exact: false };
}

function hexadecimalDouble(match: RegExpExecArray): { value: number; exact: boolean } {
  const [whole, fraction = ''] = (match[2] as string).split('.') as [string, string?];
  const mantissa = Number(BigInt(`0x0${whole}${fraction}`));
  const exponent = Number(match[3] ?? '0') - 4 * fraction.length;
  // Two steps, so that a large mantissa and a small exponent (or the other way round) meet in range.
  const half = Math.trunc(exponent / 2);
  const value = mantissa * 2 ** half * 2 ** (exponent - half);
  return { value: match[1] === '-' ? -value : value, exact: Number.isFinite(value) };
}

function invalidCharacter(span: Span, offset: number): Error {
  const at = span.start + offset;
  return textError(at, at + 1, 'invalid character in number');
}
