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
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
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
import { renameat2, syncfs } from '../node/syscalls.ts';
import { writeContent } from './content-writer.ts';
import { FOLDER_MODE } from './init.ts';
import { type HeldLock, lockRepository } from './lock.ts';
import { type ObjectStore, ObjectWriter, writeFully } from './object-store.ts';
import { publishStaged, syncObjectFolders } from './publish.ts';
import { writeRefs } from './refs-writer.ts';
import type { Repo } from './repo.ts';
import { allocateStaging, cleanTemporaries, removeStaging, removeTree, type Staging } from './staging.ts';
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
    cleanTemporaries(path, this.settings.tmpExpiry);
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
