/**
 * A commit's tree put into a directory. Directories are made with mode 0700 and get their own when all is in them, so
 * that nobody works with half of one; if a checkout fails they stay like that, with what had been put into them.
 * Decisions and messages are those of the real tool.
 * @module
 */
import { closeSync, constants, fchmodSync, fchownSync, futimesSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import { isDirectory } from '../core/fs/mode.ts';
import type { Dirmeta } from '../core/ostree/dirmeta.ts';
import type { Dirtree } from '../core/ostree/dirtree.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import type { Job } from '../node/jobs.ts';
import { AT_FDCWD, makeDirectoryAt, openAt, statAt } from '../node/syscalls.ts';
import { WorkerPool } from '../node/worker-pool.ts';
import { FileCheckout, guard, removeAt, setXattrs, statIfThere } from './checkout-file.ts';
import type { CheckoutBatch } from './checkout-job.ts';
import type { CheckoutOptions } from './checkout-options.ts';
import type { Repo } from './repo.ts';
import type { TreeEntry } from './tree-path.ts';

const JOB: Job = { name: 'checkout', load: () => import('./checkout-job.ts') };

const OPAQUE_WHITEOUT = byteString('.wh..wh..opq');
const FIRST_MODE = 0o700;

/** Files that one thread puts into a directory at a time. */
const BATCH_SIZE = 64;

/** What is taken for the bytes of a file that is copied or inflated, and of one that is linked. */
const COPY_WEIGHT = 16 * 1024;
const LINK_WEIGHT = 2 * 1024;

/** Directories that are open at once, but for those that lead to the one that is worked on. */
const OPEN_DIRECTORIES = 256;

/** Directories after which replies of workers are looked at. */
const TURN = 4;

/**
 * Checks out a directory of a commit as `destination`, or a file into it.
 *
 * @param destination path; its parent has to be there
 */
export async function checkOut(
  repo: Repo,
  source: TreeEntry,
  destination: ByteString,
  givenOptions: CheckoutOptions,
): Promise<void> {
  // Nothing else makes sense where neither owners nor xattrs are kept.
  const mode = repo.mode === 'bare-user-only' ? 'user' : givenOptions.mode;
  const options: CheckoutOptions = { ...givenOptions, mode };
  if (source.kind === 'file') {
    checkOutFile(repo, options, source, destination);
    return;
  }
  const tree = new TreeCheckout(repo, options);
  try {
    await tree.checkOut(destination, source.dirtree, source.dirmeta);
  } finally {
    await tree.close();
  }
}

function checkOutFile(
  repo: Repo,
  options: CheckoutOptions,
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
  const files = new FileCheckout(repo, options);
  try {
    const name = byteString(source.path.slice(source.path.lastIndexOf('/') + 1));
    files.checkOut(source.checksum, directory, name, source.path);
  } finally {
    files.close();
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
  /** Puts files into directories one after the other, where names that are there may be replaced. */
  readonly #files: FileCheckout | undefined;
  /** Does so in any order, where nothing is there. */
  readonly #pool: WorkerPool<CheckoutBatch, void> | undefined;
  readonly #running: Promise<void>[] = [];
  /** Directories with everything below them made, but for files that are on their way; those below come first. */
  readonly #made: Frame[] = [];
  readonly #weight: number;
  /** Of the repository. */
  #device: number | undefined;

  constructor(repo: Repo, options: CheckoutOptions) {
    this.#repo = repo;
    this.#options = options;
    const isNew = options.overwrite === 'none' && !options.whiteouts && !options.passthroughWhiteouts;
    if (isNew) this.#pool = new WorkerPool(JOB, { path: repo.path, options });
    else this.#files = new FileCheckout(repo, options);
    const isLinked = repo.mode !== 'archive' && (repo.mode === 'bare') === (options.mode === 'none');
    this.#weight = isLinked && !options.forceCopy ? LINK_WEIGHT : COPY_WEIGHT;
  }

  async checkOut(destination: ByteString, dirtree: string, dirmeta: string): Promise<void> {
    const stack: Frame[] = [];
    try {
      const root = this.#enter(AT_FDCWD, destination, byteString('/'), dirtree, dirmeta);
      if (root !== undefined) stack.push(root);
      for (let frame = stack.at(-1), count = 0; frame !== undefined; frame = stack.at(-1)) {
        const link = frame.dirs[frame.next++];
        if (link === undefined) {
          stack.pop();
          this.#made.push(frame);
          if (this.#pool === undefined || this.#made.length >= OPEN_DIRECTORIES) await this.#settle();
          continue;
        }
        const path = byteString(`${frame.path}${link.name}/`);
        const below = this.#enter(frame.fd, link.name, path, link.dirtree, link.dirmeta);
        if (below !== undefined) stack.push(below);
        if (this.#running.length > 0 && ++count % TURN === 0) await setImmediate();
      }
      await this.#settle();
    } finally {
      // Whoever still works in one of them may not find another under its number.
      await this.#pool?.close();
      for (const { fd } of [...stack, ...this.#made]) closeSync(fd);
    }
  }

  async close(): Promise<void> {
    await this.#pool?.close();
    this.#files?.close();
  }

  /** Waits for files that are on their way, and gives the directories that hold them what is their own. */
  async #settle(): Promise<void> {
    await this.#pool?.flush();
    // In their order, so that the first failure is the one that is told.
    for (const running of this.#running.splice(0)) await running;
    for (const frame of this.#made) this.#leave(frame);
    for (const { fd } of this.#made.splice(0)) closeSync(fd);
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
      this.#fill(fd, path, files);
      return { fd, path, dirs, meta, existed, next: 0 };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  #fill(directory: number, path: ByteString, files: Dirtree['files']): void {
    if (this.#pool === undefined) {
      for (const { checksum, name } of files) {
        this.#files?.checkOut(checksum, directory, name, byteString(path + name));
      }
      return;
    }
    for (let at = 0; at < files.length; at += BATCH_SIZE) {
      const batch = { directory, path, files: files.slice(at, at + BATCH_SIZE) };
      this.#running.push(this.#pool.run(batch, batch.files.length * this.#weight));
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
