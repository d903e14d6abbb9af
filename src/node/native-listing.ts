/** What src/native/scan.c tells of a directory, as objects. @module */
import { type ByteString, compareByteStrings } from '../core/bytes/byte-string.ts';
import { systemCallError } from '../core/errno.ts';
import type { Xattr } from '../core/fs/file-tree.ts';
import { directoryReplaced } from './directory.ts';
import type { NativeDigester } from './native-digester.ts';
import type { FileStatus } from './syscalls.ts';

/** What to tell; numbers of src/native/scan.h. */
export const SKIP_DEVICES = 1;
export const NO_XATTRS = 2;
export const USER_XATTRS = 4;
const ROOT = 8;

export interface ListedEntry {
  /** Empty for the directory itself. */
  readonly name: ByteString;
  readonly status: FileStatus;
  /** Of a symlink; else empty. */
  readonly target: ByteString;
  /** Sorted by key. */
  readonly xattrs: readonly Xattr[];
}

/** Why a directory could not be listed, with the name that was the reason, empty for the directory. */
export interface ListingFailure {
  readonly name: ByteString;
  readonly error: unknown;
}

/**
 * Lists a directory, sorted by name, and gives its files to the digester: regular ones that are not empty, of which
 * `expect` has to be told one by one.
 *
 * @param place path that leaves room for a name
 * @param known what was found under that path; without it the directory itself is told as the first entry
 */
export function listDirectory(
  digester: Pick<NativeDigester<never>, 'scan'>,
  place: ByteString,
  flags: number,
  known?: FileStatus,
): ListedEntry[] | ListingFailure {
  const wanted = known === undefined ? flags | ROOT : flags;
  const [text, found] = digester.scan(place, wanted, known?.ino ?? 0n, known?.dev ?? 0);
  if (typeof found !== 'number') return entriesOf(text, new Uint32Array(found));
  return { name: text, error: found < 0 ? directoryReplaced() : systemCallError('scan', found) };
}

/** Numbers of an entry before those of its attributes: see src/native/scan.h. */
const NUMBERS = 19;

const NO_XATTRS_FOUND: readonly Xattr[] = [];

function entriesOf(text: ByteString, numbers: Uint32Array): ListedEntry[] {
  const entries: ListedEntry[] = [];
  let start = 0;
  const take = (length: number): ByteString => {
    start += length;
    return text.slice(start - length, start) as ByteString;
  };
  for (let at = 0; at < numbers.length; ) {
    const status = statusAt(numbers, at);
    const name = take(numbers[at + 16] as number);
    const target = take(numbers[at + 17] as number);
    const count = numbers[at + 18] as number;
    at += NUMBERS;
    let xattrs = NO_XATTRS_FOUND;
    if (count > 0) {
      const found: Xattr[] = [];
      for (const end = at + 2 * count; at < end; at += 2) {
        found.push([take(numbers[at] as number), take(numbers[at + 1] as number)]);
      }
      xattrs = found.sort((a, b) => compareByteStrings(a[0], b[0]));
    }
    entries.push({ name, status, target, xattrs });
  }
  return entries;
}

function statusAt(numbers: Uint32Array, at: number): FileStatus {
  return {
    mode: numbers[at] as number,
    nlink: numbers[at + 1] as number,
    uid: numbers[at + 2] as number,
    gid: numbers[at + 3] as number,
    rdev: numbers[at + 4] as number,
    size: wide(numbers, at + 5),
    mtimeSec: wide(numbers, at + 7),
    mtimeNsec: numbers[at + 9] as number,
    ctimeSec: wide(numbers, at + 10),
    ctimeNsec: numbers[at + 12] as number,
    ino: (BigInt(numbers[at + 14] as number) << 32n) | BigInt(numbers[at + 13] as number),
    dev: numbers[at + 15] as number,
  };
}

/** A signed number of 64 bits, the low half first. */
function wide(numbers: Uint32Array, at: number): number {
  return (numbers[at] as number) + ((numbers[at + 1] as number) | 0) * 2 ** 32;
}
