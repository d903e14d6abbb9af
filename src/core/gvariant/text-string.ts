/**
 * String and bytestring constants of the GVariant text format.
 * Defined by GLib's documentation, "GVariant Text Format", "Strings" and "Bytestrings".
 * @module
 */
import { type ByteString, byteString, utf8ByteString } from '../bytes/byte-string.ts';
import { type Token, textError } from './text-tokens.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\n': '',
};

/**
 * The value of a string constant.
 *
 * @param token with its quotes
 * @returns bytes; whether they are UTF-8 is not looked at
 * @throws SealtreeError `malformed` in GLib's words
 */
export function readString(token: Token): ByteString {
  return withoutEscapes(token, 1, (at) => {
    const kind = token.text[at];
    if (kind !== 'u' && kind !== 'U') return undefined;
    const length = kind === 'u' ? 4 : 8;
    return { value: unicodeEscape(token, at + 1, length), end: at + 1 + length };
  });
}

/**
 * The value of a bytestring constant, without the NUL that ends it in the value of type `ay`. An octal NUL inside
 * ends it there.
 *
 * @param token with its `b` and its quotes
 * @throws SealtreeError `malformed` in GLib's words
 */
export function readBytestring(token: Token): ByteString {
  const value = withoutEscapes(token, 2, (at) => {
    const digits = /^[0-7]{1,3}/.exec(token.text.slice(at, at + 3))?.[0];
    if (digits === undefined) return undefined;
    return { value: String.fromCharCode(Number.parseInt(digits, 8) & 0xff), end: at + digits.length };
  });
  const nul = value.indexOf('\0');
  return nul < 0 ? value : byteString(value.slice(0, nul));
}

/**
 * @param start offset in the token behind the opening quote
 * @param special reads an escape that only one kind of constant has; given the offset behind the backslash
 */
function withoutEscapes(
  token: Token,
  start: number,
  special: (at: number) => { value: string; end: number } | undefined,
): ByteString {
  const { text } = token;
  const quote = text[start - 1] as string;
  const parts: string[] = [];
  let at = start;
  while (text[at] !== quote) {
    const plain = plainRun(text, at, quote);
    parts.push(text.slice(at, plain));
    at = plain;
    if (at === text.length) throw unterminated(token);
    if (text[at] !== '\\') continue;
    at++;
    const char = text[at];
    if (char === undefined) throw unterminated(token);
    const found = special(at);
    parts.push(found?.value ?? ESCAPES[char] ?? char);
    at = found?.end ?? at + 1;
  }
  return byteString(parts.join(''));
}

function plainRun(text: string, start: number, quote: string): number {
  let at = start;
  while (at < text.length && text[at] !== quote && text[at] !== '\\') at++;
  return at;
}

function unterminated(token: Token): Error {
  return textError(token.start, token.end, 'unterminated string constant');
}

function unicodeEscape(token: Token, at: number, length: number): string {
  const digits = /^[0-9a-fA-F]*/.exec(token.text.slice(at, at + length))?.[0] as string;
  const code = Number.parseInt(digits, 16);
  if (digits.length < length || code === 0) {
    const start = token.start + at;
    throw textError(start, start + digits.length, `invalid ${length}-character unicode escape`);
  }
  return utf8Of(code);
}

/** UTF-8 of a character; of any other number a byte that is never valid, found when the whole string is checked. */
function utf8Of(code: number): string {
  const isCharacter = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  return isCharacter ? utf8ByteString(String.fromCodePoint(code)) : '\xff';
}
