/**
 * The objects of a tree that is being committed: the metadata objects as they are written, the content objects as they
 * are made, and from both the composefs image.
 * @module
 */
import { findImageDigest, rememberImageDigest } from '../cache/image-digests.ts';
import { ObjectFacts } from '../cache/object-facts.ts';
import { isRegular, isSymlink } from '../core/fs/mode.ts';
import type { ComposefsFile } from '../core/ostree/composefs-tree.ts';
import { type Dirmeta, encodeDirmeta } from '../core/ostree/dirmeta.ts';
import type { Dirtree } from '../core/ostree/dirtree.ts';
import type { ObjectSize } from '../core/ostree/sizes.ts';
import { type MutableTree, writeTree } from '../repo/mutable-tree.ts';
import type { Repo } from '../repo/repo.ts';
import type { Transaction } from '../repo/transaction.ts';
import type { BatchRunner } from './batch-runner.ts';
import type { MadeObject } from './commit-job.ts';
import { composefsDigestOf } from './composefs-digest.ts';
import { BATCH_NAMES } from './file-batches.ts';

export interface TreeObjectsOptions {
  /** Whether the fs-verity digests of all files are wanted. */
  readonly verity: boolean;
  /** Whether the sizes of all objects are wanted. */
  readonly sizes: boolean;
  /** Whether what earlier commits found out is used, and what this one does is remembered. */
  readonly cache: boolean;
  /** Hears of each batch that is done. */
  readonly onProgress?: (entries: number, bytes: number) => void;
}

/** Checksums of the objects of a root. */
export interface Root {
  readonly dirtree: string;
  readonly dirmeta: string;
}

/** Bytes that a file is taken to have when it is not asked. */
export const TYPICAL_SIZE = 24 * 1024;

export class TreeObjects {
  /** With `sizes`: what was written or would have been, by checksum. */
  readonly sizes = new Map<string, ObjectSize>();
  readonly #repo: Repo;
  readonly #transaction: Transaction;
  readonly #options: TreeObjectsOptions;
  readonly #files = new Map<string, MadeObject>();
  readonly #dirmetas = new Map<string, Dirmeta>();
  readonly #dirtrees = new Map<string, Dirtree>();
  #facts: ObjectFacts | undefined;

  constructor(repo: Repo, transaction: Transaction, options: TreeObjectsOptions) {
    this.#repo = repo;
    this.#transaction = transaction;
    this.#options = options;
  }

  dirtree(checksum: string): Dirtree {
    return this.#dirtrees.get(checksum) ?? this.#repo.dirtree(checksum);
  }

  dirmeta(checksum: string): Dirmeta {
    return this.#dirmetas.get(checksum) ?? this.#repo.dirmeta(checksum);
  }

  /** A file of the tree whose composefs digest is being computed. */
  file(checksum: string): ComposefsFile {
    return (this.#files.get(checksum) ?? this.#knownFacts?.find(checksum)) as ComposefsFile;
  }

  writeDirmeta(dirmeta: Dirmeta): string {
    const checksum = this.#writeMetadata('dirmeta', encodeDirmeta(dirmeta));
    this.#dirmetas.set(checksum, dirmeta);
    return checksum;
  }

  /** Writes the dirtree objects of a tree; returns the checksums of the root's. */
  writeTree(tree: MutableTree): Root {
    const dirtree = writeTree(tree, (written, data) => {
      const checksum = this.#writeMetadata('dirtree', data);
      this.#dirtrees.set(checksum, written);
      return checksum;
    });
    return { dirtree, dirmeta: tree.dirmeta as string };
  }

  /** Counts content objects that were made of files of the tree. */
  add(made: readonly MadeObject[]): void {
    const { stats } = this.#transaction;
    for (const { checksum, written, header, size, archivedSize } of made) {
      if (this.#options.sizes) {
        const unpacked = BigInt(isSymlink(header.mode) ? header.symlinkTarget.length : size);
        this.sizes.set(checksum, { checksum, type: 'file', archived: BigInt(archivedSize), unpacked });
      }
      stats.contentTotal++;
      // Two threads that meet the same content at once both write it.
      if (!written || this.#files.get(checksum)?.written === true) continue;
      stats.contentWritten++;
      if (isRegular(header.mode)) stats.contentBytesWritten += size;
    }
    this.#learn(made);
  }

  /**
   * The fs-verity digest of the composefs image of a tree with this root, 64 hexadecimal digits.
   *
   * @param runner for files that came with an earlier commit, and have not been read yet
   */
  async composefsDigest({ dirtree, dirmeta }: Root, runner: BatchRunner): Promise<string> {
    const known = this.#options.cache ? findImageDigest(this.#repo, dirtree, dirmeta) : undefined;
    if (known !== undefined) return known;
    await this.#examine(dirtree, runner);
    const digest = composefsDigestOf(this, dirtree, dirmeta);
    if (this.#options.cache) rememberImageDigest(this.#repo, dirtree, dirmeta, digest);
    return digest;
  }

  /** Writes down for the next commit what content objects are, once they are in the repository. */
  save(): void {
    const facts = this.#files.size > 0 ? this.#knownFacts : undefined;
    if (facts === undefined) return;
    for (const [checksum, file] of this.#files) facts.add(checksum, file);
    facts.save((checksum) => this.#repo.hasOwnObject('file', checksum));
  }

  /** Sees to it that {@link file} knows every file below a directory, with its fs-verity digest. */
  async #examine(root: string, runner: BatchRunner): Promise<void> {
    const missing = new Set<string>();
    const dirtrees = new Set([root]);
    const facts = this.#knownFacts;
    for (const checksum of dirtrees) {
      const { files, dirs } = this.dirtree(checksum);
      for (const { checksum: file } of files) {
        if (!this.#files.has(file) && facts?.has(file) !== true) missing.add(file);
      }
      for (const { dirtree } of dirs) dirtrees.add(dirtree);
    }
    const unknown = [...missing];
    for (let at = 0; at < unknown.length; at += BATCH_NAMES) {
      const objects = unknown
        .slice(at, at + BATCH_NAMES)
        .map((checksum) => ({ checksum, header: undefined }));
      await runner.run({ objects }, objects.length * TYPICAL_SIZE, (made) => this.#learn(made.objects));
    }
    await runner.finish();
  }

  get #knownFacts(): ObjectFacts | undefined {
    if (this.#options.cache && this.#options.verity) this.#facts ??= ObjectFacts.open(this.#repo);
    return this.#facts;
  }

  #writeMetadata(type: 'dirmeta' | 'dirtree', data: Uint8Array): string {
    const checksum = this.#transaction.writeMetadata(type, data);
    if (this.#options.sizes) {
      const length = BigInt(data.length);
      this.sizes.set(checksum, { checksum, type, archived: length, unpacked: length });
    }
    return checksum;
  }

  #learn(made: readonly MadeObject[]): void {
    let bytes = 0;
    for (const object of made) {
      bytes += object.size;
      if (this.#files.get(object.checksum)?.written !== true) this.#files.set(object.checksum, object);
    }
    this.#options.onProgress?.(made.length, bytes);
  }
}
