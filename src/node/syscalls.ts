/**
 * System calls on files that Node does not have: xattrs, locks, links, copies, fs-verity, statx.
 * Manual pages xattr(7), fcntl(2) "Open file description locks", statx(2), renameat2(2), ioctl_ficlone(2),
 * copy_file_range(2), syncfs(2); fs-verity: Documentation/filesystems/fsverity.rst.
 *
 * A failure is a SealtreeError `io` with `detail.errno`; src/node/io-error.ts words it as a tool would.
 * @module
 */
import {
  type ByteString,
  byteString,
  compareByteStrings,
  displayByteString,
} from '../core/bytes/byte-string.ts';
import { errorName, systemCallError } from '../core/errno.ts';
import type { Xattr } from '../core/fs/file-tree.ts';
import { DIGEST_SIZE, type HashName } from '../core/hash.ts';
import type { VerityDigest } from '../core/system.ts';
import { HASH_ALGORITHM_NUMBER, type VerityParameters } from '../core/verity/descriptor.ts';
import { addressOf, bytesAt, checked, cPath, foreign, lastErrno } from './foreign.ts';
import { isErrno } from './io-error.ts';

/** For the directory argument of the …at calls: the current directory. */
export const AT_FDCWD = -100;

// ---- extended attributes

const call = {
  llistxattr: foreign('llistxattr', 'int64', ['void *', 'void *', 'uint64']),
  flistxattr: foreign('flistxattr', 'int64', ['int', 'void *', 'uint64']),
  lgetxattr: foreign('lgetxattr', 'int64', ['void *', 'void *', 'void *', 'uint64']),
  fgetxattr: foreign('fgetxattr', 'int64', ['int', 'void *', 'void *', 'uint64']),
  lsetxattr: foreign('lsetxattr', 'int', ['void *', 'void *', 'void *', 'uint64', 'int']),
  fsetxattr: foreign('fsetxattr', 'int', ['int', 'void *', 'void *', 'uint64', 'int']),
  lremovexattr: foreign('lremovexattr', 'int', ['void *', 'void *']),
  fremovexattr: foreign('fremovexattr', 'int', ['int', 'void *']),
  fcntl: foreign('fcntl', 'int', ['int', 'int', 'void *']),
  flock: foreign('flock', 'int', ['int', 'int']),
  syncfs: foreign('syncfs', 'int', ['int']),
  ioctlPointer: foreign('ioctl', 'int', ['int', 'ulong', 'void *']),
  ioctlNumber: foreign('ioctl', 'int', ['int', 'ulong', 'long']),
  statx: foreign('statx', 'int', ['int', 'void *', 'int', 'uint', 'void *']),
  linkat: foreign('linkat', 'int', ['int', 'void *', 'int', 'void *', 'int']),
  renameat2: foreign('renameat2', 'int', ['int', 'void *', 'int', 'void *', 'uint']),
  openat: foreign('openat', 'int', ['int', 'void *', 'int', 'uint']),
  faccessat: foreign('faccessat', 'int', ['int', 'void *', 'int', 'int']),
  mkdirat: foreign('mkdirat', 'int', ['int', 'void *', 'uint']),
  mknodat: foreign('mknodat', 'int', ['int', 'void *', 'uint', 'ulong']),
  symlinkat: foreign('symlinkat', 'int', ['void *', 'int', 'void *']),
  unlinkat: foreign('unlinkat', 'int', ['int', 'void *', 'int']),
  fchownat: foreign('fchownat', 'int', ['int', 'void *', 'uint', 'uint', 'int']),
  readlinkat: foreign('readlinkat', 'int64', ['int', 'void *', 'void *', 'uint64']),
  pread: foreign('pread', 'int64', ['int', 'void *', 'uint64', 'int64']),
  utimensat: foreign('utimensat', 'int', ['int', 'void *', 'void *', 'int']),
  copyFileRange: foreign('copy_file_range', 'int64', ['int', 'void *', 'int', 'void *', 'uint64', 'uint']),
};

/**
 * The kernel allocates as much as is offered, so little is offered first: attributes are small.
 * Lists and values are never larger than 64 KiB (XATTR_LIST_MAX, XATTR_SIZE_MAX).
 */
const small = Buffer.alloc(1024);
let large: Buffer | undefined;

/** What most files have. */
const NO_KEYS: readonly ByteString[] = [];
const NO_XATTRS: readonly Xattr[] = [];

/** A file by its path, not followed if it is a symlink, or by a descriptor. */
export type FileReference = ByteString | number;

/** Names of the extended attributes, in the order of the file system. */
export function listXattrs(file: FileReference): readonly ByteString[] {
  const [buffer, length] = withBuffer('listxattr', file, (target) =>
    typeof file === 'number'
      ? call.flistxattr(file, target, target.length)
      : call.llistxattr(cPath(file), target, target.length),
  );
  if (length === 0) return NO_KEYS;
  return bytesAt(buffer, 0, length - 1).split('\0') as ByteString[];
}

/** The value of one extended attribute; undefined if the file has none of this name. */
export function getXattr(file: FileReference, key: ByteString): ByteString | undefined {
  try {
    return readXattr(file, key);
  } catch (error) {
    if (isErrno(error, 'ENODATA')) return undefined;
    throw error;
  }
}

/** Sets an extended attribute, new or not. */
export function setXattr(file: FileReference, key: ByteString, value: ByteString): void {
  const data = Buffer.from(value, 'latin1');
  const result =
    typeof file === 'number'
      ? call.fsetxattr(file, cPath(key, 1), data, data.length, 0)
      : call.lsetxattr(cPath(file), cPath(key, 1), data, data.length, 0);
  if (result < 0) throw failure('setxattr', file);
}

/** Removes an extended attribute. @throws SealtreeError `io`, ENODATA if there is none */
export function removeXattr(file: FileReference, key: ByteString): void {
  const result =
    typeof file === 'number'
      ? call.fremovexattr(file, cPath(key, 1))
      : call.lremovexattr(cPath(file), cPath(key, 1));
  if (result < 0) throw failure('removexattr', file);
}

/**
 * All extended attributes, sorted by key. One call for a file that has none.
 *
 * @param wanted which keys to read
 */
export function readXattrs(
  file: FileReference,
  wanted: (key: ByteString) => boolean = () => true,
): readonly Xattr[] {
  const keys = listXattrs(file);
  if (keys.length === 0) return NO_XATTRS;
  const xattrs: Xattr[] = [];
  for (const key of keys) {
    if (wanted(key)) xattrs.push([key, readXattr(file, key)]);
  }
  return xattrs.sort((a, b) => compareByteStrings(a[0], b[0]));
}

function readXattr(file: FileReference, key: ByteString): ByteString {
  const [buffer, length] = withBuffer('getxattr', file, (target) =>
    typeof file === 'number'
      ? call.fgetxattr(file, cPath(key, 1), target, target.length)
      : call.lgetxattr(cPath(file), cPath(key, 1), target, target.length),
  );
  return bytesAt(buffer, 0, length);
}

function withBuffer(name: string, file: FileReference, read: (target: Buffer) => number): [Buffer, number] {
  let length = read(small);
  if (length >= 0) return [small, length];
  const number = lastErrno();
  if (errorName(number) !== 'ERANGE') throw failure(name, file, number);
  large ??= Buffer.alloc(65536);
  length = read(large);
  if (length < 0) throw failure(name, file);
  return [large, length];
}

function failure(name: string, file: FileReference, number = lastErrno()) {
  return systemCallError(typeof file === 'number' ? name : `${name} ${displayByteString(file)}`, number);
}

// ---- locks

const LOCK_TYPE = { shared: 0, exclusive: 1, none: 2 } as const;
const FLOCK_OPERATION = { shared: 1, exclusive: 2, none: 8 } as const;
const FLOCK_NONBLOCKING = 4;
const F_OFD_SETLK = 37;
const F_OFD_SETLKW = 38;

/**
 * Locks a whole file for this open file description, as libglnx does for ostree: an OFD lock, or flock where the
 * file system has none. Locking again changes the kind; closing the descriptor unlocks.
 *
 * @param wait whether to sleep until the lock is to be had
 * @returns false if another has the lock and `wait` is false
 */
export function lockFile(fd: number, kind: 'shared' | 'exclusive' | 'none', { wait = false } = {}): boolean {
  const lock = Buffer.alloc(32); // struct flock: l_type, l_whence = SEEK_SET, l_start = 0, l_len = 0: all of it
  lock.writeInt16LE(LOCK_TYPE[kind], 0);
  let result = retried(() => call.fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, lock));
  let name = 'fcntl';
  if (result < 0 && errorName(lastErrno()) === 'EINVAL') {
    name = 'flock';
    result = retried(() => call.flock(fd, FLOCK_OPERATION[kind] | (wait ? 0 : FLOCK_NONBLOCKING)));
  }
  if (result === 0) return true;
  const number = lastErrno();
  if (!wait && ['EAGAIN', 'EACCES'].includes(errorName(number))) return false;
  throw systemCallError(name, number);
}

// ---- durability, names, copies

/** Writes everything of the file system that `fd` is on to its disk. */
export function syncfs(fd: number): void {
  checked('syncfs', call.syncfs(fd));
}

/** Gives the file behind a descriptor (of O_TMPFILE, say) a name; fails with EEXIST if the name is taken. */
export function linkat(fd: number, path: ByteString, directory: number = AT_FDCWD): void {
  const AT_SYMLINK_FOLLOW = 0x400;
  const source = cPath(byteString(`/proc/self/fd/${fd}`));
  checked('linkat', call.linkat(AT_FDCWD, source, directory, cPath(path, 1), AT_SYMLINK_FOLLOW));
}

/** Renames; `noreplace` fails with EEXIST if `to` is there, `exchange` swaps the two. */
export function renameat2(
  from: ByteString,
  to: ByteString,
  how: 'replace' | 'noreplace' | 'exchange' = 'replace',
  [fromDirectory, toDirectory]: readonly [number, number] = [AT_FDCWD, AT_FDCWD],
): void {
  const flags = { replace: 0, noreplace: 1, exchange: 2 }[how];
  checked('renameat2', call.renameat2(fromDirectory, cPath(from), toDirectory, cPath(to, 1), flags));
}

const FIFREEZE = 0xc0045877;
const FITHAW = 0xc0045878;

/** Stops all writing to the file system that `fd` is on, when everything, the journal included, is in its place. */
export function freezeFileSystem(fd: number): void {
  checked(
    'ioctl(FIFREEZE)',
    retried(() => call.ioctlNumber(fd, FIFREEZE, 0)),
  );
}

/** Ends what {@link freezeFileSystem} began. */
export function thawFileSystem(fd: number): void {
  checked(
    'ioctl(FITHAW)',
    retried(() => call.ioctlNumber(fd, FITHAW, 0)),
  );
}

const FICLONE = 0x40049409;

/**
 * Makes `target` share all blocks of `source`.
 *
 * @returns false where the file system cannot, or not between these two
 */
export function ficlone(source: number, target: number): boolean {
  if (call.ioctlNumber(target, FICLONE, source) === 0) return true;
  const number = lastErrno();
  if (['EOPNOTSUPP', 'ENOTTY', 'EXDEV', 'EINVAL', 'ENOSYS'].includes(errorName(number))) return false;
  throw systemCallError('ioctl(FICLONE)', number);
}

/** Copies up to `length` bytes between the current offsets of two files inside the kernel; returns how many. */
export function copyFileRange(source: number, target: number, length: number): number {
  return checked(
    'copy_file_range',
    retried(() => call.copyFileRange(source, null, target, null, length, 0)),
  );
}

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_IMMUTABLE_FL = 0x10;

/**
 * Sets or takes away the immutable bit of an open file or directory: nobody may change it, root included.
 * Does nothing where the file system has no such bit or the caller not the right, as ostree does.
 */
export function setImmutable(fd: number, immutable: boolean): void {
  const flags = Buffer.alloc(8);
  const mayFail = (result: number, name: string) => {
    if (result >= 0) return true;
    const number = lastErrno();
    if (['EPERM', 'EOPNOTSUPP', 'ENOTTY'].includes(errorName(number))) return false;
    throw systemCallError(name, number);
  };
  if (!mayFail(call.ioctlPointer(fd, FS_IOC_GETFLAGS, flags), 'ioctl(EXT2_IOC_GETFLAGS)')) return;
  const before = flags.readUInt32LE(0);
  const after = immutable ? before | FS_IMMUTABLE_FL : before & ~FS_IMMUTABLE_FL;
  if (after === before) return;
  flags.writeUInt32LE(after >>> 0, 0);
  mayFail(call.ioctlPointer(fd, FS_IOC_SETFLAGS, flags), 'ioctl(EXT2_IOC_SETFLAGS)');
}

// ---- fs-verity

const FS_IOC_ENABLE_VERITY = 0x40806685;
const FS_IOC_MEASURE_VERITY = 0xc0046686;

/** What the kernel enforces on an open file; undefined if verity is off for it or not to be had here. */
export function measureVerity(fd: number): VerityDigest | undefined {
  const state = verityState(fd);
  return state === 'off' ? undefined : state;
}

/** The same, but `off` where verity could be had and is off; undefined where the kernel or the file system lacks it. */
export function verityState(fd: number): VerityDigest | 'off' | undefined {
  try {
    return queryVerity(fd);
  } catch (error) {
    if (isErrno(error, 'ENODATA')) return 'off';
    if (isErrno(error, 'ENOTTY', 'EOPNOTSUPP', 'ENOSYS')) return undefined;
    throw error;
  }
}

/** What the kernel enforces on an open file; ENODATA if verity is off for it, ENOTTY or EOPNOTSUPP if it is not to be had. */
export function queryVerity(fd: number): VerityDigest {
  const result = Buffer.alloc(4 + 64); // struct fsverity_digest: algorithm, size, digest
  result.writeUInt16LE(64, 2);
  checked('ioctl(FS_IOC_MEASURE_VERITY)', call.ioctlPointer(fd, FS_IOC_MEASURE_VERITY, result));
  const number = result.readUInt16LE(0);
  const algorithm = (Object.keys(HASH_ALGORITHM_NUMBER) as HashName[]).find(
    (name) => HASH_ALGORITHM_NUMBER[name] === number,
  );
  if (algorithm === undefined) throw systemCallError('ioctl(FS_IOC_MEASURE_VERITY)', 'EINVAL');
  return { algorithm, digest: new Uint8Array(result.subarray(4, 4 + DIGEST_SIZE[algorithm])) };
}

const STATX_ATTR_VERITY = 0x100000;

/** Whether the kernel checks what is read from an open file (STATX_ATTR_VERITY). */
export function hasVerity(fd: number): boolean {
  const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;
  checked('statx', call.statx(fd, cPath(byteString('')), flags, STATX_BASIC_STATS, statusBuffer));
  return ((unsigned[2] as number) & STATX_ATTR_VERITY) !== 0;
}

/**
 * Sets the times of a file to now. Who may write it may do so; to set them to anything else one has to own it, and that
 * is all that Node can do.
 */
export function touch(path: ByteString): void {
  checked('utimensat', call.utimensat(AT_FDCWD, cPath(path), null, 0));
}

/**
 * Makes the kernel guard a file from now on. The file must be open for reading, and by nobody for writing.
 *
 * @param signature PKCS#7 for the kernel's own check; none by default
 */
export function enableVerity(
  fd: number,
  { algorithm, blockSize, salt }: VerityParameters,
  signature: Uint8Array = new Uint8Array(0),
): void {
  const argument = Buffer.alloc(128); // struct fsverity_enable_arg
  argument.writeUInt32LE(1, 0); // version
  argument.writeUInt32LE(HASH_ALGORITHM_NUMBER[algorithm], 4);
  argument.writeUInt32LE(blockSize, 8);
  argument.writeUInt32LE(salt.length, 12);
  if (salt.length > 0) argument.writeBigUInt64LE(addressOf(salt), 16);
  argument.writeUInt32LE(signature.length, 24);
  if (signature.length > 0) argument.writeBigUInt64LE(addressOf(signature), 32);
  const result = retried(() => call.ioctlPointer(fd, FS_IOC_ENABLE_VERITY, argument));
  checked('ioctl(FS_IOC_ENABLE_VERITY)', result);
}

// ---- reading

/**
 * Reads into `target` from an offset of a file: as Node's readSync, whose own checks take longer than a read of a few KiB.
 *
 * @param length bytes at most
 * @returns bytes read, 0 at the end
 */
export function readAt(fd: number, target: Uint8Array, length: number, offset: number): number {
  if (length > target.length) throw new RangeError('no room for what is read');
  return checked(
    'read',
    retried(() => call.pread(fd, target, length, offset)),
  );
}

// ---- relative to a directory

export interface FileStatus {
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** As the kernel packs device numbers in 32 bits. */
  rdev: number;
  size: number;
  mtimeSec: number;
  mtimeNsec: number;
  ctimeSec: number;
  ctimeNsec: number;
  ino: bigint;
  dev: number;
}

const STATX_BASIC_STATS = 0x7ff;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_NO_AUTOMOUNT = 0x800;
const AT_EMPTY_PATH = 0x1000;
const statusBuffer = Buffer.alloc(256);
// struct statx by its fields; typed arrays, since a DataView takes three times as long before it is optimized.
const unsigned = new Uint32Array(statusBuffer.buffer, statusBuffer.byteOffset, 64);
const signed = new Int32Array(statusBuffer.buffer, statusBuffer.byteOffset, 64);
const inode = new BigUint64Array(statusBuffer.buffer, statusBuffer.byteOffset + 32, 1);

/**
 * The status of a name in an open directory, a symlink not followed; nanoseconds are kept.
 *
 * @param directory descriptor, or AT_FDCWD
 * @param name name or path; empty for the file behind `directory` itself
 */
export function statAt(directory: number, name: ByteString): FileStatus {
  readStatus(directory, name);
  return {
    mode: (unsigned[7] as number) & 0xffff,
    nlink: unsigned[4] as number,
    uid: unsigned[5] as number,
    gid: unsigned[6] as number,
    rdev: deviceNumber(unsigned[32] as number, unsigned[33] as number),
    size: long(10),
    mtimeSec: long(28),
    mtimeNsec: unsigned[30] as number,
    ctimeSec: long(24),
    ctimeNsec: unsigned[26] as number,
    ino: inode[0] as bigint,
    dev: deviceNumber(unsigned[34] as number, unsigned[35] as number),
  };
}

/**
 * Numbers of 32 bits in an identity: device, mode, owner, group, then inode number, size, modification and change time
 * (seconds and nanoseconds), of which those with 64 bits take two, the low half first.
 */
export const IDENTITY_WORDS = 14;

/** Where the seconds of the change time stand in an identity; the nanoseconds are two behind. */
export const IDENTITY_CTIME = 11;

/** As {@link statAt}, but into `target` at `at` and without making an object: all that shows that a file is still the same. */
export function readIdentity(directory: number, name: ByteString, target: Uint32Array, at: number): void {
  readStatus(directory, name);
  target[at] = deviceNumber(unsigned[34] as number, unsigned[35] as number);
  target[at + 1] = (unsigned[7] as number) & 0xffff;
  target[at + 2] = unsigned[5] as number;
  target[at + 3] = unsigned[6] as number;
  target[at + 4] = unsigned[8] as number;
  target[at + 5] = unsigned[9] as number;
  target[at + 6] = unsigned[10] as number;
  target[at + 7] = unsigned[11] as number;
  target[at + 8] = unsigned[28] as number;
  target[at + 9] = unsigned[29] as number;
  target[at + 10] = unsigned[30] as number;
  target[at + IDENTITY_CTIME] = unsigned[24] as number;
  target[at + IDENTITY_CTIME + 1] = unsigned[25] as number;
  target[at + IDENTITY_CTIME + 2] = unsigned[26] as number;
}

/** The identity of a file whose status is there, as {@link readIdentity} has it. */
export function packIdentity(status: FileStatus, target: Uint32Array, at: number): void {
  target[at] = status.dev;
  target[at + 1] = status.mode;
  target[at + 2] = status.uid;
  target[at + 3] = status.gid;
  target[at + 4] = Number(status.ino & 0xffffffffn);
  target[at + 5] = Number(status.ino >> 32n);
  packLong(status.size, target, at + 6);
  packLong(status.mtimeSec, target, at + 8);
  target[at + 10] = status.mtimeNsec;
  packLong(status.ctimeSec, target, at + IDENTITY_CTIME);
  target[at + IDENTITY_CTIME + 2] = status.ctimeNsec;
}

function packLong(value: number, target: Uint32Array, at: number): void {
  target[at] = value >>> 0;
  target[at + 1] = Math.floor(value / 2 ** 32) >>> 0;
}

/** Size and times of an open file, as `statAt` has them, into an object that is there. */
export function readStamp(fd: number, stamp: Stamp): void {
  readStatus(fd, EMPTY);
  stamp.size = long(10);
  stamp.mtimeSec = long(28);
  stamp.mtimeNsec = unsigned[30] as number;
  stamp.ctimeSec = long(24);
  stamp.ctimeNsec = unsigned[26] as number;
}

type Stamp = Pick<FileStatus, 'size' | 'mtimeSec' | 'mtimeNsec' | 'ctimeSec' | 'ctimeNsec'>;

const EMPTY = byteString('');

function readStatus(directory: number, name: ByteString): void {
  const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name === '' ? AT_EMPTY_PATH : 0);
  if (call.statx(directory, cPath(name), flags, STATX_BASIC_STATS, statusBuffer) < 0)
    throw failure('statx', name);
}

/** A signed number of 64 bits in the status, by its place in units of four bytes. */
function long(at: number): number {
  return (unsigned[at] as number) + (signed[at + 1] as number) * 2 ** 32;
}

/** Opens a name in an open directory; `flags` as node:fs has them in `constants`. Close-on-exec is added. */
export function openAt(directory: number, name: ByteString, flags: number, mode = 0): number {
  const O_CLOEXEC = 0o2000000;
  const fd = retried(() => call.openat(directory, cPath(name), flags | O_CLOEXEC, mode));
  if (fd < 0) throw failure('openat', name);
  return fd;
}

/** The target of a symlink in an open directory. */
export function readLinkAt(directory: number, name: ByteString): ByteString {
  large ??= Buffer.alloc(65536);
  const length = call.readlinkat(directory, cPath(name), large, 4096);
  if (length < 0) throw failure('readlinkat', name);
  return bytesAt(large, 0, length);
}

/** Whether a name is there in an open directory, a symlink not followed. */
export function existsAt(directory: number, name: ByteString): boolean {
  if (call.faccessat(directory, cPath(name), 0, AT_SYMLINK_NOFOLLOW) === 0) return true;
  const number = lastErrno();
  if (['ENOENT', 'ENOTDIR'].includes(errorName(number))) return false;
  throw failure('faccessat', name, number);
}

/** Makes a directory in an open directory; the umask applies to `mode`. */
export function makeDirectoryAt(directory: number, name: ByteString, mode: number): void {
  if (call.mkdirat(directory, cPath(name), mode) < 0) throw failure('mkdirat', name);
}

/** Gives a file another name; a symlink is linked itself. Fails with EEXIST if the name is taken. */
export function linkAt(fromDirectory: number, from: ByteString, toDirectory: number, to: ByteString): void {
  if (call.linkat(fromDirectory, cPath(from), toDirectory, cPath(to, 1), 0) < 0) throw failure('linkat', to);
}

/** Makes a whiteout of overlayfs, a character device 0:0; the umask applies to `mode`. */
export function makeWhiteoutAt(directory: number, name: ByteString, mode: number): void {
  const S_IFCHR = 0o020000;
  if (call.mknodat(directory, cPath(name), S_IFCHR | (mode & 0o7777), 0) < 0) throw failure('mknodat', name);
}

/** Makes a symlink in an open directory. */
export function symlinkAt(target: ByteString, directory: number, name: ByteString): void {
  if (call.symlinkat(cPath(target), directory, cPath(name, 1)) < 0) throw failure('symlinkat', name);
}

/**
 * Removes a name from an open directory.
 *
 * @param options `directory` removes an empty directory; `missing` takes it well if there is no such name
 */
export function unlinkAt(
  directory: number,
  name: ByteString,
  options: { directory?: boolean; missing?: boolean } = {},
): void {
  const AT_REMOVEDIR = 0x200;
  if (call.unlinkat(directory, cPath(name), options.directory === true ? AT_REMOVEDIR : 0) === 0) return;
  const number = lastErrno();
  if (options.missing === true && errorName(number) === 'ENOENT') return;
  throw failure('unlinkat', name, number);
}

/** Changes the owner of a name in an open directory, a symlink not followed. */
export function chownAt(directory: number, name: ByteString, uid: number, gid: number): void {
  if (call.fchownat(directory, cPath(name), uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
    throw failure('fchownat', name);
}

/** `new_encode_dev` of the kernel, which is also the low half of a `dev_t` of glibc. */
function deviceNumber(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** Calls again while a signal interrupts. */
function retried(perform: () => number): number {
  for (;;) {
    const result = perform();
    if (result >= 0 || errorName(lastErrno()) !== 'EINTR') return result;
  }
}
