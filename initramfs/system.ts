/**
 * The ports of the core in the boot program: what the verifier asks of the machine, and the calls that mount.
 * Structures: the kernel's, little-endian, 64 bits.
 * @module
 */
import {
  type ByteString,
  byteString,
  byteStringFrom,
  displayByteString,
} from '../src/core/bytes/byte-string.ts';
import { joinBytes } from '../src/core/bytes/join-bytes.ts';
import { type ErrorName, failedWith, systemCallError, worded } from '../src/core/errno.ts';
import { malformed } from '../src/core/errors.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../src/core/fs/mode.ts';
import { DIGEST_SIZE, type HashName } from '../src/core/hash.ts';
import type { MountCalls } from '../src/core/mount/calls.ts';
import type { FileKind, System, VerityEvidence } from '../src/core/system.ts';
import { trustedDigest } from '../src/core/verify/verity-evidence.ts';
import { checked, cString, cText, kernel, retried } from './sys.ts';

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_NO_AUTOMOUNT = 0x800;
const AT_EMPTY_PATH = 0x1000;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_NOCTTY = 0o400;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

/** The machine as the verifier sees it. */
export const bootSystem: System = {
  readFile(path: ByteString, limit: number) {
    const fd = openIfThere(`openat(${displayByteString(path)})`, path);
    return fd === undefined ? undefined : using(fd, () => readRegular(fd, path, limit));
  },

  readLink(path: ByteString) {
    const target = new Uint8Array(PATH_MAX);
    return orNothing(`reading link ${displayByteString(path)}`, ['ENOENT', 'EINVAL', 'ENOTDIR'], () => {
      const length = checked('readlinkat', kernel.readlinkat(AT_FDCWD, cString(path), target.buffer));
      return byteStringFrom(target, 0, length);
    });
  },

  readDirectory(path: ByteString) {
    const what = `reading directory ${displayByteString(path)}`;
    return orNothing(what, ['ENOENT', 'ENOTDIR'], () => using(openForReading(path), readNames))?.sort();
  },

  kindOf(path: ByteString): FileKind | undefined {
    const status = statusIfThere(path);
    if (status === undefined) return undefined;
    switch (status.mode & S_IFMT) {
      case S_IFREG:
        return 'file';
      case S_IFDIR:
        return 'directory';
      case S_IFLNK:
        return 'symlink';
      default:
        return 'other';
    }
  },

  examineVerity(path: ByteString): VerityEvidence | undefined {
    const fd = openIfThere(`opening ${displayByteString(path)}`, path);
    return fd === undefined ? undefined : using(fd, examineVerity);
  },

  fileSystemOf(path: ByteString): number | undefined {
    return orNothing(`statfs(${displayByteString(path)})`, ['ENOENT', 'ENOTDIR'], () =>
      using(openForReading(path), (fd) => fileSystemStatus(fd).type),
    );
  },
};

/** The calls that mount. */
export const bootMountCalls: MountCalls = {
  close,
  readStart(fd, length) {
    const data = new Uint8Array(length);
    return data.subarray(
      0,
      retried('pread', () => kernel.pread(fd, data.buffer, 0)),
    );
  },
  measureVerity: (fd) => trustedDigest(examineVerity(fd)),
  mount(source, target, type, flags, options) {
    const result = kernel.mount(cText(source), cString(target), cText(type), flags, cText(options));
    checked('mount', result);
  },
  umount(target, flags) {
    checked('umount2', kernel.umount2(cString(target), flags));
  },
  openFileSystem(type) {
    const FSOPEN_CLOEXEC = 1;
    return checked('fsopen', kernel.fsopen(cString(type), FSOPEN_CLOEXEC));
  },
  configureFileSystem(fd, key, value) {
    const FSCONFIG_SET_FLAG = 0;
    const FSCONFIG_SET_STRING = 1;
    const command = value === undefined ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
    checked(`fsconfig ${key}`, kernel.fsconfig(fd, command, cString(key), cText(value ?? null), 0));
  },
  createMount(fd, attributes) {
    const FSCONFIG_CMD_CREATE = 6;
    const FSMOUNT_CLOEXEC = 1;
    checked('fsconfig', kernel.fsconfig(fd, FSCONFIG_CMD_CREATE, null, null, 0));
    return checked('fsmount', kernel.fsmount(fd, FSMOUNT_CLOEXEC, attributes));
  },
  mapMountOwners(): never {
    throw systemCallError('mount_setattr', 'EOPNOTSUPP');
  },
  moveMount(mountFd, target) {
    const MOVE_MOUNT_F_EMPTY_PATH = 4;
    const nowhere = cString(byteString(''));
    checked(
      'move_mount',
      kernel.moveMount(mountFd, nowhere, AT_FDCWD, cString(target), MOVE_MOUNT_F_EMPTY_PATH),
    );
  },
  openDevice: (path, writable) => open(path, writable ? O_RDWR : O_RDONLY),
  freeLoopDevice: (control) => checked('ioctl(LOOP_CTL_GET_FREE)', kernel.loopGetFree(control)),
  configureLoopDevice(fd, config) {
    checked('ioctl(LOOP_CONFIGURE)', kernel.loopConfigure(fd, exactBuffer(config)));
  },
};

export interface FileStatus {
  readonly mode: number;
  readonly size: number;
  readonly inode: bigint;
  readonly major: number;
  readonly minor: number;
  /** Of a device file: the device that it stands for. */
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly verity: boolean;
}

/** What stands at a path; undefined if nothing does. A symlink in the last part is followed only if `follow`. */
export function statusIfThere(path: ByteString, follow = false): FileStatus | undefined {
  const what = `${follow ? 'stat' : 'lstat'}(${displayByteString(path)})`;
  return orNothing(what, ['ENOENT', 'ENOTDIR'], () =>
    statusAt(AT_FDCWD, path, follow ? 0 : AT_SYMLINK_NOFOLLOW),
  );
}

/** `st_dev` as glibc has it: major and minor number interleaved. */
export function deviceNumber(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (low & 0xffn) | ((high & 0xfffn) << 8n) | ((low & ~0xffn) << 12n) | ((high & ~0xfffn) << 32n);
}

/** `f_type` and `f_flags` of fstatfs. */
export function fileSystemStatus(fd: number): { readonly type: number; readonly readonly: boolean } {
  const ST_RDONLY = 1;
  const view = new DataView(new ArrayBuffer(120));
  checked('fstatfs', kernel.fstatfs(fd, view.buffer));
  return { type: view.getUint32(0, true), readonly: (view.getUint32(80, true) & ST_RDONLY) !== 0 };
}

/** Opens without waiting and without becoming a controlling terminal. */
export function open(path: ByteString, flags: number, mode = 0): number {
  const all = flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  return retried('open', () => kernel.openat(AT_FDCWD, cString(path), all, mode));
}

/** Opens for reading, as {@link open} does. */
export function openForReading(path: ByteString): number {
  return open(path, O_RDONLY);
}

/** Closes a descriptor; that it could not be closed is of no use to anybody. */
export function close(fd: number): void {
  kernel.close(fd);
}

/** Runs with an open file, which is closed in any case. */
export function using<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    close(fd);
  }
}

/** Writes everything to an open file. */
export function writeAll(fd: number, data: Uint8Array): void {
  for (let at = 0; at < data.length; ) {
    const rest = data.slice(at);
    at += retried('write', () => kernel.write(fd, rest.buffer));
  }
}

/** Writes to a file that is there: a device, or one of /proc and /sys. */
export function writeTo(path: ByteString, data: Uint8Array): void {
  using(open(path, O_WRONLY), (fd) => writeAll(fd, data));
}

/** Gives a file its content at once, under a temporary name first. */
export function replaceFile(path: ByteString, data: Uint8Array, mode: number): void {
  const temporary = byteString(`${path}.${randomName()}`);
  using(open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode), (fd) => {
    checked('fchmod', kernel.fchmod(fd, mode));
    writeAll(fd, data);
  });
  checked('rename', kernel.renameat2(AT_FDCWD, cString(temporary), AT_FDCWD, cString(path), 0));
}

/** @throws SealtreeError `io`, EEXIST where something is there */
export function makeDirectory(path: ByteString, mode: number): void {
  checked('mkdir', kernel.mkdirat(AT_FDCWD, cString(path), mode));
}

/** Removes an empty directory. @throws SealtreeError `io` */
export function removeDirectory(path: ByteString): void {
  const AT_REMOVEDIR = 0x200;
  checked('rmdir', kernel.unlinkat(AT_FDCWD, cString(path), AT_REMOVEDIR));
}

/** Removes a name. @throws SealtreeError `io` */
export function removeFile(path: ByteString): void {
  checked('unlink', kernel.unlinkat(AT_FDCWD, cString(path), 0));
}

/** @throws SealtreeError `io`, EEXIST where something is there */
export function makeSymlink(target: ByteString, path: ByteString): void {
  checked('symlink', kernel.symlinkat(cString(target), AT_FDCWD, cString(path)));
}

/** Where paths that do not begin with a slash begin from now on. @throws SealtreeError `io` */
export function changeDirectory(path: ByteString): void {
  checked('chdir', kernel.chdir(cString(path)));
}

/** Six letters and digits that nobody has guessed. */
export function randomName(): string {
  const bytes = new Uint8Array(6);
  checked('getrandom', kernel.getrandom(bytes.buffer, 0));
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
  return Array.from(bytes, (byte) => letters[byte % letters.length]).join('');
}

/** Waits; a signal may end it sooner. @param seconds may be a fraction */
export function sleep(seconds: number): void {
  const view = new DataView(new ArrayBuffer(16));
  view.setUint32(0, Math.floor(seconds), true);
  view.setUint32(8, Math.round((seconds % 1) * 1e9), true);
  kernel.nanosleep(view.buffer, null);
}

const PATH_MAX = 4096;
const HASH_OF_NUMBER: Partial<Record<number, HashName>> = { 1: 'sha256', 2: 'sha512' };
const DIGEST_START = 4;

/** Where a file stands in a directory's place something is wrong, and not absent: ENOTDIR is an error. */
function openIfThere(what: string, path: ByteString): number | undefined {
  return orNothing(what, ['ENOENT'], () => openForReading(path));
}

/** The value, or undefined where the system says one of `names`. */
function orNothing<T>(what: string, names: readonly ErrorName[], get: () => T): T | undefined {
  try {
    return get();
  } catch (error) {
    if (failedWith(error, ...names)) return undefined;
    throw worded(what, error);
  }
}

/** A file that can be read to its end: nothing that waits or never ends. */
function readRegular(fd: number, path: ByteString, limit: number): Uint8Array {
  const shown = displayByteString(path);
  const { mode, size } = statusAt(fd, byteString(''), AT_EMPTY_PATH);
  if ((mode & S_IFMT) === S_IFDIR) throw systemCallError(shown, 'EISDIR');
  if ((mode & S_IFMT) !== S_IFREG) throw malformed(`${shown}: not a regular file`);
  const tooLarge = (found: string) => malformed(`${shown}: ${found}, at most ${limit} are allowed`);
  if (size > limit) throw tooLarge(`${size} bytes`);
  // Files of /proc have no size; one byte more shows that there is more.
  const chunk = new Uint8Array(Math.min(size === 0 ? 65536 : size + 1, limit + 1));
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    let length: number;
    try {
      length = retried('read', () => kernel.read(fd, chunk.buffer));
    } catch (error) {
      throw worded(`reading ${shown}`, error);
    }
    if (length === 0) break;
    total += length;
    if (total > limit) throw tooLarge(`more than ${limit} bytes`);
    chunks.push(chunk.slice(0, length));
  }
  return joinBytes(chunks);
}

function readNames(fd: number): ByteString[] {
  const names: ByteString[] = [];
  const entries = new Uint8Array(32768);
  const view = new DataView(entries.buffer);
  for (;;) {
    const length = checked('getdents64', kernel.getdents(fd, entries.buffer));
    if (length === 0) return names;
    // struct linux_dirent64: inode, offset, length of the record, type, name
    for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
      const start = at + 19;
      const name = byteStringFrom(entries, start, entries.indexOf(0, start));
      if (name !== '.' && name !== '..') names.push(name);
    }
  }
}

function examineVerity(fd: number): VerityEvidence {
  return {
    fileSystem: fileSystemStatus(fd).type,
    enforced: statusAt(fd, byteString(''), AT_EMPTY_PATH).verity,
    digest: measureVerity(fd),
  };
}

function measureVerity(fd: number): VerityEvidence['digest'] {
  // struct fsverity_digest: algorithm, size of the digest, digest
  const view = new DataView(new ArrayBuffer(DIGEST_START + 64));
  view.setUint16(2, 64, true);
  try {
    checked('ioctl(FS_IOC_MEASURE_VERITY)', kernel.measureVerity(fd, view.buffer));
  } catch (error) {
    if (failedWith(error, 'ENODATA')) return 'off';
    if (failedWith(error, 'ENOTTY', 'EOPNOTSUPP', 'ENOSYS')) return undefined;
    throw error;
  }
  const algorithm = HASH_OF_NUMBER[view.getUint16(0, true)];
  if (algorithm === undefined) throw systemCallError('ioctl(FS_IOC_MEASURE_VERITY)', 'EINVAL');
  return { algorithm, digest: new Uint8Array(view.buffer, DIGEST_START, DIGEST_SIZE[algorithm]) };
}

function statusAt(directory: number, path: ByteString, flags: number): FileStatus {
  const STATX_BASIC_STATS = 0x7ff;
  const STATX_ATTR_VERITY = 0x00100000;
  const view = new DataView(new ArrayBuffer(256));
  const all = flags | AT_NO_AUTOMOUNT;
  checked('stat', kernel.statx(directory, cString(path), all, STATX_BASIC_STATS, view.buffer));
  return {
    mode: view.getUint16(28, true),
    size: view.getUint32(40, true) + view.getUint32(44, true) * 2 ** 32,
    inode: view.getBigUint64(32, true),
    major: view.getUint32(136, true),
    minor: view.getUint32(140, true),
    deviceMajor: view.getUint32(128, true),
    deviceMinor: view.getUint32(132, true),
    verity: (view.getUint32(8, true) & STATX_ATTR_VERITY) !== 0,
  };
}

/** The bytes in a buffer of exactly their length. */
function exactBuffer(data: Uint8Array): ArrayBuffer {
  return data.slice().buffer;
}
