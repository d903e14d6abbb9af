/** Names of entries as paths below a root. @module */
import { type ByteString, byteString } from '../bytes/byte-string.ts';

/**
 * Cleans a name as if it began at the root: without empty parts, `.` and `..`, which never lead above it.
 *
 * @returns a path without a slash at its begin or end; empty for the root itself
 */
export function cleanPath(name: ByteString): ByteString {
  if (!NEEDS_CLEANING.test(name)) return name;
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return byteString(parts.join('/'));
}

/** A slash at the begin or end or twice, or a part of one or two dots. */
const NEEDS_CLEANING = /^\/|\/$|\/\/|(?:^|\/)\.\.?(?:\/|$)/;
