/** The files and directories of a tree that an earlier commit has read, and what it made of them. @module */
import { SourceCache } from '../cache/source-cache.ts';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import type { OpenDirectory } from '../node/directory.ts';
import { ioError } from '../node/io-error.ts';
import { type FileStatus, IDENTITY_WORDS, packIdentity, readIdentity } from '../node/syscalls.ts';
import { readFileXattrs } from '../repo/file-xattrs.ts';
import { ObjectIndex } from '../repo/object-index.ts';
import type { ObjectStore } from '../repo/object-store.ts';
import type { Repo } from '../repo/repo.ts';
import type { FilesBatch, MadeBatch, MadeObject } from './commit-job.ts';
import type { Modifier } from './modifier.ts';

export class RememberedFiles {
  readonly #cache: SourceCache;
  readonly #objects: ObjectIndex;
  readonly #identity: Uint32Array;

  private constructor(cache: SourceCache, objects: ObjectIndex, identity: Uint32Array) {
    this.#cache = cache;
    this.#objects = objects;
    this.#identity = identity;
  }

  /**
   * Before any file of the tree is looked at.
   *
   * @param root the tree's directory, at `path`
   * @returns undefined if nothing can be remembered of it
   */
  static open(
    repo: Repo,
    store: ObjectStore,
    path: ByteString,
    root: OpenDirectory,
    modifier: Modifier,
  ): RememberedFiles | undefined {
    const identity = new Uint32Array(IDENTITY_WORDS);
    readIdentity(root.fd, byteString(''), identity, 0);
    const xattrs = readFileXattrs(root.fd);
    const cache = SourceCache.open(repo, { path, identity, xattrs, options: modifier });
    return cache && new RememberedFiles(cache, new ObjectIndex(store, cache.size), identity);
  }

  /** The checksum of the content object of a file, if the file is what it was and the object is still there. */
  file(directory: OpenDirectory, name: ByteString): string | undefined {
    if (this.#cache.size === 0) return undefined;
    try {
      readIdentity(directory.fd, name, this.#identity, 0);
    } catch (error) {
      throw ioError(`fstatat(${displayByteString(name)})`, error);
    }
    const record = this.#cache.find(this.#identity);
    if (record < 0) return undefined;
    const checksum = this.#cache.checksum(record);
    if (!this.#objects.hasFile(checksum)) return undefined;
    this.#cache.keep(record);
    return checksum.toString('hex');
  }

  /** The checksum of the dirmeta of a directory, if the directory is what it was and the object is still there. */
  dirmeta(status: FileStatus): string | undefined {
    packIdentity(status, this.#identity, 0);
    const record = this.#cache.find(this.#identity);
    if (record < 0) return undefined;
    const checksum = this.#cache.checksum(record).toString('hex');
    if (!this.#objects.hasDirmeta(checksum)) return undefined;
    this.#cache.keep(record);
    return checksum;
  }

  /** @param status of the directory before its attributes were read */
  addDirectory(status: FileStatus, dirmeta: string): void {
    packIdentity(status, this.#identity, 0);
    this.#cache.add(this.#identity, 0, dirmeta);
  }

  /** All files of a batch but for those whose mode a rule changed: it might not do so the next time. */
  addFiles({ groups }: FilesBatch, { objects, identities }: MadeBatch): void {
    if (identities === undefined) return;
    let at = 0;
    for (const { names, modeChanges } of groups) {
      for (let i = 0; i < names.length; i++, at++) {
        if (modeChanges?.has(i) === true) continue;
        this.#cache.add(identities, at * IDENTITY_WORDS, (objects[at] as MadeObject).checksum);
      }
    }
  }

  /** Writes it down for the next commit. */
  save(): void {
    this.#cache.save();
  }
}
