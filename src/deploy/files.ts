/** Making, replacing, copying and removing files of a sysroot, so that each is on the disk before it counts. @module */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  futimesSync,
  lstatSync,
  openSync,
  readSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { isDirectory, isSymlink } from '../core/fs/mode.ts';
import { writeAll } from '../node/atomic-file.ts';
import { DirectoryWalk, type Entry, type OpenDirectory, placeOf, readEntries } from '../node/directory.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { makeDirectories } from '../node/make-directories.ts';
import {
  AT_FDCWD,
  chownAt,
  type FileStatus,
  readLinkAt,
  readXattrs,
  renameat2,
  setXattr,
  statAt,
  symlinkAt,
  syncfs,
  unlinkAt,
} from '../node/syscalls.ts';
import { linkTemporary, openTemporary } from '../repo/temporary-file.ts';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;

/** Makes a directory and those above it that are not there. */
export function ensureDirectory(path: ByteString, mode: number): void {
  try {
    makeDirectories(path, mode);
  } catch (error) {
    throw ioError(`mkdirat(${displayByteString(path)})`, error);
  }
}

/** The status of a file itself, not of what a symlink leads to; undefined if there is none. */
export function statusOf(path: ByteString): FileStatus | undefined {
  try {
    return statAt(AT_FDCWD, path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw ioError(`fstatat(${displayByteString(path)})`, error);
  }
}

/** Opens a directory, which may be behind a symlink unless told otherwise. The caller closes it. */
export function openDirectory(path: ByteString, { follow = true } = {}): number {
  try {
    return openSync(fsPath(path), follow ? DIRECTORY : DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    throw ioError(`opendir(${displayByteString(path)})`, error);
  }
}

/** Opens a directory for the length of a call. */
export function withDirectory<T>(path: ByteString, use: (fd: number) => T): T {
  const fd = openDirectory(path);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** Entries in the order of the file system; undefined if there is no such directory. */
export function entriesOf(path: ByteString): Entry[] | undefined {
  try {
    return withDirectory(path, readEntries);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Has the names in a directory on the disk. */
export function syncDirectory(path: ByteString): void {
  withDirectory(path, (fd) => {
    try {
      fsyncSync(fd);
    } catch (error) {
      throw ioError(`fsync(${displayByteString(path)})`, error);
    }
  });
}

/** Has a file itself on the disk. */
export function syncFile(path: ByteString): void {
  try {
    const fd = openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw ioError(`fsync(${displayByteString(path)})`, error);
  }
}

/** Has all of the file system that a directory is on, on the disk. */
export function syncFileSystem(path: ByteString): void {
  withDirectory(path, (fd) => {
    try {
      syncfs(fd);
    } catch (error) {
      throw ioError(`syncfs(${displayByteString(path)})`, error);
    }
  });
}

/** Writes a file that has no name until it is complete and on the disk; one that is there goes. */
export function writeFile(path: ByteString, data: Uint8Array): void {
  const slash = path.lastIndexOf('/');
  withDirectory(byteString(path.slice(0, slash)), (directory) => {
    const temporary = openTemporary(directory);
    try {
      writeAll(temporary.fd, data);
      fchmodSync(temporary.fd, 0o644);
      fsyncSync(temporary.fd);
      linkTemporary(temporary, directory, byteString(path.slice(slash + 1)), isThere(path));
    } catch (error) {
      throw ioError(`writing ${displayByteString(path)}`, error);
    } finally {
      temporary.discard();
    }
  });
}

/** Makes a symlink in place of one that may be there, which is there until the new one is. */
export function replaceSymlink(target: ByteString, path: ByteString): void {
  const temporary = byteString(`${path}.tmp`);
  try {
    unlinkSync(fsPath(temporary));
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw ioError(`unlinkat(${displayByteString(temporary)})`, error);
  }
  try {
    symlinkSync(fsPath(target), fsPath(temporary));
  } catch (error) {
    throw ioError('symlinkat', error);
  }
  rename(temporary, path);
}

/** Renames, in place of what may be there. @throws SealtreeError `io` */
export function rename(from: ByteString, to: ByteString): void {
  try {
    renameat2(from, to);
  } catch (error) {
    throw ioError(`renameat(${displayByteString(from)}, ${displayByteString(to)})`, error);
  }
}

/** Removes a name; one that is not there is as good. @throws SealtreeError `io` */
export function removeFile(path: ByteString): void {
  try {
    unlinkSync(fsPath(path));
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw ioError(`unlinkat(${displayByteString(path)})`, error);
  }
}

interface Removal {
  readonly directory: OpenDirectory;
  readonly name: ByteString;
  readonly entries: readonly Entry[];
  next: number;
}

/** Removes a file, or a directory and all in it, of any depth; symlinks are not followed. */
export function removeTree(path: ByteString): void {
  const status = statusOf(path);
  if (status === undefined) return;
  if (!isDirectory(status.mode)) {
    removeFile(path);
    return;
  }
  const walk = new DirectoryWalk();
  const stack: Removal[] = [];
  const enter = (directory: OpenDirectory, name: ByteString) =>
    stack.push({ directory, name, entries: readEntries(directory.fd), next: 0 });
  try {
    enter(walk.openRoot(path), path);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const entry = top.entries[top.next++];
      if (entry === undefined) {
        stack.pop();
        closeSync(top.directory.fd);
        unlinkAt(stack.at(-1)?.directory.fd ?? AT_FDCWD, top.name, { directory: true });
        continue;
      }
      const found = statAt(top.directory.fd, entry.name);
      if (isDirectory(found.mode)) enter(walk.open(placeOf(top.directory, entry.name), found), entry.name);
      else unlinkAt(top.directory.fd, entry.name);
    }
  } catch (error) {
    throw ioError(`removing ${displayByteString(path)}`, error);
  } finally {
    for (const { directory } of stack) closeSync(directory.fd);
    walk.close();
  }
}

/** What of a file is copied besides its content. */
export interface CopyOptions {
  readonly xattrs: boolean;
  /** Owner and mode, which file systems like FAT do not keep. */
  readonly attributes?: boolean;
  readonly sync?: boolean;
}

/**
 * Copies a regular file or a symlink under the same kind, with owner, mode and times. A file has its name only when it
 * is complete.
 *
 * @param status of the source, which is not followed
 * @param replace whether what has the name goes
 */
export function copyFile(
  source: ByteString,
  status: FileStatus,
  targetDirectory: number,
  name: ByteString,
  { xattrs, attributes = true, sync = false, replace }: CopyOptions & { readonly replace: boolean },
): void {
  if (isSymlink(status.mode)) {
    if (replace) unlinkAt(targetDirectory, name, { missing: true });
    symlinkAt(readLinkAt(AT_FDCWD, source), targetDirectory, name);
    const place = byteString(`/proc/self/fd/${targetDirectory}/${name}`);
    if (xattrs) for (const [key, value] of readXattrs(source)) setXattr(place, key, value);
    chownAt(targetDirectory, name, status.uid, status.gid);
    return;
  }
  const from = openSync(fsPath(source), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const temporary = openTemporary(targetDirectory);
    try {
      copyContent(from, temporary.fd);
      if (attributes) fchownSync(temporary.fd, status.uid, status.gid);
      if (xattrs) for (const [key, value] of readXattrs(from)) setXattr(temporary.fd, key, value);
      if (attributes) fchmodSync(temporary.fd, status.mode & 0o7777);
      const { atimeMs, mtimeMs } = fstatSync(from);
      futimesSync(temporary.fd, atimeMs / 1000, mtimeMs / 1000);
      if (sync) fsyncSync(temporary.fd);
      linkTemporary(temporary, targetDirectory, name, replace);
    } finally {
      temporary.discard();
    }
  } finally {
    closeSync(from);
  }
}

/** Gives a directory the owner, the mode and, if wanted, the attributes of another. */
export function copyDirectoryAttributes(source: number, target: number, xattrs: boolean): void {
  if (xattrs) for (const [key, value] of readXattrs(source)) setXattr(target, key, value);
  const { uid, gid, mode } = fstatSync(source);
  fchownSync(target, uid, gid);
  fchmodSync(target, mode & 0o7777);
}

const buffer = Buffer.alloc(1 << 20);

function copyContent(from: number, to: number): void {
  for (;;) {
    const length = readSync(from, buffer, 0, buffer.length, null);
    if (length === 0) return;
    writeAll(to, buffer.subarray(0, length));
  }
}

/** Whether a file is there, a symlink not followed. */
export function isThere(path: ByteString): boolean {
  return lstatSync(fsPath(path), { throwIfNoEntry: false }) !== undefined;
}
