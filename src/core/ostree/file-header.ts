/**
 * What a content object holds besides the bytes of the file, in its three forms: the header that is hashed before
 * the content, the header of a `.filez` file, and the extended attribute `user.ostreemeta` of the mode bare-user.
 * Defined by ostree's repository format.
 * @module
 */
import type { ByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import type { Xattr } from '../fs/file-tree.ts';
import { isRegular, isSymlink } from '../fs/mode.ts';
import { decodeVariant } from '../gvariant/decode.ts';
import { encodeVariant } from '../gvariant/encode.ts';
import type { Value } from '../gvariant/value.ts';
import { swap32, swap64 } from './big-endian.ts';
import { MAX_METADATA_SIZE } from './objects.ts';
import { xattrsFrom, xattrsValue } from './xattrs.ts';

export const FILE_HEADER_TYPE = '(uuuusa(ayay))';
export const ARCHIVE_HEADER_TYPE = '(tuuuusa(ayay))';
export const BARE_USER_META_TYPE = '(uuua(ayay))';

/** Bytes before the variant: its length, big-endian, and four zeros. */
const PREFIX_SIZE = 8;

export interface FileHeader {
  readonly uid: number;
  readonly gid: number;
  /** With the type bits: of a regular file or a symbolic link. */
  readonly mode: number;
  /** Always 0: there are no devices in a repository. */
  readonly rdev: number;
  /** Empty for a regular file. */
  readonly symlinkTarget: ByteString;
  /** Keys without NUL; in any order when encoded, sorted when decoded. */
  readonly xattrs: readonly Xattr[];
}

/** The bytes hashed before the content; the SHA-256 of both is the object's name. */
export function encodeFileHeader(header: FileHeader): Uint8Array {
  return withPrefix(encodeVariant(FILE_HEADER_TYPE, headerMembers(header)));
}

/**
 * The bytes before the deflated content in a `.filez` file.
 *
 * @param size bytes of the content before compression
 */
export function encodeArchiveHeader(header: FileHeader, size: number): Uint8Array {
  const members = [swap64(BigInt(size)), ...headerMembers(header)];
  return withPrefix(encodeVariant(ARCHIVE_HEADER_TYPE, members));
}

/**
 * How many bytes the header at the start of a `.filez` file takes, so that a reader can read just them.
 *
 * @param start at least the first 8 bytes of the file
 * @param fileSize bytes of the whole file
 * @throws SealtreeError `malformed` if the header cannot be in the file, or is larger than any header may be
 */
export function archiveHeaderLength(start: Uint8Array, fileSize: number, what: string): number {
  if (start.length < PREFIX_SIZE) throw malformed(`${what}: Need more input`);
  const size = new DataView(start.buffer, start.byteOffset, start.byteLength).getUint32(0, false);
  if (size === 0) throw malformed(`${what}: File header size is zero`);
  if (size + PREFIX_SIZE > fileSize)
    throw malformed(`${what}: File header size ${size} exceeds size ${fileSize}`);
  if (size > MAX_METADATA_SIZE)
    throw malformed(`${what}: File header size ${size} exceeds limit ${MAX_METADATA_SIZE}`);
  return PREFIX_SIZE + size;
}

/**
 * Decodes and validates the header of a `.filez` file.
 *
 * @param data the file from its start, at least the whole header
 * @returns the header; `size`, what it says the content has uncompressed (unsigned 64 bits, not to be trusted);
 *   `length`, the bytes of the header, where the deflated content begins
 * @throws SealtreeError `malformed`
 */
export function decodeArchiveHeader(
  data: Uint8Array,
  what = 'file header',
): { header: FileHeader; size: bigint; length: number } {
  const length = archiveHeaderLength(data, data.length, what);
  const [size, ...members] = decodeVariant(ARCHIVE_HEADER_TYPE, data.subarray(PREFIX_SIZE, length), what) as [
    bigint,
    ...Value[],
  ];
  return { header: headerFrom(members, what), size: swap64(size), length };
}

/** The value of the attribute `user.ostreemeta`, from which only owner, mode and attributes are taken. */
export function encodeBareUserMeta({
  uid,
  gid,
  mode,
  xattrs,
}: Omit<FileHeader, 'rdev' | 'symlinkTarget'>): Uint8Array {
  return encodeVariant(BARE_USER_META_TYPE, [swap32(uid), swap32(gid), swap32(mode), xattrsValue(xattrs)]);
}

/**
 * Decodes and validates the value of the attribute `user.ostreemeta`.
 *
 * @returns a header without its symlink target, which is the content of the object's file
 * @throws SealtreeError `malformed`
 */
export function decodeBareUserMeta(data: Uint8Array, what: string): Omit<FileHeader, 'symlinkTarget'> {
  const [uid, gid, mode, xattrs] = decodeVariant(BARE_USER_META_TYPE, data, what) as [
    number,
    number,
    number,
    Value,
  ];
  return {
    uid: swap32(uid),
    gid: swap32(gid),
    mode: validateFileMode(swap32(mode), what),
    rdev: 0,
    xattrs: xattrsFrom(xattrs, what),
  };
}

function headerMembers({ uid, gid, mode, rdev, symlinkTarget, xattrs }: FileHeader): Value[] {
  return [swap32(uid), swap32(gid), swap32(mode), swap32(rdev), symlinkTarget, xattrsValue(xattrs)];
}

function headerFrom(members: readonly Value[], what: string): FileHeader {
  const [uid, gid, mode, rdev, symlinkTarget, xattrs] = members as [
    number,
    number,
    number,
    number,
    ByteString,
    Value,
  ];
  if (rdev !== 0) throw malformed(`${what}: Corrupted archive file; invalid rdev ${swap32(rdev)}`);
  const header = {
    uid: swap32(uid),
    gid: swap32(gid),
    mode: validateFileMode(swap32(mode), what),
    rdev: 0,
    symlinkTarget,
    xattrs: xattrsFrom(xattrs, what),
  };
  if (isRegular(header.mode) && symlinkTarget !== '')
    throw malformed(`${what}: Corrupted archive file; a regular file has a symlink target`);
  return header;
}

function validateFileMode(mode: number, what: string): number {
  if (!isRegular(mode) && !isSymlink(mode))
    throw malformed(`${what}: Corrupted archive file; invalid mode ${mode}`);
  if ((mode & ~0o177777) !== 0) throw malformed(`${what}: Invalid mode ${mode}; invalid bits in mode`);
  return mode;
}

function withPrefix(variant: Uint8Array): Uint8Array {
  const out = new Uint8Array(PREFIX_SIZE + variant.length);
  new DataView(out.buffer).setUint32(0, variant.length, false);
  out.set(variant, PREFIX_SIZE);
  return out;
}
