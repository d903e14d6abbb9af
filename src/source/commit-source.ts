/**
 * What `ostree commit` reads: directories and earlier commits, laid over each other into one tree whose file objects
 * are written to a transaction on the way. Names are read here; files are read, hashed, compressed and written by the
 * commit job in worker threads.
 *
 * Sockets, devices and fifos are refused with ostree's words, whatever rules there are for their paths.
 * @module
 */
import { closeSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed } from '../core/errors.ts';
import { isDirectory, isRegular, isSymlink } from '../core/fs/mode.ts';
import { validateFilename } from '../core/ostree/dirtree.ts';
import type { FileHeader } from '../core/ostree/file-header.ts';
import {
  DirectoryWalk,
  DT_DIR,
  DT_LNK,
  DT_REG,
  type OpenDirectory,
  placeOf,
  readEntries,
} from '../node/directory.ts';
import { ioError } from '../node/io-error.ts';
import { type FileStatus, statAt } from '../node/syscalls.ts';
import { readFileXattrs } from '../repo/file-xattrs.ts';
import { ensureDirectory, type MutableTree, makeTree, overlayTree, putFile } from '../repo/mutable-tree.ts';
import type { Repo } from '../repo/repo.ts';
import type { Transaction } from '../repo/transaction.ts';
import { BatchRunner } from './batch-runner.ts';
import type { CommitJobSettings, MadeBatch, MadeObject, ObjectRequest } from './commit-job.ts';
import { BATCH_NAMES, FileBatches, FileCollector, type Result } from './file-batches.ts';
import { hardLinkKey } from './link-cache.ts';
import { type ModeChange, type Modifier, modified } from './modifier.ts';
import type { PathRules } from './path-rules.ts';
import { RememberedFiles } from './remembered-files.ts';
import { type Root, TreeObjects, type TreeObjectsOptions, TYPICAL_SIZE } from './tree-objects.ts';

export interface CommitSourceOptions extends TreeObjectsOptions {
  readonly modifier: Modifier;
  readonly rules: PathRules;
  /** Files of the repository by device and inode (`--link-checkout-speedup`). */
  readonly links?: ReadonlyMap<string, string> | undefined;
  /** Whether a file that {@link links} has is taken as it stands in the repository, unseen (`--devino-canonical`). */
  readonly trustLinks: boolean;
  /** Whether {@link CommitSource.visited} is wanted. */
  readonly consume: boolean;
}

/** Files whose size is asked before they are read, to see whether there is work for threads. */
const WEIGHED_FILES = 512;

/** A path relative to the root of the tree that is committed, and what goes there. */
interface Directory {
  readonly path: ByteString;
  readonly tree: MutableTree;
}

export class CommitSource {
  /** What is to be committed. */
  readonly tree: MutableTree;
  /** With `consume`: the names found in each directory, by its inode. */
  readonly visited = new Map<string, ReadonlySet<ByteString>>();
  /** Files taken from the repository because they are links to its objects. */
  linkHits = 0;
  readonly objects: TreeObjects;
  readonly #repo: Repo;
  readonly #transaction: Transaction;
  readonly #options: CommitSourceOptions;
  readonly #batches = new FileBatches();
  readonly #runner: BatchRunner;
  readonly #rewrites: { request: ObjectRequest; name: ByteString; tree: MutableTree; weight: number }[] = [];
  /** Of each directory that was added. */
  readonly #memories: RememberedFiles[] = [];
  /** Of the one that is being added. */
  #remembered: RememberedFiles | undefined;
  #weighed = 0;
  /** Files that the cache knew and nobody was told of yet. */
  #hits = 0;

  /** @param base a commit's tree to begin with */
  constructor(
    repo: Repo,
    transaction: Transaction,
    options: CommitSourceOptions,
    base?: { dirtree: string; dirmeta: string },
  ) {
    this.#repo = repo;
    this.#transaction = transaction;
    this.#options = options;
    this.tree = makeTree(base?.dirtree, base?.dirmeta);
    const settings: CommitJobSettings = {
      store: transaction.store,
      modifier: options.modifier,
      verity: options.verity,
      sizes: options.sizes,
      repoPath: repo.path,
    };
    this.#runner = new BatchRunner(settings);
    this.objects = new TreeObjects(repo, transaction, options);
  }

  /**
   * Lays a directory over the tree.
   *
   * @throws SealtreeError in ostree's words
   */
  async addDirectory(path: ByteString): Promise<void> {
    const walk = new DirectoryWalk();
    this.#forgetSizes();
    try {
      const root = opened(path, () => walk.openRoot(path));
      this.#remember(path, root);
      const pending: { name: ByteString; status: FileStatus; place: ByteString; target: Directory }[] = [];
      const visit = async (directory: OpenDirectory, target: Directory): Promise<void> => {
        try {
          for (const child of this.#readDirectory(directory, target)) {
            pending.push({ ...child, place: placeOf(directory, child.name) });
          }
        } finally {
          closeSync(directory.fd);
        }
        if (this.#batches.isFull) await this.#send();
      };
      await visit(root, { path: byteString('/'), tree: this.tree });
      for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
        const { name, place, status, target } = next;
        await visit(
          opened(name, () => walk.open(place, status)),
          target,
        );
      }
      await this.#finish();
    } finally {
      this.#remembered = undefined;
      walk.close();
    }
  }

  /** Lays the tree of a commit over the tree, as it is or through the modifier. */
  async addCommit(commit: string, { modify }: { modify: boolean }): Promise<void> {
    const { rootDirtree, rootDirmeta } = this.#repo.commit(commit);
    if (!modify) {
      overlayTree(this.tree, rootDirtree, rootDirmeta, this.#repo);
      return;
    }
    this.#forgetSizes();
    const pending = [
      { dirtree: rootDirtree, dirmeta: rootDirmeta, target: { path: byteString('/'), tree: this.tree } },
    ];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      pending.push(...(await this.#readDirtree(next)));
    }
    await this.#finish();
  }

  /**
   * Writes the directories of the tree.
   *
   * @returns the checksums of the root's objects
   */
  writeTree(): Root {
    return this.objects.writeTree(this.tree);
  }

  /** The fs-verity digest of the composefs image of a tree with this root, 64 hexadecimal digits. */
  composefsDigest(root: Root): Promise<string> {
    return this.objects.composefsDigest(root, this.#runner);
  }

  /** Remembers for the next commit what was found out, once the objects are in the repository. */
  saveCache(): void {
    for (const remembered of this.#memories) remembered.save();
    this.objects.save();
  }

  /** Ends the worker threads; what they had begun is waited for. */
  async close(): Promise<void> {
    await this.#runner.close();
  }

  #remember(path: ByteString, root: OpenDirectory): void {
    const { cache, consume, sizes, modifier } = this.#options;
    // The sizes of compressed objects are known once they are compressed; a tree that is consumed does not come again.
    if (!cache || consume || sizes) return;
    const { store } = this.#transaction;
    this.#remembered = RememberedFiles.open(this.#repo, store, path, root, modifier);
    if (this.#remembered !== undefined) this.#memories.push(this.#remembered);
  }

  /** Writes the dirmeta of one directory, collects its files, and tells its subdirectories. */
  #readDirectory(directory: OpenDirectory, { path, tree }: Directory) {
    const { rules } = this.#options;
    const status = statAt(directory.fd, byteString(''));
    const change = rules.isEmpty ? undefined : rules.takeModeChange(path);
    const children: { name: ByteString; status: FileStatus; target: Directory }[] = [];
    if (!rules.isEmpty && rules.takeSkip(path)) return children;
    tree.dirmeta = this.#directoryMeta(directory, status, change);

    const files: FileCollector = new FileCollector(directory, status, tree);
    const entries = readEntries(directory.fd);
    if (this.#options.consume)
      this.visited.set(hardLinkKey(status), new Set(entries.map(({ name }) => name)));
    for (const { name, type } of entries) {
      const kind = type === DT_REG || type === DT_LNK || type === DT_DIR ? type : typeOf(directory, name);
      if (kind === DT_DIR) {
        const childStatus = statOf(directory, name);
        const childPath = rules.isEmpty ? name : joined(path, name);
        // ostree asks its filter twice about a directory, and bits to add are used up by the first time.
        if (!rules.isEmpty) rules.takeModeChange(childPath);
        if (!rules.isEmpty && rules.takeSkip(childPath)) continue;
        const target = {
          path: rules.isEmpty ? path : childPath,
          tree: ensureDirectory(tree, name, this.#repo),
        };
        children.push({ name, status: childStatus, target });
      } else if (kind === DT_REG || kind === DT_LNK) {
        this.#collect(directory, name, kind, path, files);
      } else throw malformed(`Not a regular file or symlink: ${displayByteString(name)}`);
    }
    this.#batches.add(files);
    this.#tellHits();
    return children;
  }

  #directoryMeta({ fd }: OpenDirectory, status: FileStatus, change: ModeChange | undefined): string {
    const { modifier } = this.#options;
    const remembered = change === undefined ? this.#remembered : undefined;
    const known = remembered?.dirmeta(status);
    if (known !== undefined) {
      this.#transaction.stats.metadataTotal++;
      return known;
    }
    const xattrs = modifier.skipXattrs ? [] : readFileXattrs(fd);
    const checksum = this.objects.writeDirmeta({ ...modified(modifier, status, change), xattrs });
    remembered?.addDirectory(status, checksum);
    return checksum;
  }

  #collect(
    directory: OpenDirectory,
    name: ByteString,
    type: number,
    parent: ByteString,
    files: FileCollector,
  ): void {
    const { rules, links, trustLinks } = this.#options;
    const status = links === undefined ? undefined : statOf(directory, name);
    const link = status === undefined ? undefined : links?.get(hardLinkKey(status));
    if (link !== undefined && trustLinks) {
      this.linkHits++;
      putFile(files.tree, name, link, this.#repo);
      return;
    }
    let change: ModeChange | undefined;
    if (!rules.isEmpty) {
      const path = joined(parent, name);
      change = rules.takeModeChange(path);
      if (rules.takeSkip(path)) return;
    }
    validateFilename(name);
    if (link !== undefined && this.#takeLink(files.tree, name, link, status as FileStatus, change)) return;
    const known = change === undefined ? this.#remembered?.file(directory, name) : undefined;
    if (known !== undefined) {
      putFile(files.tree, name, known, this.#repo);
      this.#transaction.stats.contentTotal++;
      this.#hits++;
      return;
    }
    let weight = TYPICAL_SIZE;
    if (this.#weighed < WEIGHED_FILES && type === DT_REG) {
      this.#weighed++;
      weight = statOf(directory, name).size;
    }
    files.add(name, type, change, weight);
  }

  /**
   * A file that is a link to an object of the repository: in bare-user the object says whose it is, not the file.
   *
   * @returns false if it has to be read after all
   */
  #takeLink(
    tree: MutableTree,
    name: ByteString,
    checksum: string,
    status: FileStatus,
    change: ModeChange | undefined,
  ): boolean {
    const { modifier } = this.#options;
    const { mode } = this.#repo;
    const object = mode === 'bare-user' ? this.#repo.file(checksum) : undefined;
    const found = object?.header ?? status;
    const wanted = modified(modifier, found, change);
    const same = wanted.uid === found.uid && wanted.gid === found.gid && wanted.mode === found.mode;
    if (same && !modifier.skipXattrs) {
      this.linkHits++;
      putFile(tree, name, checksum, this.#repo);
      return true;
    }
    if (object === undefined) return false;
    const header = { ...object.header, ...wanted, xattrs: modifier.skipXattrs ? [] : object.header.xattrs };
    this.#rewrites.push({ request: { checksum, header }, name, tree, weight: object.size });
    return true;
  }

  async #readDirtree({ dirtree, dirmeta, target }: { dirtree: string; dirmeta: string; target: Directory }) {
    const { modifier, rules, sizes } = this.#options;
    const { path, tree } = target;
    const change = rules.takeModeChange(path);
    if (rules.takeSkip(path)) return [];
    const meta = this.#repo.dirmeta(dirmeta);
    const xattrs = modifier.skipXattrs ? [] : meta.xattrs;
    tree.dirmeta = this.objects.writeDirmeta({ ...modified(modifier, meta, change), xattrs });
    const { files, dirs } = this.#repo.dirtree(dirtree);
    const requests: ObjectRequest[] = [];
    const names: ByteString[] = [];
    for (const { name, checksum } of files) {
      const filePath = joined(path, name);
      const fileChange = rules.takeModeChange(filePath);
      if (rules.takeSkip(filePath)) continue;
      const object = this.#repo.file(checksum);
      const header = modifiedHeader(modifier, object.header, fileChange);
      if (!sizes && sameHeader(header, object.header)) {
        this.#transaction.stats.contentTotal++;
        putFile(tree, name, checksum, this.#repo);
      } else {
        requests.push({ checksum, header });
        names.push(name);
      }
    }
    for (let at = 0; at < requests.length; at += BATCH_NAMES) {
      const some = requests.slice(at, at + BATCH_NAMES);
      await this.#rewrite(some, names.slice(at, at + BATCH_NAMES), tree, some.length * TYPICAL_SIZE);
    }
    return dirs.flatMap((entry) => {
      const childPath = joined(path, entry.name);
      rules.takeModeChange(childPath);
      if (rules.takeSkip(childPath)) return [];
      return [{ ...entry, target: { path: childPath, tree: ensureDirectory(tree, entry.name, this.#repo) } }];
    });
  }

  #rewrite(
    objects: readonly ObjectRequest[],
    names: readonly ByteString[],
    tree: MutableTree,
    weight: number,
  ): Promise<void> {
    return this.#runner.run({ objects }, weight, (made) => this.#place(made, [{ tree, names }]));
  }

  /** Each tree begins its own list, so that only the last one's files are in the commit's: what ostree does. */
  #forgetSizes(): void {
    this.objects.sizes.clear();
  }

  #tellHits(): void {
    if (this.#hits > 0) this.#options.onProgress?.(this.#hits, 0);
    this.#hits = 0;
  }

  async #send(): Promise<void> {
    for (const { request, name, tree, weight } of this.#rewrites.splice(0)) {
      await this.#rewrite([request], [name], tree, weight);
    }
    const remembered = this.#remembered;
    for (const { batch, results, weight } of this.#batches.take()) {
      await this.#runner.run(batch, weight, (made) => {
        this.#place(made, results);
        remembered?.addFiles(batch, made);
      });
    }
  }

  async #finish(): Promise<void> {
    await this.#send();
    await this.#runner.finish();
  }

  /** Puts what a batch made into the tree, and counts it. */
  #place({ objects: made }: MadeBatch, results: readonly Result[]): void {
    let at = 0;
    for (const { tree, names } of results) {
      for (const name of names) putFile(tree, name, (made[at++] as MadeObject).checksum, this.#repo);
    }
    this.objects.add(made);
  }
}

function modifiedHeader(modifier: Modifier, header: FileHeader, change: ModeChange | undefined): FileHeader {
  return {
    ...header,
    ...modified(modifier, header, change),
    xattrs: modifier.skipXattrs ? [] : header.xattrs,
  };
}

function sameHeader(a: FileHeader, b: FileHeader): boolean {
  return a.uid === b.uid && a.gid === b.gid && a.mode === b.mode && a.xattrs.length === b.xattrs.length;
}

function joined(parent: ByteString, name: ByteString): ByteString {
  return byteString(parent === '/' ? `/${name}` : `${parent}/${name}`);
}

function typeOf(directory: OpenDirectory, name: ByteString): number {
  const { mode } = statOf(directory, name);
  return isDirectory(mode) ? DT_DIR : isRegular(mode) ? DT_REG : isSymlink(mode) ? DT_LNK : 0;
}

function statOf(directory: OpenDirectory, name: ByteString): FileStatus {
  try {
    return statAt(directory.fd, name);
  } catch (error) {
    throw ioError(`fstatat(${displayByteString(name)})`, error);
  }
}

function opened(name: ByteString, open: () => OpenDirectory): OpenDirectory {
  try {
    return open();
  } catch (error) {
    throw ioError(`opendir(${displayByteString(name)})`, error);
  }
}
