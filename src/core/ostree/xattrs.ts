/**
 * Extended attributes in ostree's objects: `a(ayay)`, sorted by name; a name carries a NUL, a value is raw.
 * @module
 */
import {
  byteString,
  byteStringFrom,
  bytesOf,
  compareByteStrings,
  displayByteString,
} from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import type { Xattr } from '../fs/file-tree.ts';
import type { Value } from '../gvariant/value.ts';

/** As a GVariant `a(ayay)`; sorts. */
export function xattrsValue(xattrs: readonly Xattr[]): Value[] {
  return [...xattrs]
    .sort(([a], [b]) => compareByteStrings(a, b))
    .map(([key, value]) => [bytesOf(byteString(`${key}\0`)), bytesOf(value)]);
}

/**
 * From a GVariant `a(ayay)`.
 *
 * @param what names the object in messages
 * @throws SealtreeError `malformed` if a name is empty, has no NUL at its end or another one, or does not stand behind
 *   its predecessor in byte order
 */
export function xattrsFrom(value: Value, what: string): Xattr[] {
  const xattrs: Xattr[] = [];
  for (const [index, pair] of (value as Uint8Array[][]).entries()) {
    const [name, data] = pair as [Uint8Array, Uint8Array];
    if (name.length < 2 || name.indexOf(0) !== name.length - 1)
      throw malformed(`${what}: Invalid xattr name (empty or missing NUL) index=${index}`);
    const key = byteStringFrom(name, 0, name.length - 1);
    const previous = xattrs.at(-1)?.[0];
    if (previous === key) throw malformed(`${what}: Duplicate xattr name, index=${index}`);
    if (previous !== undefined && previous > key) {
      throw malformed(
        `${what}: Incorrectly sorted xattr name (prev=${displayByteString(previous)}, cur=${displayByteString(key)}), index=${index}`,
      );
    }
    xattrs.push([key, byteStringFrom(data)]);
  }
  return xattrs;
}
