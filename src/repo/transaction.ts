/**
 * Writing to a repository so that a reader sees all of it or nothing, beside any number of other writers.
 *
 * Objects are collected in `tmp/staging-<boot id>-XXXXXX`, a folder that this process holds the lock of. When all
 * are there the file system is synchronised, they are renamed into `objects`, those folders are synchronised, and
 * only then do refs change. A process that dies leaves its staging folder to be taken over by the next transaction
 * of the same boot, or removed by one of a later boot (its content may never have reached the disk). Folder names,
 * locks and order are libostree's, so that its transactions and ours respect each other.
 * @module
 */
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  utimesSync,
} from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import type { FileHeader } from '../core/ostree/file-header.ts';
import { type ObjectType, objectPath } from '../core/ostree/objects.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { opensslHash } from '../node/hash.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { onExit } from '../node/on-exit.ts';
import { makeDirectoryAt, renameat2, syncfs } from '../node/syscalls.ts';
import { writeContent } from './content-writer.ts';
import { FOLDER_MODE } from './init.ts';
import { type HeldLock, lockRepository, tryLockFolder } from './lock.ts';
import { type ObjectStore, ObjectWriter, writeFully } from './object-store.ts';
import { writeRefs } from './refs-writer.ts';
import type { Repo } from './repo.ts';
import { type WriteSettings, writeSettings } from './write-settings.ts';

const { O_RDONLY, O_DIRECTORY, W_OK } = constants;

/** How many objects a transaction was asked to write and how many it wrote. */
export interface TransactionStats {
  metadataTotal: number;
  metadataWritten: number;
  contentTotal: number;
  contentWritten: number;
  /** Bytes of regular files, before compression. */
  contentBytesWritten: number;
}

export interface TransactionOptions {
  /** Overrides `core.fsync`. */
  readonly fsync?: boolean | undefined;
}

/** What a transaction has to give back when it ends. */
interface Held {
  readonly locks: readonly HeldLock[];
  /** Unregisters the clean-up that a signal would start. */
  forget(): void;
}

const STAGING_PREFIX = 'staging-';

/**
 * Refuses a repository that this user may not write to.
 *
 * @throws SealtreeError `io` in ostree's words
 */
export function requireWritable(repo: Pick<Repo, 'path'>): void {
  try {
    accessSync(fsPath(joinPath(repo.path, byteString('objects'))), W_OK);
  } catch (error) {
    throw ioError('Cannot write to repository', error);
  }
}

export class Transaction {
  readonly settings: WriteSettings;
  readonly store: ObjectStore;
  readonly stats: TransactionStats = {
    metadataTotal: 0,
    metadataWritten: 0,
    contentTotal: 0,
    contentWritten: 0,
    contentBytesWritten: 0,
  };
  readonly #repo: Repo;
  readonly #writer: ObjectWriter;
  readonly #held: Held;
  readonly #fsync: boolean;
  readonly #bootPrefix: string;
  readonly #refs = new Map<ByteString, string | undefined>();
  #open = true;

  private constructor(
    repo: Repo,
    settings: WriteSettings,
    store: ObjectStore,
    held: Held,
    options: TransactionOptions,
  ) {
    this.#repo = repo;
    this.settings = settings;
    this.store = store;
    this.#writer = new ObjectWriter(store);
    this.#held = held;
    this.#fsync = options.fsync ?? settings.fsync;
    this.#bootPrefix = bootPrefix();
  }

  /**
   * Begins a transaction: waits for the repository's lock, makes or takes over a staging folder.
   * Every transaction has to end with {@link commit} or {@link abort}.
   *
   * @throws SealtreeError `io` in ostree's words
   */
  static begin(repo: Repo, options: TransactionOptions = {}): Transaction {
    requireWritable(repo);
    const settings = writeSettings(repo.config);
    const tmp = joinPath(repo.path, byteString('tmp'));
    for (const folder of [tmp, joinPath(tmp, byteString('cache'))]) ensureFolder(folder);
    const repoLock = lockRepository(repo.path, 'shared', settings.lockTimeout);
    let staging: Staging | undefined;
    // Before there is a folder: a signal that came between the two would leave it behind.
    const forget = onExit(() => {
      if (staging !== undefined) removeStaging(staging);
    });
    try {
      staging = allocateStaging(tmp);
      const store = openStore(repo, settings, staging.path);
      return new Transaction(repo, settings, store, { locks: [staging.lock, repoLock], forget }, options);
    } catch (error) {
      if (staging !== undefined) removeStaging(staging);
      forget();
      repoLock.release();
      throw error;
    }
  }

  /** Whether the object is in the repository or was written in this transaction. */
  has(checksum: string, type: ObjectType): boolean {
    return this.#writer.has(checksum, type);
  }

  /**
   * Writes a dirtree, dirmeta or commit object unless it is there.
   *
   * @param expected what its checksum has to be
   * @returns its checksum
   */
  writeMetadata(type: ObjectType, data: Uint8Array, expected?: string): string {
    const checksum = hexOf(opensslHash.digest('sha256', data));
    try {
      if (expected !== undefined && expected !== checksum) throw corrupted(type, expected, checksum);
      this.stats.metadataTotal++;
      if (this.has(checksum, type)) return checksum;
      this.#writer.writeMetadata(checksum, type, data);
      this.stats.metadataWritten++;
    } catch (error) {
      throw prefixed('Writing metadata object', error);
    }
    return checksum;
  }

  /**
   * Writes a file object unless it is there.
   *
   * @param header a symlink has no content
   * @param size bytes of the content, which has to have exactly as many
   * @param expected what the checksum has to be
   * @returns its checksum
   * @throws SealtreeError `mismatch` if it is not `expected`
   */
  async writeFile(
    header: FileHeader,
    size: number,
    content: Iterable<Uint8Array>,
    expected?: string,
  ): Promise<string> {
    try {
      const { checksum, written } = await writeContent(this.#writer, header, size, content, { expected });
      this.stats.contentTotal++;
      if (written) {
        this.stats.contentWritten++;
        this.stats.contentBytesWritten += size;
      }
      return checksum;
    } catch (error) {
      throw prefixed('Writing content object', error);
    }
  }

  /**
   * Makes an object out of a file of another repository on the same file system by a hard link.
   *
   * @param path of that file, whose form is the one that this repository's mode has for the object
   * @returns false where the file system, the kernel or the owner of the file does not allow it
   */
  linkObject(checksum: string, type: ObjectType, path: ByteString): boolean {
    const target = this.#writer.preparePath(checksum, type);
    return linkInto(path, joinPath(this.store.stagingPath, target));
  }

  /** Writes detached metadata in place of what the commit has. */
  writeCommitmeta(commit: string, data: Uint8Array): void {
    try {
      const path = this.#writer.preparePath(commit, 'commitmeta');
      const name = byteString(`tmp-${randomBytes(8).toString('hex')}`);
      const fd = openSync(fsPath(joinPath(this.store.stagingPath, name)), 'wx', 0o644);
      try {
        writeFully(fd, data);
        if (this.#fsync) fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameat2(name, path, 'replace', [this.store.staging, this.store.staging]);
    } catch (error) {
      throw ioError('Unable to write detached metadata', error);
    }
  }

  /** A metadata object as it was written in this transaction, undefined if it was not. */
  readStaged(checksum: string, type: ObjectType): Uint8Array | undefined {
    return readIfThere(joinPath(this.store.stagingPath, objectPath(checksum, type)));
  }

  /**
   * Sets a ref when the transaction is committed.
   *
   * @param refspec `name` or `remote:name`
   * @param checksum of the commit; undefined removes the ref
   */
  setRef(refspec: ByteString, checksum: string | undefined): void {
    this.#refs.set(refspec, checksum);
  }

  /**
   * Makes everything visible: objects first, then refs.
   *
   * @throws SealtreeError; the transaction is then still to be aborted, the repository is valid
   */
  commit(): void {
    const { path } = this.#repo;
    const { objects, staging } = this.store;
    if (this.#fsync) guarded('syncfs(repo)', () => syncfs(objects));
    guarded('rename pending', () => publishStaged(this.store));
    if (this.#fsync) guarded('fsync objdirs: fsync', () => syncObjectFolders(objects));
    writeRefs(this.#repo, this.#refs, { temporary: staging, sync: this.#fsync });
    this.#close();
    cleanTemporaries(path, this.settings.tmpExpiry, this.#bootPrefix);
    rmSync(fsPath(joinPath(path, byteString('transaction'))), { force: true });
    for (const lock of this.#held.locks) lock.release();
  }

  /** Gives everything up; nothing stays. Does nothing after {@link commit} or another abort. */
  abort(): void {
    if (!this.#open) return;
    this.#close();
    for (const lock of this.#held.locks) lock.release();
  }

  #close(): void {
    this.#open = false;
    closeSync(this.store.objects);
    closeSync(this.store.staging);
    removeTree(this.store.stagingPath);
    this.#held.forget();
  }
}

function openStore(repo: Repo, settings: WriteSettings, stagingPath: ByteString): ObjectStore {
  const { blockSize, freeBlocks } = availableBlocks(repo.path, settings);
  return {
    mode: repo.mode,
    objects: openFolder(joinPath(repo.path, byteString('objects'))),
    staging: openFolder(stagingPath),
    stagingPath,
    zlibLevel: settings.zlibLevel,
    perObjectFsync: settings.perObjectFsync,
    verity: settings.verity,
    minFreeSpace: settings.minFreeSpace,
    blockSize,
    freeBlocks,
  };
}

/** Root may use the blocks that file systems reserve for it. */
function availableBlocks(path: ByteString, { minFreeSpace }: WriteSettings) {
  const { bsize, blocks, bfree, bavail } = statfsSync(fsPath(path), { bigint: true });
  const reservedBytes =
    minFreeSpace.size > 0n
      ? minFreeSpace.size << 20n
      : BigInt(Math.floor(Number(bsize * blocks) * (minFreeSpace.percent / 100)));
  const free = (process.geteuid?.() === 0 ? bfree : bavail) - reservedBytes / bsize;
  const freeBlocks = new SharedArrayBuffer(8);
  new BigInt64Array(freeBlocks)[0] = free > 0n ? free : 0n;
  return { blockSize: Number(bsize), freeBlocks };
}

interface Staging {
  readonly path: ByteString;
  readonly lock: HeldLock;
}

/** Takes over a folder of this boot that no process has the lock of, or makes one. */
function allocateStaging(tmp: ByteString): Staging {
  const prefix = bootPrefix();
  for (const name of readdirSync(fsPath(tmp), 'latin1')) {
    if (!name.startsWith(prefix) || name.endsWith('-lock')) continue;
    const path = joinPath(tmp, byteString(name));
    const lock = tryLockFolder(path);
    if (lock === undefined) continue;
    const now = new Date();
    utimesSync(fsPath(path), now, now);
    return { path, lock };
  }
  for (;;) {
    const path = joinPath(tmp, byteString(prefix + randomLetters(6)));
    try {
      mkdirSync(fsPath(path), FOLDER_MODE);
    } catch (error) {
      if (isErrno(error, 'EEXIST')) continue;
      throw ioError('mkdirat', error);
    }
    // Another process may have found the new folder and locked it first: it then owns it.
    const lock = tryLockFolder(path);
    if (lock !== undefined) return { path, lock };
  }
}

let boot: string | undefined;

function bootPrefix(): string {
  boot ??= process.env.OSTREE_BOOTID ?? readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  return `${STAGING_PREFIX}${boot}-`;
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function randomLetters(count: number): string {
  return Array.from(randomBytes(count), (byte) => LETTERS[byte % LETTERS.length]).join('');
}

const TWO_DIGITS = /^[0-9a-f]{2}$/;

/**
 * Renames what is staged into `objects`: a whole folder at once where there is none of its name yet. Commits come
 * last, so that there is none without its objects if the process dies on the way.
 */
function publishStaged({ objects, staging, stagingPath }: ObjectStore): void {
  const commits: ByteString[] = [];
  for (const folder of readdirSync(fsPath(stagingPath), 'latin1') as ByteString[]) {
    if (!TWO_DIGITS.test(folder)) continue;
    const names = readdirSync(fsPath(joinPath(stagingPath, folder)), 'latin1');
    const hasCommit = names.some((name) => name.endsWith('.commit'));
    if (hasCommit) ensureObjectFolder(objects, folder);
    else if (renameUnlessThere(folder, folder, [staging, objects])) continue;
    for (const name of names) {
      const path = byteString(`${folder}/${name}`);
      if (name.endsWith('.commit')) commits.push(path);
      // Detached metadata is named after its commit, not its content: the new one replaces the old one.
      else if (name.endsWith('.commitmeta')) renameat2(path, path, 'replace', [staging, objects]);
      else renameUnlessThere(path, path, [staging, objects]);
    }
  }
  for (const path of commits) renameUnlessThere(path, path, [staging, objects]);
}

function ensureObjectFolder(objects: number, folder: ByteString): void {
  try {
    makeDirectoryAt(objects, folder, 0o777);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
}

/** @returns false if the target is there already */
function renameUnlessThere(
  from: ByteString,
  to: ByteString,
  directories: readonly [number, number],
): boolean {
  try {
    renameat2(from, to, 'noreplace', directories);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

/**
 * All of them, not only those written to: an object found to be there may have been renamed a moment ago by
 * a process that has not come to synchronise its folder.
 */
function syncObjectFolders(objects: number): void {
  const path = `/proc/self/fd/${objects}`;
  for (const folder of readdirSync(path, 'latin1')) {
    if (TWO_DIGITS.test(folder)) syncFolder(byteString(`${path}/${folder}`));
  }
  fsyncSync(objects);
}

function syncFolder(path: ByteString): void {
  const fd = openFolder(path);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Removes staging folders of earlier boots, locks without a folder, and whatever else in `tmp` has grown old. */
function cleanTemporaries(repo: ByteString, expiry: number, currentBoot: string): void {
  const tmp = joinPath(repo, byteString('tmp'));
  const now = Date.now() / 1000;
  for (const name of readdirSync(fsPath(tmp), 'latin1')) {
    if (name === 'cache') continue;
    const path = joinPath(tmp, byteString(name));
    const stat = lstatSync(fsPath(path), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    if (name.startsWith(STAGING_PREFIX) && stat.isDirectory()) {
      if (!name.startsWith(currentBoot)) removeUnlocked(path);
    } else if (name.startsWith(STAGING_PREFIX) && name.endsWith('-lock')) {
      removeOrphanedLock(byteString(path.slice(0, -'-lock'.length)));
    } else if (now - stat.mtimeMs / 1000 > expiry) {
      removeTree(path);
    }
  }
}

function removeUnlocked(path: ByteString): void {
  const lock = tryLockFolder(path);
  if (lock === undefined) return;
  removeTree(path);
  lock.release();
}

/** A process that dies between the removal of its folder and that of the lock leaves the lock. */
function removeOrphanedLock(folder: ByteString): void {
  if (lstatSync(fsPath(folder), { throwIfNoEntry: false }) === undefined) tryLockFolder(folder)?.release();
}

function removeStaging({ path, lock }: Staging): void {
  removeTree(path);
  lock.release();
}

/** Tries again while a worker thread still puts something into it. */
function removeTree(path: ByteString): void {
  rmSync(fsPath(path), { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
}

function linkInto(source: ByteString, target: ByteString): boolean {
  try {
    linkSync(fsPath(source), fsPath(target));
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return true;
    if (isErrno(error, 'EMLINK', 'EXDEV', 'EPERM')) return false;
    throw ioError('linkat', error);
  }
}

function readIfThere(path: ByteString): Uint8Array | undefined {
  try {
    return readFileSync(fsPath(path));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw ioError(`openat(${displayByteString(path)})`, error);
  }
}

function ensureFolder(path: ByteString): void {
  try {
    mkdirSync(fsPath(path), FOLDER_MODE);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw ioError('mkdir(tmp)', error);
  }
}

function openFolder(path: ByteString): number {
  try {
    return openSync(fsPath(path), O_RDONLY | O_DIRECTORY);
  } catch (error) {
    throw ioError(`opendir(${displayByteString(path)})`, error);
  }
}

function guarded(what: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw ioError(what, error);
  }
}

function corrupted(type: ObjectType, expected: string, found: string): SealtreeError {
  const message = `Corrupted ${type} object; checksum expected='${expected}' actual='${found}'`;
  return new SealtreeError('mismatch', message, { expected, found });
}
