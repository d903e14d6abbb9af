/**
 * Names, paths, xattr keys and values as byte strings: JavaScript strings in which one character is one byte.
 *
 * File names are bytes, not text. Kept this way nothing is lost, `<` compares like memcmp (the order of EROFS
 * directories and ostree dirtrees; the default order of UTF-16 text is not), Map keys work, and V8 stores
 * one byte a character. Text is decoded only to be shown.
 * @module
 */

declare const bytes: unique symbol;

/** A string whose characters are all in U+0000..U+00FF, each standing for one byte. */
export type ByteString = string & { readonly [bytes]: true };

/** Marks an ASCII literal (or any string known to hold only U+0000..U+00FF) as a byte string. */
export function byteString(latin1: string): ByteString {
  return latin1 as ByteString;
}

const CHUNK = 8192;

/** The bytes `data[start..end)` as a byte string. */
export function byteStringFrom(data: Uint8Array, start = 0, end = data.length): ByteString {
  let text = '';
  for (let at = start; at < end; at += CHUNK) {
    text += String.fromCharCode.apply(
      null,
      data.subarray(at, Math.min(at + CHUNK, end)) as unknown as number[],
    );
  }
  return text as ByteString;
}

/** Writes the bytes of `text` to `target` at `at`; returns the offset behind them. */
export function writeByteString(target: Uint8Array, at: number, text: ByteString): number {
  const length = text.length;
  for (let i = 0; i < length; i++) target[at + i] = text.charCodeAt(i);
  return at + length;
}

/** The bytes of a byte string, one for each character. */
export function bytesOf(text: ByteString): Uint8Array {
  const out = new Uint8Array(text.length);
  writeByteString(out, 0, text);
  return out;
}

/** memcmp order: negative, 0 or positive. */
export function compareByteStrings(a: ByteString, b: ByteString): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Encodes text as UTF-8. A lone surrogate becomes U+FFFD, as TextEncoder does. */
export function utf8ByteString(text: string): ByteString {
  if (isAscii(text)) return text as ByteString;
  let out = '';
  for (const char of text) {
    let c = char.codePointAt(0) as number;
    if (c >= 0xd800 && c <= 0xdfff) c = 0xfffd;
    if (c < 0x80) out += String.fromCharCode(c);
    else if (c < 0x800) out += String.fromCharCode(0xc0 | (c >> 6), 0x80 | (c & 63));
    else if (c < 0x10000)
      out += String.fromCharCode(0xe0 | (c >> 12), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
    else
      out += String.fromCharCode(
        0xf0 | (c >> 18),
        0x80 | ((c >> 12) & 63),
        0x80 | ((c >> 6) & 63),
        0x80 | (c & 63),
      );
  }
  return out as ByteString;
}

/** Whether every character is U+0000..U+007F. */
export function isAscii(text: string): boolean {
  return /^[\x00-\x7f]*$/.test(text);
}

/**
 * Decodes UTF-8 strictly (no overlong forms, surrogates or values above U+10FFFF, as g_utf8_validate).
 *
 * @returns the text, or undefined if the bytes are not UTF-8
 */
export function decodeUtf8(text: ByteString): string | undefined {
  if (isAscii(text)) return text;
  let out = '';
  for (let i = 0; i < text.length; ) {
    const step = sequenceAt(text, i);
    if (step === undefined) return undefined;
    out += String.fromCodePoint(step.codePoint);
    i += step.length;
  }
  return out;
}

/** Whether the bytes are UTF-8 by the rules of {@link decodeUtf8}. */
export function isUtf8(text: ByteString): boolean {
  return decodeUtf8(text) !== undefined;
}

/**
 * For messages: UTF-8 decoded, control characters and bytes that are not UTF-8 as `\xhh`. U+0080 to U+009F are such
 * characters too: to the Linux console U+009B begins a command as ESC [ does.
 */
export function displayByteString(text: ByteString): string {
  let out = '';
  for (let i = 0; i < text.length; ) {
    const step = sequenceAt(text, i);
    if (step === undefined || step.codePoint < 0x20 || (step.codePoint >= 0x7f && step.codePoint < 0xa0)) {
      out += `\\x${text.charCodeAt(i).toString(16).padStart(2, '0')}`;
      i++;
    } else {
      out += String.fromCodePoint(step.codePoint);
      i += step.length;
    }
  }
  return out;
}

function sequenceAt(text: string, i: number): { codePoint: number; length: number } | undefined {
  const first = text.charCodeAt(i);
  if (first < 0x80) return { codePoint: first, length: 1 };
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || i + length > text.length) return undefined;
  let codePoint = first & (0x7f >> length);
  for (let k = 1; k < length; k++) {
    const next = text.charCodeAt(i + k);
    if ((next & 0xc0) !== 0x80) return undefined;
    codePoint = (codePoint << 6) | (next & 63);
  }
  const minimum = length === 2 ? 0x80 : length === 3 ? 0x800 : 0x10000;
  if (codePoint < minimum || codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint <= 0xdfff))
    return undefined;
  return { codePoint, length };
}
