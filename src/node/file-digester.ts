/**
 * Digests many files at once on all processors: small ones in batches, large ones in parts.
 * @module
 */
import { closeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { SealtreeError } from '../core/errors.ts';
import {
  encodeDescriptor,
  type VerityOptions,
  type VerityParameters,
  verityParameters,
} from '../core/verity/descriptor.ts';
import { BlockHasher, MerkleTree } from '../core/verity/merkle.ts';
import { blockHash } from './hash.ts';
import type { Job } from './jobs.ts';
import { type FileStamp, packStamp, STAMP_LENGTH } from './stable-read.ts';
import { descriptorLimit, type FileReference } from './syscalls.ts';
import { FAILED_FILE, type VerityBatch, type VerityResult, type VeritySettings } from './verity-job.ts';
import { type PoolOptions, WorkerPool } from './worker-pool.ts';

export interface FileDigesterOptions<Target> {
  readonly verity?: VerityOptions;
  readonly pool?: PoolOptions;
  /** Whether to read through symlinks; by default they are refused, since nobody saw what is behind them. */
  readonly follow?: boolean;
  /** Gets the result for what `add` was given: a digest in hexadecimal, or the content. In no particular order. */
  readonly settle: (target: Target, result: ByteString) => void;
  /** Words the failure of one file. */
  readonly refuse: (target: Target, error: unknown) => unknown;
}

/** Files larger than this are cut into parts of this size, if blocks are not larger. */
const PART = 4 * 1024 * 1024;

/** Descriptors held at once at most, and never more than a quarter of what the process may have open. */
const MAX_DESCRIPTORS = 8192;

/** Work from which on workers are begun. Where there is this much there is mostly more, and beginning takes them 30 ms. */
const THREAD_THRESHOLD = 6 * 1024 * 1024;

const JOB: Job = { name: 'verity', load: () => import('./verity-job.ts') };

const BATCH_WEIGHT = 2 * 1024 * 1024;
const BATCH_FILES = 512;
/** What opening and closing a file costs, as bytes that could be hashed meanwhile. */
const FILE_WEIGHT = 10 * 1024;

export class FileDigester<Target> {
  readonly #options: FileDigesterOptions<Target>;
  readonly #parameters: VerityParameters;
  readonly #pool: WorkerPool<VerityBatch, VerityResult>;
  #running = 0;
  #targets: Target[] = [];
  #places: FileReference[] = [];
  readonly #stamps = new Float64Array(BATCH_FILES * STAMP_LENGTH);
  readonly #contents = new Uint8Array(BATCH_FILES);
  #weight = 0;
  /** Given to us and perhaps still open. */
  #descriptors = 0;
  #maxDescriptors: number | undefined;
  readonly #hash = blockHash();
  #failure: { readonly error: unknown } | undefined;
  #submitted = false;
  #wake: () => void = () => {};

  constructor(options: FileDigesterOptions<Target>) {
    this.#options = options;
    this.#parameters = verityParameters(options.verity);
    const settings: VeritySettings = { parameters: this.#parameters, follow: options.follow ?? false };
    this.#pool = new WorkerPool(JOB, settings, { threshold: THREAD_THRESHOLD, ...options.pool });
  }

  /**
   * Asks for the fs-verity digest of a file.
   *
   * @param place path for the kernel, good until `finish`; or, of a file that is not too large (`takesDescriptor`), a
   *   descriptor open for reading, which is closed in the end whatever happens
   * @param stamp status by which the file was chosen; a file that no longer has it is refused
   * @param content whether to give the whole content instead, of a small file
   */
  add(target: Target, place: FileReference, stamp: FileStamp, content = false): void {
    if (typeof place === 'number') this.#descriptors++;
    else if (this.#isCut(stamp)) {
      this.#addParts(target, place, stamp);
      return;
    }
    const index = this.#targets.push(target) - 1;
    this.#places.push(place);
    packStamp(this.#stamps, index, stamp);
    this.#contents[index] = content ? 1 : 0;
    this.#weight += stamp.size + FILE_WEIGHT;
    if (this.#weight >= BATCH_WEIGHT || index + 1 === BATCH_FILES) this.#submitFiles();
  }

  /** Whether a file may be given as an open descriptor: one that is read as a whole, while not too many are open. */
  takesDescriptor(stamp: FileStamp): boolean {
    this.#maxDescriptors ??= Math.min(MAX_DESCRIPTORS, Math.floor(descriptorLimit() / 4));
    return this.#descriptors < this.#maxDescriptors && !this.#isCut(stamp);
  }

  #isCut(stamp: FileStamp): boolean {
    return stamp.size > PART && this.#parameters.blockSize <= PART;
  }

  /**
   * Lets finished work in and new work out, if there is any: to be called now and then by whoever adds files.
   *
   * @throws what `refuse` made of the first failure
   */
  async turn(): Promise<void> {
    if (this.#submitted) {
      this.#submitted = false;
      await setImmediate();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Waits until all files are settled. */
  async finish(): Promise<void> {
    this.#submitFiles();
    await this.#pool.flush();
    if (this.#running > 0 && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Ends the workers; to be called whatever happened. */
  async close(): Promise<void> {
    const left = await this.#pool.close();
    const places = left.flatMap((batch) => ('files' in batch ? batch.files.places : []));
    for (const place of [...places, ...this.#places.splice(0)])
      if (typeof place === 'number') closeSync(place);
  }

  #submitFiles(): void {
    const targets = this.#targets;
    const count = targets.length;
    if (count === 0) return;
    const files = {
      places: this.#places,
      stamps: this.#stamps.slice(0, count * STAMP_LENGTH),
      contents: this.#contents.slice(0, count),
    };
    const descriptors = files.places.reduce<number>(
      (sum, place) => sum + (typeof place === 'number' ? 1 : 0),
      0,
    );
    this.#submit({ files }, this.#weight, targets, (results) => {
      this.#descriptors -= descriptors;
      for (const [i, target] of targets.entries()) this.#options.settle(target, results[i] as ByteString);
    });
    this.#targets = [];
    this.#places = [];
    this.#weight = 0;
  }

  #addParts(target: Target, place: ByteString, { size, ...times }: FileStamp): void {
    const { mtimeSec, mtimeNsec, ctimeSec, ctimeNsec } = times;
    const stamp = { size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec };
    const tree = new MerkleTree(new BlockHasher(this.#hash, this.#parameters), this.#parameters);
    // Parts come in any order; the tree takes them in theirs.
    const early = new Map<number, Uint8Array>();
    let next = 0;
    for (let start = 0; start < size; start += PART) {
      const length = Math.min(PART, size - start);
      this.#submit({ part: { place, stamp, start, length } }, length, [target], (leaves) => {
        early.set(start, leaves as Uint8Array);
        for (let part = early.get(next); part !== undefined; part = early.get(next)) {
          tree.addLeaves(part);
          early.delete(next);
          next += PART;
        }
        if (next < size) return;
        const descriptor = encodeDescriptor(this.#parameters, size, tree.root());
        const digest = this.#hash.digest(this.#parameters.algorithm, descriptor);
        this.#options.settle(target, byteString(hexOf(digest)));
      });
    }
  }

  #submit(
    batch: VerityBatch,
    weight: number,
    targets: readonly Target[],
    settle: (results: VerityResult) => void,
  ): void {
    this.#running++;
    this.#submitted = true;
    this.#pool
      .run(batch, weight)
      .then(settle)
      .catch((error) => {
        this.#failure ??= { error: this.#worded(targets, error) };
      })
      .finally(() => {
        this.#running--;
        if (this.#running === 0 || this.#failure !== undefined) this.#wake();
      });
  }

  #worded(targets: readonly Target[], error: unknown): unknown {
    const index = error instanceof SealtreeError ? error.detail[FAILED_FILE] : undefined;
    return typeof index === 'number' ? this.#options.refuse(targets[index] as Target, error) : error;
  }
}
