/**
 * One file of a commit put into a directory: as a hard link to its object where the repository's mode and the kind of
 * checkout agree, else as a copy. A regular file has its name only when it is complete. Decisions and messages are
 * those of the real tool.
 * @module
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  openSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, prefixed, SealtreeError } from '../core/errors.ts';
import type { Xattr } from '../core/fs/file-tree.ts';
import { isSymlink } from '../core/fs/mode.ts';
import { objectPath } from '../core/ostree/objects.ts';
import { fsPath } from '../node/fs-path.ts';
import { errnoNameOf, ioError, isErrno } from '../node/io-error.ts';
import {
  chownAt,
  copyFileRange,
  type FileStatus,
  linkAt,
  makeWhiteoutAt,
  readLinkAt,
  readXattrs,
  renameat2,
  setXattr,
  statAt,
  symlinkAt,
  unlinkAt,
} from '../node/syscalls.ts';
import type { CheckoutOptions } from './checkout-options.ts';
import { checksumFile } from './checksum-file.ts';
import type { FileObject } from './modes/file-object.ts';
import type { Repo } from './repo.ts';
import { linkTemporary, openTemporary, randomName } from './temporary-file.ts';
import { UncompressedCache } from './uncompressed-cache.ts';

const WHITEOUT_PREFIX = '.wh.';
const OVERLAY_WHITEOUT_PREFIX = '.ostree-wh.';

/** Bytes from which on a copy inside the kernel is faster than one through a buffer. */
const KERNEL_COPY_SIZE = 64 * 1024;

const EMPTY = byteString('');

/** Puts files of one repository into directories. */
export class FileCheckout {
  readonly #repo: Repo;
  readonly #options: CheckoutOptions;
  readonly #objects = new Map<Repo, number>();
  readonly #cache: UncompressedCache | undefined;

  constructor(repo: Repo, options: CheckoutOptions) {
    this.#repo = repo;
    this.#options = options;
    const cached = options.cache && repo.mode === 'archive' && options.mode === 'user';
    this.#cache = cached ? UncompressedCache.open(repo, options.fsync) : undefined;
  }

  close(): void {
    for (const fd of this.#objects.values()) closeSync(fd);
    this.#objects.clear();
    this.#cache?.close();
  }

  /**
   * @param directory descriptor
   * @param path of the file in the commit, for the skip list
   */
  checkOut(checksum: string, directory: number, name: ByteString, path: ByteString): void {
    const file = this.#repo.file(checksum);
    if (this.#options.skip?.has(path) === true) return;
    const link = isSymlink(file.header.mode);
    if (!link && this.#options.whiteouts && name.startsWith(WHITEOUT_PREFIX)) {
      removeHidden(directory, byteString(name.slice(WHITEOUT_PREFIX.length)));
      return;
    }
    if (!link && this.#options.passthroughWhiteouts && name.startsWith(OVERLAY_WHITEOUT_PREFIX)) {
      this.#makeWhiteout(file, directory, byteString(name.slice(OVERLAY_WHITEOUT_PREFIX.length)));
      return;
    }
    const unreadable = this.#options.mode === 'user' && !link && (file.header.mode & 0o400) === 0;
    // An empty object would soon have more links than a file system allows.
    const single = (!link && file.size === 0) || unreadable;
    if (!single && !this.#options.forceCopy && this.#link(checksum, file, directory, name)) return;
    if (!single && !link && this.#cache !== undefined) {
      if (this.#linkCached(this.#cache, checksum, file, directory, name)) return;
    }
    try {
      this.#copy(checksum, file, directory, name, unreadable);
    } catch (error) {
      throw prefixed(`Copy checkout of ${checksum} to ${displayByteString(name)}`, error);
    }
  }

  /** @returns false if it has to be a copy */
  #link(checksum: string, file: FileObject, directory: number, name: ByteString): boolean {
    const link = isSymlink(file.header.mode);
    for (let repo: Repo | undefined = this.#repo; repo !== undefined; repo = repo.parent) {
      const userMode = repo.mode === 'bare-user' || repo.mode === 'bare-user-only';
      const fits = this.#options.mode === 'user' ? userMode : repo.mode === 'bare';
      const copiedLink = userMode && link;
      if (this.#options.requireHardlinks && !fits && !copiedLink) {
        throw new SealtreeError(
          'unsupported',
          userMode
            ? 'User repository mode requires user checkout mode to hardlink'
            : 'Bare repository mode cannot hardlink in user checkout mode',
        );
      }
      const loose = objectPath(checksum, 'file');
      if (fits && !copiedLink) {
        if (this.#hardlink(this.#objectsOf(repo), loose, checksum, directory, name, true)) return true;
      } else if (repo === this.#repo && this.#cache !== undefined) {
        const { folder } = this.#cache;
        if (folder !== undefined && this.#hardlink(folder, loose, checksum, directory, name, true))
          return true;
      }
    }
    return false;
  }

  #linkCached(
    cache: UncompressedCache,
    checksum: string,
    file: FileObject,
    directory: number,
    name: ByteString,
  ): boolean {
    try {
      cache.add(checksum, file);
    } catch (error) {
      throw prefixed(`Unpacking loose object ${checksum}`, error);
    }
    try {
      const loose = objectPath(checksum, 'file');
      return this.#hardlink(cache.folder as number, loose, checksum, directory, name, false);
    } catch (error) {
      const what = `Using new cached uncompressed hardlink of ${checksum} to ${displayByteString(name)}`;
      throw prefixed(what, error);
    }
  }

  /** @returns false if there is nothing to link, or the file system cannot */
  #hardlink(
    from: number,
    loose: ByteString,
    checksum: string,
    directory: number,
    name: ByteString,
    mayBeMissing: boolean,
  ): boolean {
    try {
      linkAt(from, loose, directory, name);
      return true;
    } catch (error) {
      if (!this.#options.requireHardlinks && isErrno(error, 'EMLINK', 'EXDEV', 'EPERM')) return false;
      if (mayBeMissing && isErrno(error, 'ENOENT')) return false;
      const failure = ioError(`Hardlinking ${loose} to ${displayByteString(name)}`, error);
      if (!isErrno(error, 'EEXIST') || this.#options.overwrite === 'none') throw failure;
      if (this.#options.overwrite === 'add') return true;
      if (this.#isIdentical(from, loose, checksum, directory, name)) return true;
      if (this.#options.overwrite === 'identical') throw failure;
    }
    this.#replaceByLink(from, loose, directory, name);
    return true;
  }

  #isIdentical(
    from: number,
    loose: ByteString,
    checksum: string,
    directory: number,
    name: ByteString,
  ): boolean {
    const source = statAt(from, loose);
    const there = statAt(directory, name);
    if (source.dev === there.dev && source.ino === there.ino) return true;
    if (!sameAttributes(source, there)) return false;
    return this.#checksumOf(directory, name, there) === checksum;
  }

  #replaceByLink(from: number, loose: ByteString, directory: number, name: ByteString): void {
    const temporary = randomName('checkout-union-');
    try {
      linkAt(from, loose, directory, temporary);
    } catch (error) {
      throw ioError('linkat', error);
    }
    try {
      if (this.#options.whiteouts) removeAt(directory, name);
      renameat2(temporary, name, 'replace', [directory, directory]);
    } catch (error) {
      unlinkAt(directory, temporary, { missing: true });
      throw ioError('renameat', error);
    }
  }

  #copy(checksum: string, file: FileObject, directory: number, name: ByteString, readable: boolean): void {
    if (isSymlink(file.header.mode)) {
      this.#copySymlink(file, directory, name);
      return;
    }
    const { overwrite, whiteouts } = this.#options;
    const temporary = openTemporary(directory);
    try {
      this.#writeRegular(temporary.fd, file, readable ? file.header.mode | 0o400 : file.header.mode);
      if (overwrite === 'union' && whiteouts) removeAt(directory, name);
      if (overwrite === 'identical' && this.#isSame(checksum, directory, name)) return;
      const replace = overwrite === 'union' && !whiteouts;
      try {
        linkTemporary(temporary, directory, name, replace);
      } catch (error) {
        if (!(overwrite === 'add' && isErrno(error, 'EEXIST'))) throw error;
      }
    } finally {
      temporary.discard();
    }
  }

  #writeRegular(fd: number, file: FileObject, fileMode: number): void {
    if (file.contentFile === undefined || file.size < KERNEL_COPY_SIZE) {
      for (const piece of file.content()) writeFully(fd, piece);
    } else {
      copyInKernel(file, fd);
    }
    const { uid, gid, xattrs } = file.header;
    if (this.#options.mode === 'user') {
      fchmodSync(fd, fileMode & 0o1777);
      return;
    }
    guard('fchown', () => fchownSync(fd, uid, gid));
    setXattrs(fd, xattrs);
    guard('fchmod', () => fchmodSync(fd, fileMode & 0o7777));
  }

  #copySymlink({ header }: FileObject, directory: number, name: ByteString): void {
    if (!this.#makeSymlink(header.symlinkTarget, directory, name)) return;
    if (this.#options.mode === 'user') return;
    guard('fchownat', () => chownAt(directory, name, header.uid, header.gid));
    setXattrs(placeIn(directory, name), header.xattrs);
  }

  /** @returns false if one is there already and stays */
  #makeSymlink(target: ByteString, directory: number, name: ByteString): boolean {
    try {
      symlinkAt(target, directory, name);
      return true;
    } catch (error) {
      const { overwrite, whiteouts } = this.#options;
      const failure = ioError('symlinkat', error);
      if (!isErrno(error, 'EEXIST') || overwrite === 'none') throw failure;
      if (overwrite === 'add') return false;
      if (overwrite === 'identical') {
        if (isSymlink(statAt(directory, name).mode) && readLinkAt(directory, name) === target) return false;
        throw failure;
      }
      if (whiteouts) removeAt(directory, name);
      else guard(`unlinkat(${displayByteString(name)})`, () => unlinkAt(directory, name, { missing: true }));
      guard('symlinkat', () => symlinkAt(target, directory, name));
      // As in the real tool, a symlink that replaces another keeps the caller as its owner.
      return false;
    }
  }

  #isSame(checksum: string, directory: number, name: ByteString): boolean {
    const there = statIfThere(directory, name);
    return there !== undefined && this.#checksumOf(directory, name, there) === checksum;
  }

  #checksumOf(directory: number, name: ByteString, status: FileStatus): string {
    const canonical = this.#repo.mode === 'bare-user-only';
    const xattrs = !this.#repo.disableXattrs && !canonical;
    return checksumFile(placeIn(directory, name), status, { xattrs, canonical });
  }

  #makeWhiteout(file: FileObject, directory: number, name: ByteString): void {
    if (name === '') throw malformed(`Invalid empty overlayfs whiteout '${name}'`);
    try {
      this.#makeNewWhiteout(file, directory, name);
      return;
    } catch (error) {
      if (!isErrno(error, 'EEXIST') || this.#options.overwrite === 'none') throw error;
    }
    if (this.#options.overwrite === 'add') return;
    if (this.#options.overwrite === 'identical') {
      this.#requireSameWhiteout(file, directory, name);
      return;
    }
    guard('unlinkat', () => unlinkAt(directory, name, { missing: true }));
    this.#makeNewWhiteout(file, directory, name);
  }

  #makeNewWhiteout({ header }: FileObject, directory: number, name: ByteString): void {
    guard('Creating whiteout char device', () => makeWhiteoutAt(directory, name, header.mode));
    if (this.#options.mode === 'user') return;
    setXattrs(placeIn(directory, name), header.xattrs);
    guard('fchownat', () => chownAt(directory, name, header.uid, header.gid));
    const path = placeIn(directory, name);
    guard('fchmodat', () => chmodSync(fsPath(path), header.mode & 0o7777));
  }

  #requireSameWhiteout({ header }: FileObject, directory: number, name: ByteString): void {
    const there = statAt(directory, name);
    const problem = (what: string) =>
      malformed(`existing destination file ${displayByteString(name)} ${what}`);
    if (!this.#repo.disableXattrs && this.#repo.mode !== 'bare-user-only') {
      const found = readXattrs(placeIn(directory, name));
      if (JSON.stringify(found) !== JSON.stringify(header.xattrs)) throw problem("xattrs don't match");
    }
    if (this.#options.mode === 'user') return;
    if (there.gid !== header.gid) throw problem(`does not match gid ${header.gid}`);
    if (there.uid !== header.uid) throw problem(`does not match uid ${header.uid}`);
    if ((there.mode & 0o7777) !== (header.mode & 0o7777)) {
      throw problem(`does not match mode ${header.mode.toString(8)}`);
    }
  }

  #objectsOf(repo: Repo): number {
    let fd = this.#objects.get(repo);
    if (fd === undefined) {
      fd = openSync(fsPath(byteString(`${repo.path}/objects`)), constants.O_RDONLY | constants.O_DIRECTORY);
      this.#objects.set(repo, fd);
    }
    return fd;
  }
}

/** A path that leads to a name in an open directory, whatever its depth. */
export function placeIn(directory: number, name: ByteString): ByteString {
  return byteString(`/proc/self/fd/${directory}/${name}`);
}

/** Removes a name and all below it, if it is there. */
export function removeAt(directory: number, name: ByteString): void {
  guard('unlinkat', () => rmSync(fsPath(placeIn(directory, name)), { recursive: true, force: true }));
}

/** Sets attributes in the words of the real tool. */
export function setXattrs(file: ByteString | number, xattrs: readonly Xattr[]): void {
  const call = typeof file === 'number' ? 'fsetxattr' : 'lsetxattr';
  for (const [key, value] of xattrs)
    guard(`${call}(${displayByteString(key)})`, () => setXattr(file, key, value));
}

/** The status of an entry itself, undefined if there is none. @throws SealtreeError `io` */
export function statIfThere(directory: number, name: ByteString): FileStatus | undefined {
  try {
    return statAt(directory, name);
  } catch (error) {
    if (errnoNameOf(error) === 'ENOENT') return undefined;
    throw ioError(`fstatat(${displayByteString(name)})`, error);
  }
}

/** Runs a system call; its failure is worded `what: …`. */
export function guard<T>(what: string, perform: () => T): T {
  try {
    return perform();
  } catch (error) {
    throw ioError(what, error);
  }
}

/** What a whiteout hides is gone; `.` and `..` are names that no whiteout may mean. */
function removeHidden(directory: number, name: ByteString): void {
  if (name === '') throw malformed(`Invalid empty whiteout '${name}'`);
  if (name === '.' || name === '..') throw malformed(`Invalid whiteout of '${name}'`);
  removeAt(directory, name);
}

function sameAttributes(a: FileStatus, b: FileStatus): boolean {
  const sameSize = (a.mode & 0o170000) !== 0o100000 || a.size === b.size;
  return a.mode === b.mode && sameSize && a.uid === b.uid && a.gid === b.gid;
}

function copyInKernel(file: FileObject, target: number): void {
  const source = openSync(fsPath(file.contentFile ?? EMPTY), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (let left = file.size; left > 0; ) {
      const length = copyFileRange(source, target, Math.min(left, 1 << 30));
      if (length === 0) throw malformed('regfile copy: the object has become shorter');
      left -= length;
    }
  } catch (error) {
    if (!isErrno(error, 'EXDEV', 'EINVAL', 'ENOSYS', 'EOPNOTSUPP', 'EBADF', 'EPERM')) {
      throw ioError('regfile copy', error);
    }
    copyByBuffer(file, target);
  } finally {
    closeSync(source);
  }
}

function copyByBuffer(file: FileObject, target: number): void {
  let at = 0;
  for (const piece of file.content()) {
    for (let done = 0; done < piece.length; ) {
      done += writeSync(target, piece, done, piece.length - done, at + done);
    }
    at += piece.length;
  }
}

function writeFully(fd: number, data: Uint8Array): void {
  guard('write', () => {
    for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at);
  });
}
