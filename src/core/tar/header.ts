/**
 * One header block of a tar archive: V7, ustar, pax, GNU and star.
 * Defined by POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar, "Basic Tar Format"; star(5). Where they leave
 * something open this reads as Go's archive/tar does, since layers are what that makes of them.
 * @module
 */
import { type ByteString, byteString, byteStringFrom, isAscii } from '../bytes/byte-string.ts';

export const BLOCK = 512;

/** What a header block says by itself, without the records and long names that may come before it. */
export interface TarHeader {
  readonly format: 'v7' | 'ustar' | 'star' | 'gnu';
  /** The type flag, one character; NUL in old archives. */
  readonly type: ByteString;
  readonly name: ByteString;
  readonly linkName: ByteString;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** May be negative or not an integer that JavaScript can tell: to be checked. */
  readonly size: number;
  readonly mtime: number;
  readonly atime: number | undefined;
  readonly ctime: number | undefined;
  readonly devMajor: number;
  readonly devMinor: number;
}

/** Where fields are: offset and length. */
const FIELD = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  linkName: [157, 100],
  magic: [257, 6],
  version: [263, 2],
  devMajor: [329, 8],
  devMinor: [337, 8],
  prefix: [345, 155],
  starPrefix: [345, 131],
  starAtime: [476, 12],
  starCtime: [488, 12],
  starTrailer: [508, 4],
  gnuAtime: [345, 12],
  gnuCtime: [357, 12],
} as const satisfies Record<string, readonly [number, number]>;

type Field = readonly [at: number, length: number];

const TYPE_AT = 156;

const USTAR_MAGIC = 'ustar\0';
const GNU_MAGIC = 'ustar ';
const GNU_VERSION = ' \0';
const STAR_TRAILER = 'tar\0';
const NOTHING = byteString('');

/** Whether all of a block is zeros: two of them end an archive. */
export function isZeroBlock(block: Uint8Array): boolean {
  for (let i = 0; i < BLOCK; i++) if (block[i] !== 0) return false;
  return true;
}

/**
 * Decodes a header block.
 *
 * @param block 512 bytes
 * @returns what is wrong with it, for people, if it is no header
 */
export function decodeHeader(block: Uint8Array): TarHeader | string {
  const sum = checksumOf(block);
  const checksum = number(block, FIELD.checksum);
  if (checksum !== sum && checksum !== sum - 256 * countHigh(block))
    return checksum === undefined
      ? 'the checksum is no number'
      : `the checksum is ${checksum}, that of its bytes ${sum}`;
  const mode = number(block, FIELD.mode);
  const uid = number(block, FIELD.uid);
  const gid = number(block, FIELD.gid);
  const size = number(block, FIELD.size);
  const mtime = number(block, FIELD.mtime);
  if (mode === undefined) return 'the mode is no number';
  if (uid === undefined || gid === undefined) return 'the owner is no number';
  if (size === undefined) return 'the size is no number';
  if (mtime === undefined) return 'the mtime is no number';
  const format = formatOf(block);
  const plain: TarHeader = {
    format,
    type: byteString(String.fromCharCode(block[TYPE_AT] as number)),
    name: text(block, FIELD.name),
    linkName: text(block, FIELD.linkName),
    mode,
    uid,
    gid,
    size,
    mtime,
    atime: undefined,
    ctime: undefined,
    devMajor: 0,
    devMinor: 0,
  };
  if (format === 'v7') return plain;
  const devMajor = number(block, FIELD.devMajor);
  const devMinor = number(block, FIELD.devMinor);
  if (devMajor === undefined || devMinor === undefined) return 'the device number is no number';
  const { name } = plain;
  const device = devMajor === 0 && devMinor === 0 ? plain : { ...plain, devMajor, devMinor };
  switch (format) {
    case 'ustar':
      return block[FIELD.prefix[0]] === 0
        ? device
        : { ...device, name: joined(text(block, FIELD.prefix), name) };
    case 'star': {
      const atime = number(block, FIELD.starAtime);
      const ctime = number(block, FIELD.starCtime);
      if (atime === undefined || ctime === undefined) return 'the access or change time is no number';
      return { ...device, atime, ctime, name: joined(text(block, FIELD.starPrefix), name) };
    }
    case 'gnu': {
      const atime = block[FIELD.gnuAtime[0]] === 0 ? null : number(block, FIELD.gnuAtime);
      const ctime = block[FIELD.gnuCtime[0]] === 0 ? null : number(block, FIELD.gnuCtime);
      if (atime !== undefined && ctime !== undefined)
        return atime === null && ctime === null
          ? device
          : { ...device, atime: atime ?? undefined, ctime: ctime ?? undefined };
      // Some writers put a prefix where GNU tar has these times.
      const prefix = text(block, FIELD.prefix);
      return { ...device, name: isAscii(prefix) ? joined(prefix, name) : name };
    }
  }
}

/**
 * A number in a field: octal digits, or binary if the first bit is set.
 *
 * @returns undefined if it is neither; beyond 2^53 the nearest number that JavaScript has
 */
export function decodeNumber(block: Uint8Array, at: number, length: number): number | undefined {
  const first = block[at] as number;
  if ((first & 0x80) !== 0) {
    const invert = (first & 0x40) !== 0 ? 0xff : 0;
    let value = 0n;
    for (let i = 0; i < length; i++) {
      const byte = (block[at + i] as number) ^ invert;
      value = (value << 8n) | BigInt(i === 0 ? byte & 0x7f : byte);
    }
    if (value >= 1n << 63n) return undefined;
    return invert === 0 ? Number(value) : -Number(value) - 1;
  }
  let start = at;
  let end = at + length;
  while (start < end && isBlank(block[start])) start++;
  while (end > start && isBlank(block[end - 1])) end--;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = (block[i] as number) - 48;
    // What follows a NUL is not part of the number.
    if (digit === -48 && i > start) break;
    if (digit < 0 || digit > 7) return undefined;
    value = value * 8 + digit;
  }
  return value;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0 || byte === 32;
}

function number(block: Uint8Array, [at, length]: Field): number | undefined {
  return decodeNumber(block, at, length);
}

/** Up to the first NUL. */
function text(block: Uint8Array, [at, length]: Field): ByteString {
  if (block[at] === 0) return NOTHING;
  let end = at;
  while (end < at + length && block[end] !== 0) end++;
  return byteStringFrom(block, at, end);
}

function joined(prefix: ByteString, name: ByteString): ByteString {
  return prefix === '' ? name : byteString(`${prefix}/${name}`);
}

function formatOf(block: Uint8Array): TarHeader['format'] {
  if (has(block, FIELD.magic, USTAR_MAGIC))
    return has(block, FIELD.starTrailer, STAR_TRAILER) ? 'star' : 'ustar';
  return has(block, FIELD.magic, GNU_MAGIC) && has(block, FIELD.version, GNU_VERSION) ? 'gnu' : 'v7';
}

function has(block: Uint8Array, [at]: Field, wanted: string): boolean {
  for (let i = 0; i < wanted.length; i++) if (block[at + i] !== wanted.charCodeAt(i)) return false;
  return true;
}

/** The sum of the bytes, the checksum itself counted as spaces. */
function checksumOf(block: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += block[i] as number;
  const [at, length] = FIELD.checksum;
  for (let i = at; i < at + length; i++) sum += 32 - (block[i] as number);
  return sum;
}

/** Bytes that old writers took for negative numbers. */
function countHigh(block: Uint8Array): number {
  const [at, length] = FIELD.checksum;
  let count = 0;
  for (let i = 0; i < BLOCK; i++) if (i < at || i >= at + length) count += (block[i] as number) >>> 7;
  return count;
}
