/**
 * Kinds of objects in a repository and the names of their files: `objects/<2 digits>/<62 digits>.<kind>`.
 * Defined by ostree's repository format.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';

/** Kind of an object, by the extension of its file. */
export type ObjectType = (typeof OBJECT_TYPES)[number];

/** In the order of the numbers that ostree gives them, beginning with 1. */
export const OBJECT_TYPES = [
  'file',
  'dirtree',
  'dirmeta',
  'commit',
  'tombstone-commit',
  'commitmeta',
  'payload-link',
  'file-xattrs',
  'file-xattrs-link',
] as const;

/** The limit that ostree sets on the size of a metadata object, in bytes. */
export const MAX_METADATA_SIZE = 128 * 1024 * 1024;

/** The number that stands for a kind of object in ostree's binary formats. */
export function objectTypeNumber(type: ObjectType): number {
  return OBJECT_TYPES.indexOf(type) + 1;
}

/**
 * The path of an object below `objects`.
 *
 * @param checksum 64 hexadecimal digits
 * @param archive whether the repository is of the archive mode, whose content objects are compressed (`.filez`)
 */
export function objectPath(
  checksum: string,
  type: ObjectType,
  { archive = false }: { archive?: boolean } = {},
): ByteString {
  return byteString(`${checksum.slice(0, 2)}/${checksum.slice(2)}.${extensionOf(type, archive)}`);
}

/**
 * The object that a file below `objects` is.
 *
 * @param directory name of the directory, two digits
 * @param file name of the file in it
 * @returns undefined if it is not named like an object
 */
export function parseObjectPath(
  directory: ByteString,
  file: ByteString,
  { archive = false }: { archive?: boolean } = {},
): { checksum: string; type: ObjectType } | undefined {
  const match = /^([0-9a-f]{62})\.([a-z-]+)$/.exec(file);
  if (match === null || file.endsWith('\n') || !/^[0-9a-f]{2}$/.test(directory)) return undefined;
  const type = OBJECT_TYPES.find((known) => extensionOf(known, archive) === match[2]);
  return type === undefined ? undefined : { checksum: directory + match[1], type };
}

/**
 * Checks that `checksum` is one as ostree writes it.
 *
 * @throws SealtreeError `malformed` in the words of the real tool
 */
export function validateChecksum(checksum: ByteString): void {
  if (checksum.length !== 64) throw malformed(`Invalid rev ${shorten(checksum)}`);
  for (let i = 0; i < checksum.length; i++) {
    const code = checksum.charCodeAt(i);
    if (!((code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66)))
      throw malformed(`Invalid character '${code}' in rev '${displayByteString(checksum)}'`);
  }
}

function extensionOf(type: ObjectType, archive: boolean): string {
  return type === 'file' && archive ? 'filez' : type;
}

/** At most 64 bytes, on one line: a rev may be anything, a whole page of a web server among others. */
function shorten(text: ByteString): string {
  return displayByteString(byteString(text.slice(0, 64).replaceAll('\n', ' ')));
}
