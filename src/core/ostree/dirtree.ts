/**
 * The dirtree object: the names in one directory, GVariant `(a(say)a(sayay))`; both arrays in byte order.
 * Defined by ostree's repository format.
 * @module
 */
import { type ByteString, compareByteStrings, displayByteString, isUtf8 } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import { decodeVariant } from '../gvariant/decode.ts';
import { encodeVariant } from '../gvariant/encode.ts';
import { checksumFrom, checksumValue } from './checksum.ts';

export const DIRTREE_TYPE = '(a(say)a(sayay))';

export interface DirtreeFile {
  readonly name: ByteString;
  /** Of the content object. */
  readonly checksum: string;
}

export interface DirtreeDirectory {
  readonly name: ByteString;
  /** Checksum of its dirtree object. */
  readonly dirtree: string;
  /** Checksum of its dirmeta object. */
  readonly dirmeta: string;
}

/** In any order when encoded, each array sorted when decoded. */
export interface Dirtree {
  readonly files: readonly DirtreeFile[];
  readonly dirs: readonly DirtreeDirectory[];
}

/**
 * The bytes of the object; their SHA-256 is its name.
 *
 * @throws SealtreeError `malformed` if a name is not one that a dirtree may hold
 */
export function encodeDirtree({ files, dirs }: Dirtree): Uint8Array {
  for (const { name } of files) validateFilename(name);
  for (const { name } of dirs) validateFilename(name);
  return encodeVariant(DIRTREE_TYPE, [
    [...files].sort(byName).map(({ name, checksum }) => [name, checksumValue(checksum)]),
    [...dirs]
      .sort(byName)
      .map(({ name, dirtree, dirmeta }) => [name, checksumValue(dirtree), checksumValue(dirmeta)]),
  ]);
}

/**
 * Decodes and validates a dirtree object.
 *
 * @param what names the object in messages: `CHECKSUM.dirtree`
 * @throws SealtreeError `malformed`
 */
export function decodeDirtree(data: Uint8Array, what: string): Dirtree {
  const [fileValues, dirValues] = decodeVariant(DIRTREE_TYPE, data, what) as [
    [ByteString, Uint8Array][],
    [ByteString, Uint8Array, Uint8Array][],
  ];
  const files = fileValues.map(([name, checksum]) => ({
    name: validateFilename(name, what),
    checksum: checksumFrom(checksum, what),
  }));
  const dirs = dirValues.map(([name, dirtree, dirmeta]) => ({
    name: validateFilename(name, what),
    dirtree: checksumFrom(dirtree, what),
    dirmeta: checksumFrom(dirmeta, what),
  }));
  requireSorted(files, what);
  requireSorted(dirs, what);
  requireDistinct(files, dirs, what);
  return { files, dirs };
}

/**
 * Checks that a name can stand in a dirtree: one path segment, UTF-8.
 *
 * @param what prefix of the message, if any
 * @returns the name
 * @throws SealtreeError `malformed` in the words of the real tool
 */
export function validateFilename(name: ByteString, what?: string): ByteString {
  const problem = filenameProblem(name);
  if (problem !== undefined) throw malformed(what === undefined ? problem : `${what}: ${problem}`);
  return name;
}

function filenameProblem(name: ByteString): string | undefined {
  if (name === '') return 'Invalid empty filename';
  if (name === '.') return "Invalid self-referential filename '.'";
  if (name === '..') return "Invalid path uplink filename '..'";
  if (name.includes('/')) return `Invalid / in filename ${displayByteString(name)}`;
  if (!isUtf8(name)) return `Invalid UTF-8 in filename ${displayByteString(name)}`;
  return undefined;
}

function byName(a: { name: ByteString }, b: { name: ByteString }): number {
  return compareByteStrings(a.name, b.name);
}

function requireSorted(entries: readonly { name: ByteString }[], what: string): void {
  let previous: ByteString | undefined;
  for (const { name } of entries) {
    if (previous !== undefined && previous >= name) {
      const shown = displayByteString(name);
      throw malformed(
        previous === name
          ? `${what}: Duplicate filename ${shown}`
          : `${what}: Incorrectly sorted filename ${shown}, it stands after ${displayByteString(previous)}`,
      );
    }
    previous = name;
  }
}

/** Both are sorted: one walk through the two. */
function requireDistinct(
  files: readonly { name: ByteString }[],
  dirs: readonly { name: ByteString }[],
  what: string,
): void {
  let at = 0;
  for (const { name } of dirs) {
    while (at < files.length && (files[at] as DirtreeFile).name < name) at++;
    if (files[at]?.name === name)
      throw malformed(`${what}: Duplicate filename ${displayByteString(name)}, as file and as directory`);
  }
}
