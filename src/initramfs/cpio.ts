/**
 * Members of cpio archives in the two forms that the kernel unpacks: "new ASCII" (070701), and the same with
 * checksums (070702). Source: Documentation/driver-api/early-userspace/buffer-format.rst and init/initramfs.c of
 * Linux.
 * @module
 */
import { type ByteString, byteStringFrom } from '../core/bytes/byte-string.ts';
import { malformed, type SealtreeError } from '../core/errors.ts';
import { S_IFLNK, S_IFMT, S_IFREG } from '../core/fs/mode.ts';

export interface Member {
  /** As it stands in the archive: it may begin with `/` or `./`, and hold `..`. */
  readonly name: ByteString;
  /** Type and permission bits. */
  readonly mode: number;
  readonly nlink: number;
  /** Same for all members that are links to one file. */
  readonly identity: string;
  /** Content of a file or target of a symlink, a view into the archive; empty for the rest. */
  readonly data: Uint8Array;
  /** Where the next member begins: a multiple of four. */
  readonly end: number;
}

/** Longest name with its NUL, and longest target: PATH_MAX. */
const PATH_LIMIT = 4096;
const HEADER_SIZE = 110;
/** The name behind which links to earlier members are no longer known. */
export const TRAILER = 'TRAILER!!!';

/**
 * Reads one member.
 *
 * @param at offset of its header
 * @param what names the archive in messages
 * @throws SealtreeError `malformed`
 */
export function readMember(archive: Uint8Array, at: number, what: string): Member {
  const fail = (problem: string): SealtreeError => malformed(`${what}: at ${at}: ${problem}`, { offset: at });
  const magic = byteStringFrom(archive, at, Math.min(at + 6, archive.length));
  if (magic === '070707') throw fail('the old portable form of cpio, which the kernel does not read');
  if (magic !== '070701' && magic !== '070702') throw fail('no member of a cpio archive');
  if (at + HEADER_SIZE > archive.length) throw fail('the archive ends in a header');
  const digits = byteStringFrom(archive, at + 6, at + HEADER_SIZE);
  if (!/^[0-9a-fA-F]{104}$/.test(digits)) throw fail('the header has something else than hexadecimal digits');
  const field = (index: number) => Number.parseInt(digits.slice(index * 8, index * 8 + 8), 16);
  const [inode, mode, nlink, size, major, minor] = [0, 1, 4, 6, 7, 8].map(field) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const nameSize = field(11);
  if (nameSize === 0 || nameSize > PATH_LIMIT)
    throw fail(`a name of ${nameSize} bytes, 1 to ${PATH_LIMIT} are allowed`);
  const nameAt = at + HEADER_SIZE;
  const dataAt = aligned(nameAt + nameSize);
  if (dataAt + size > archive.length) throw fail(`the archive ends in a member of ${size} bytes`);
  const end = aligned(dataAt + size);
  if (archive[nameAt + nameSize - 1] !== 0) throw fail('a name without its end');
  const type = mode & S_IFMT;
  // The kernel means to pass these over; where it goes on then depends on how the archive is cut into pieces.
  if (type === S_IFLNK ? size > PATH_LIMIT : type !== S_IFREG && size > 0)
    throw fail(`content of ${size} bytes in what can have none, or not so much`);
  const data = archive.subarray(dataAt, dataAt + size);
  if (magic === '070702' && type === S_IFREG && sumOf(data) !== field(12))
    throw fail('content that has not the checksum of its header');
  return {
    name: byteStringFrom(archive, nameAt, archive.indexOf(0, nameAt)),
    mode,
    nlink,
    identity: `${major}:${minor}:${inode}:${type}`,
    data,
    end,
  };
}

function aligned(offset: number): number {
  return Math.ceil(offset / 4) * 4;
}

function sumOf(data: Uint8Array): number {
  let sum = 0;
  for (const byte of data) sum = (sum + byte) >>> 0;
  return sum;
}
