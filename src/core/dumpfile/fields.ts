/**
 * Fields of a line of a dump file on their own: numbers, modes, xattrs, as mkcomposefs 1.0.8 takes them.
 * @module
 */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import type { Xattr } from '../fs/file-tree.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../fs/mode.ts';
import { unescapeField } from './escape.ts';
import { parseUnsigned } from './integer.ts';

/** `KEY=VALUE`. @throws SealtreeError `malformed` without the `=` */
export function parseXattr(field: ByteString, hasEscape: boolean): Xattr {
  const equal = field.indexOf('=');
  if (equal < 0) throw malformed('Missing = in xattr');
  const key = byteString(field.slice(0, equal));
  const value = byteString(field.slice(equal + 1));
  return hasEscape ? [cString(unescapeField(key)), unescapeField(value)] : [key, value];
}

/** mkcomposefs holds most fields as C strings: they end at a NUL byte. */
export function cString(text: ByteString): ByteString {
  const end = text.indexOf('\0');
  return end < 0 ? text : byteString(text.slice(0, end));
}

/** Digits as strtoul takes them; a bigint where a number is not exact. @throws SealtreeError `malformed` */
export function parseDecimal(field: ByteString): number | bigint {
  const length = field.length;
  if (length === 0 || length > 15) return parseUnsigned(field, 10);
  let value = 0;
  for (let i = 0; i < length; i++) {
    const digit = field.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return parseUnsigned(field, 10);
    value = value * 10 + digit;
  }
  return value;
}

/** As {@link parseDecimal}, to base 8. */
export function parseOctal(field: ByteString): number | bigint {
  const length = field.length;
  if (length === 0 || length > 15) return parseUnsigned(field, 8);
  let value = 0;
  for (let i = 0; i < length; i++) {
    const digit = field.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 7) return parseUnsigned(field, 8);
    value = value * 8 + digit;
  }
  return value;
}

/** 0 for what is not a number. */
export function parseLenient(field: ByteString): number | bigint {
  try {
    return parseDecimal(field);
  } catch {
    return 0;
  }
}

/** Whether a mode has one of the seven types of files. */
export function isKnownType(mode: number): boolean {
  switch (mode & S_IFMT) {
    case 0o140000:
    case S_IFLNK:
    case S_IFREG:
    case S_IFBLK:
    case S_IFDIR:
    case S_IFCHR:
    case 0o010000:
      return true;
    default:
      return false;
  }
}

/** A digest in lower case. */
export function lowerHex(digest: ByteString): string {
  return /[A-F]/.test(digest) ? digest.toLowerCase() : digest;
}
