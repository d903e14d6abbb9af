/**
 * Digests many files at once on all processors: small ones in batches, large ones in parts.
 * @module
 */
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
import { BlockHasher, blockRule, MerkleTree, treeShape } from '../core/verity/merkle.ts';
import { blockHash } from './hash.ts';
import { inOrder } from './in-order.ts';
import { plainError } from './io-error.ts';
import type { Job } from './jobs.ts';
import { makeNativeDigester } from './native-digester.ts';
import { type FileStamp, packStamp, STAMP_LENGTH } from './stable-read.ts';
import {
  FAILED_FILE,
  type FileReader,
  makeFileReader,
  type VerityBatch,
  type VerityResult,
  type VeritySettings,
} from './verity-job.ts';
import { type PoolOptions, WorkerPool } from './worker-pool.ts';

/** Digests files, each for a target that says what becomes of the result. */
export interface FileDigester<Target> {
  /**
   * Asks for the fs-verity digest of a file.
   *
   * @param place path for the kernel, good until `finish`
   * @param stamp status by which the file was chosen; a file that no longer has it is refused
   * @param content whether to give the whole content instead, of a file of at most 64 bytes
   */
  add(target: Target, place: ByteString, stamp: FileStamp, content?: boolean): void;
  /**
   * Lets finished work in and new work out, if there is any: to be called now and then by whoever adds files.
   *
   * @throws what `refuse` made of the first failure
   */
  turn(): Promise<void>;
  /** Waits until all files are settled. Throws as `turn`. */
  finish(): Promise<void>;
  /** Ends all threads; to be called whatever happened. */
  close(): Promise<void>;
}

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

/** Work from which on workers are begun. Where there is this much there is mostly more, and beginning takes them 30 ms. */
const THREAD_THRESHOLD = 6 * 1024 * 1024;

const JOB: Job = { name: 'verity', load: () => import('./verity-job.ts') };

/** Files up to this size may be read where they are found, while workers have this much to do. */
const SMALL = 32 * 1024;
const ENOUGH = 16 * 1024 * 1024;

const BATCH_WEIGHT = 2 * 1024 * 1024;
const BATCH_FILES = 512;
/** What opening and closing a file costs, as bytes that could be hashed meanwhile. */
const FILE_WEIGHT = 10 * 1024;

/** By threads of the native part where that can do it, else by workers. */
export function makeFileDigester<Target>(options: FileDigesterOptions<Target>): FileDigester<Target> {
  return makeNativeDigester(options) ?? new PooledDigester(options);
}

/** By workers, and on the calling thread what is too little for them. */
export class PooledDigester<Target> implements FileDigester<Target> {
  readonly #options: FileDigesterOptions<Target>;
  readonly #parameters: VerityParameters;
  readonly #pool: WorkerPool<VerityBatch, VerityResult>;
  #running = 0;
  #targets: Target[] = [];
  #places: ByteString[] = [];
  readonly #stamps = new Float64Array(BATCH_FILES * STAMP_LENGTH);
  readonly #contents = new Uint8Array(BATCH_FILES);
  #weight = 0;
  /** Of what was added and is not settled. */
  #waiting = 0;
  /** Of what was read on this thread since the last turn. */
  #readHere = 0;
  readonly #reader: FileReader;
  readonly #hash = blockHash();
  #failure: { readonly error: unknown } | undefined;
  #submitted = false;
  #wake: () => void = () => {};

  constructor(options: FileDigesterOptions<Target>) {
    this.#options = options;
    this.#parameters = verityParameters(options.verity);
    const settings: VeritySettings = { parameters: this.#parameters, follow: options.follow ?? false };
    this.#reader = makeFileReader(settings);
    this.#pool = new WorkerPool(JOB, settings, { threshold: THREAD_THRESHOLD, ...options.pool });
  }

  add(target: Target, place: ByteString, stamp: FileStamp, content = false): void {
    this.#waiting += stamp.size + FILE_WEIGHT;
    if (stamp.size > PART && this.#parameters.blockSize <= PART) {
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

  /** Whether a file is small, and workers, if there may be any, have enough to do without it: then `read` it at once. */
  isForHere(stamp: FileStamp): boolean {
    return stamp.size <= SMALL && (this.#waiting >= ENOUGH || !this.#pool.hasWorkers);
  }

  /**
   * Digests an open file now: that spares the way to it from the root, and the one to a worker. A failure is told by the
   * next `turn` or `finish`.
   */
  read(target: Target, fd: number, stamp: FileStamp, content = false): void {
    this.#readHere += stamp.size + FILE_WEIGHT;
    try {
      this.#options.settle(target, this.#reader.read(fd, stamp, content));
    } catch (error) {
      this.#failure ??= { error: this.#options.refuse(target, plainError(error)) };
    }
  }

  async turn(): Promise<void> {
    if (this.#submitted || (this.#running > 0 && this.#readHere > BATCH_WEIGHT)) {
      this.#submitted = false;
      this.#readHere = 0;
      await setImmediate();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

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

  async close(): Promise<void> {
    await this.#pool.close();
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
    this.#submit({ files }, this.#weight, targets, (results) => {
      for (const [i, target] of targets.entries()) this.#options.settle(target, results[i] as ByteString);
    });
    this.#targets = [];
    this.#places = [];
    this.#weight = 0;
  }

  #addParts(target: Target, place: ByteString, { size, ...times }: FileStamp): void {
    const { mtimeSec, mtimeNsec, ctimeSec, ctimeNsec } = times;
    const stamp = { size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec };
    const tree = new MerkleTree(
      new BlockHasher(this.#hash, blockRule(this.#parameters)),
      treeShape(this.#parameters),
    );
    let missing = Math.ceil(size / PART);
    const addLeaves = inOrder((leaves: Uint8Array) => tree.addLeaves(leaves));
    for (let start = 0; start < size; start += PART) {
      const length = Math.min(PART, size - start);
      this.#submit({ part: { place, stamp, start, length } }, length, [target], (leaves) => {
        addLeaves(start / PART, leaves as Uint8Array);
        if (--missing > 0) return;
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
      .then((results) => {
        this.#waiting -= weight;
        settle(results);
      })
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
