/** Files that are found in directories, gathered into batches of about the same size. @module */
import type { ByteString } from '../core/bytes/byte-string.ts';
import { DT_LNK, type OpenDirectory } from '../node/directory.ts';
import type { FileStatus } from '../node/syscalls.ts';
import type { MutableTree } from '../repo/mutable-tree.ts';
import type { FilesBatch, FilesGroup } from './commit-job.ts';
import type { ModeChange } from './modifier.ts';

/** Names in one batch. */
export const BATCH_NAMES = 96;

/** Where the objects of a batch go: `names` of them into `tree`. */
export interface Result {
  readonly tree: MutableTree;
  readonly names: readonly ByteString[];
}

export interface WeighedBatch {
  readonly batch: FilesBatch;
  readonly results: readonly Result[];
  /** Bytes it will read. */
  readonly weight: number;
}

export class FileBatches {
  #groups: FilesGroup[] = [];
  #results: Result[] = [];
  #count = 0;
  #weight = 0;

  /** Whether there is enough for a batch. */
  get isFull(): boolean {
    return this.#count >= BATCH_NAMES;
  }

  add(files: FileCollector): void {
    const { group } = files;
    if (group === undefined) return;
    this.#groups.push(group);
    this.#results.push({ tree: files.tree, names: group.names });
    this.#count += group.names.length;
    this.#weight += files.weight;
  }

  /** All that is gathered, cut so that no batch keeps one thread busy for long. */
  *take(): Generator<WeighedBatch> {
    const [groups, results, count, weight] = [this.#groups, this.#results, this.#count, this.#weight];
    this.#groups = [];
    this.#results = [];
    this.#count = 0;
    this.#weight = 0;
    for (const part of cut(groups, results)) {
      yield {
        batch: { groups: part.groups },
        results: part.results,
        weight: (weight * part.share) / count,
      };
    }
  }
}

/** The files of one directory on their way into a batch. */
export class FileCollector {
  readonly tree: MutableTree;
  weight = 0;
  readonly #directory: OpenDirectory;
  readonly #status: FileStatus;
  readonly #names: ByteString[] = [];
  #types = '';
  #changes: Map<number, ModeChange> | undefined;

  constructor(directory: OpenDirectory, status: FileStatus, tree: MutableTree) {
    this.#directory = directory;
    this.#status = status;
    this.tree = tree;
  }

  add(name: ByteString, type: number, change: ModeChange | undefined, weight: number): void {
    if (change !== undefined) {
      this.#changes ??= new Map();
      this.#changes.set(this.#names.length, change);
    }
    this.#names.push(name);
    this.#types += type === DT_LNK ? 'l' : 'f';
    this.weight += weight;
  }

  get group(): FilesGroup | undefined {
    if (this.#names.length === 0) return undefined;
    return {
      place: this.#directory.place,
      inode: this.#status.ino,
      device: this.#status.dev,
      names: this.#names,
      types: this.#types,
      modeChanges: this.#changes,
    };
  }
}

/** Batches of about {@link BATCH_NAMES} names out of groups of any size. */
function* cut(groups: readonly FilesGroup[], results: readonly Result[]) {
  let batch = { groups: [] as FilesGroup[], results: [] as Result[], share: 0 };
  for (const [index, group] of groups.entries()) {
    const { tree } = results[index] as Result;
    for (let at = 0; at < group.names.length; ) {
      const end = Math.min(group.names.length, at + BATCH_NAMES - batch.share);
      const part = at === 0 && end === group.names.length ? group : partOf(group, at, end);
      batch.groups.push(part);
      batch.results.push({ tree, names: part.names });
      batch.share += end - at;
      at = end;
      if (batch.share < BATCH_NAMES) continue;
      yield batch;
      batch = { groups: [], results: [], share: 0 };
    }
  }
  if (batch.share > 0) yield batch;
}

function partOf(group: FilesGroup, start: number, end: number): FilesGroup {
  let modeChanges: Map<number, ModeChange> | undefined;
  if (group.modeChanges !== undefined) {
    modeChanges = new Map();
    for (const [index, change] of group.modeChanges)
      if (index >= start && index < end) modeChanges.set(index - start, change);
  }
  return {
    ...group,
    names: group.names.slice(start, end),
    types: group.types.slice(start, end),
    modeChanges,
  };
}
