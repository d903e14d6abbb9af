/**
 * A commit's tree put into a directory. Directories are made with mode 0700 and get their own when all is in them, so
 * that nobody works with half of one; if a checkout fails they stay like that, with what had been put into them.
 * Decisions and messages are those of the real tool.
 * @module
 */
import { closeSync, constants, fchmodSync, fchownSync, futimesSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import { isDirectory } from '../core/fs/mode.ts';
import type { Dirmeta } from '../core/ostree/dirmeta.ts';
import type { Dirtree } from '../core/ostree/dirtree.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { AT_FDCWD, makeDirectoryAt, openAt, statAt } from '../node/syscalls.ts';
import { FileCheckout, guard, removeAt, setXattrs, statIfThere } from './checkout-file.ts';
import type { CheckoutOptions } from './checkout-options.ts';
import type { Repo } from './repo.ts';
import type { TreeEntry } from './tree-path.ts';

const OPAQUE_WHITEOUT = byteString('.wh..wh..opq');
const FIRST_MODE = 0o700;

/**
 * Checks out a directory of a commit as `destination`, or a file into it.
 *
 * @param destination path; its parent has to be there
 */
export function checkOut(
  repo: Repo,
  source: TreeEntry,
  destination: ByteString,
  givenOptions: CheckoutOptions,
): void {
  // Nothing else makes sense where neither owners nor xattrs are kept.
  const mode = repo.mode === 'bare-user-only' ? 'user' : givenOptions.mode;
  const options: CheckoutOptions = { ...givenOptions, mode };
  const files = new FileCheckout(repo, options);
  try {
    if (source.kind === 'file') checkOutFile(files, source, destination);
    else new TreeCheckout(repo, options, files).checkOut(destination, source.dirtree, source.dirmeta);
  } finally {
    files.close();
  }
}

function checkOutFile(
  files: FileCheckout,
  source: TreeEntry & { kind: 'file' },
  destination: ByteString,
): void {
  if (destination !== '.') {
    try {
      makeDirectoryAt(AT_FDCWD, destination, FIRST_MODE);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw ioError('mkdirat', error);
    }
  }
  const directory = openDirectory(AT_FDCWD, destination);
  try {
    const name = byteString(source.path.slice(source.path.lastIndexOf('/') + 1));
    files.checkOut(source.checksum, directory, name, source.path);
  } finally {
    closeSync(directory);
  }
}

interface Frame {
  readonly fd: number;
  /** Path in the commit, ending in a slash. */
  readonly path: ByteString;
  readonly dirs: Dirtree['dirs'];
  readonly meta: Dirmeta;
  /** Whether it was there before: then its attributes are not touched. */
  readonly existed: boolean;
  next: number;
}

class TreeCheckout {
  readonly #repo: Repo;
  readonly #options: CheckoutOptions;
  readonly #files: FileCheckout;
  /** Of the repository. */
  #device: number | undefined;

  constructor(repo: Repo, options: CheckoutOptions, files: FileCheckout) {
    this.#repo = repo;
    this.#options = options;
    this.#files = files;
  }

  checkOut(destination: ByteString, dirtree: string, dirmeta: string): void {
    const stack: Frame[] = [];
    try {
      const root = this.#enter(AT_FDCWD, destination, byteString('/'), dirtree, dirmeta);
      if (root !== undefined) stack.push(root);
      for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
        const link = frame.dirs[frame.next++];
        if (link === undefined) {
          this.#leave(frame);
          stack.pop();
          closeSync(frame.fd);
          continue;
        }
        const path = byteString(`${frame.path}${link.name}/`);
        const below = this.#enter(frame.fd, link.name, path, link.dirtree, link.dirmeta);
        if (below !== undefined) stack.push(below);
      }
    } finally {
      for (const { fd } of stack) closeSync(fd);
    }
  }

  /** Makes a directory and puts its files into it. @returns undefined if it is on the skip list */
  #enter(
    parent: number,
    name: ByteString,
    path: ByteString,
    dirtree: string,
    dirmeta: string,
  ): Frame | undefined {
    const { files, dirs } = this.#repo.dirtree(dirtree);
    const meta = this.#repo.dirmeta(dirmeta);
    if (this.#options.skip?.has(path) === true) return undefined;
    this.#clearPlace(parent, name, files);
    const existed = this.#make(parent, name);
    const fd = openDirectory(parent, name);
    try {
      this.#requireSameDevice(fd);
      if (!existed && this.#options.mode !== 'user') {
        try {
          setXattrs(fd, meta.xattrs);
        } catch (error) {
          throw prefixed(`Processing dirmeta ${dirmeta}`, error);
        }
      }
      for (const file of files) {
        this.#files.checkOut(file.checksum, fd, file.name, byteString(path + file.name));
      }
      return { fd, path, dirs, meta, existed, next: 0 };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** What whiteouts say has to go before the directory is made. */
  #clearPlace(parent: number, name: ByteString, files: Dirtree['files']): void {
    if (!this.#options.whiteouts) return;
    if (files.some((file) => file.name === OPAQUE_WHITEOUT)) {
      removeAt(parent, name);
    } else if (this.#options.overwrite === 'union') {
      const there = statIfThere(parent, name);
      if (there !== undefined && !isDirectory(there.mode)) removeAt(parent, name);
    }
  }

  /** @returns whether it was there already */
  #make(parent: number, name: ByteString): boolean {
    try {
      makeDirectoryAt(parent, name, FIRST_MODE);
      return false;
    } catch (error) {
      if (isErrno(error, 'EEXIST') && this.#options.overwrite !== 'none') return true;
      throw ioError('mkdirat', error);
    }
  }

  #requireSameDevice(directory: number): void {
    if (!this.#options.requireHardlinks) return;
    this.#device ??= statAt(AT_FDCWD, byteString(`${this.#repo.path}/.`)).dev;
    const source = this.#device;
    const destination = statAt(directory, byteString('')).dev;
    if (source === destination) return;
    const message = `Unable to do hardlink checkout across devices (src=${source} destination=${destination})`;
    throw new SealtreeError('unsupported', message);
  }

  #leave({ fd, meta, existed }: Frame): void {
    if (existed) return;
    const canonical = this.#options.canonicalDirectories || this.#repo.mode === 'bare-user-only';
    guard('fchmod', () => fchmodSync(fd, meta.mode & (canonical ? 0o775 : 0o7777)));
    if (this.#options.mode !== 'user') guard('fchown', () => fchownSync(fd, meta.uid, meta.gid));
    // So that all checkouts are the same; copies are mostly of /etc, and to be changed.
    if (!this.#options.forceCopy) guard('futimens', () => futimesSync(fd, Date.now() / 1000, 0));
  }
}

/** As in the real tool a symlink to a directory is taken for one, where a union may meet it. */
function openDirectory(parent: number, name: ByteString): number {
  try {
    return openAt(parent, name, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw ioError(`opendir(${displayByteString(name)})`, error);
  }
}
