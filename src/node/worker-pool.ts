/**
 * Spreads batches of work over the processors. Little work is done on the calling thread, since a worker takes
 * some 20 ms to start, in which one thread hashes 30 MB.
 * @module
 */
import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { type Transferable, Worker } from 'node:worker_threads';
import { type ErrorCode, type ErrorDetail, prefixed, SealtreeError } from '../core/errors.ts';
import { optimizeAsUsual } from './engine.ts';
import type { Job, Perform } from './jobs.ts';

/** What travels to a worker and back. */
export interface WorkerRequest {
  readonly batch: unknown;
}
export type WorkerReply =
  | { readonly result: unknown }
  | { readonly failure: { code: ErrorCode; message: string; detail: ErrorDetail } };

export interface PoolOptions {
  /** Most threads at once, with the calling one; as many as the process has processors by default. */
  readonly threads?: number | undefined;
  /** Work in bytes to be read below which no worker is started. */
  readonly threshold?: number | undefined;
  /** Where the programs of the workers are, src/workers as they were built; beside this one by default. */
  readonly workers?: URL | undefined;
}

const THRESHOLD = 32 * 1024 * 1024;

/** Batches that a worker has at once: the next is there when one is done. */
const BATCHES_AHEAD = 2;

interface Task {
  readonly batch: unknown;
  readonly transfer: readonly Transferable[];
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Member {
  readonly worker: Worker;
  readonly tasks: Task[];
}

/**
 * A pool for one job. Batches are begun in the order given, and are cut small enough that all
 * workers end at about the same time.
 */
export class WorkerPool<Batch, Result> {
  readonly #job: Job;
  readonly #settings: unknown;
  readonly #workers: number;
  readonly #threshold: number;
  readonly #program: URL;
  readonly #queue: Task[] = [];
  readonly #members: Member[] = [];
  #next = 0;
  #weight = 0;
  #failed = false;
  #perform: Promise<Perform> | undefined;

  /** @param settings what the job needs once: any value that can be sent to a worker */
  constructor(job: Job, settings: unknown, { threads, threshold, workers }: PoolOptions = {}) {
    this.#job = job;
    this.#settings = settings;
    this.#workers = (threads ?? availableParallelism()) - 1;
    this.#threshold = threshold ?? THRESHOLD;
    this.#program = new URL(`worker-${job.name}.js`, workers ?? import.meta.url);
  }

  /** Whether workers may come to help. */
  get hasWorkers(): boolean {
    return this.#workers > 0;
  }

  /**
   * Queues a batch. Until `flush` it may wait for more work to come. Once one batch has failed none is begun any more.
   *
   * @param weight bytes it will read, for the decision whether workers are worth it
   * @returns what the job makes of it
   */
  run(batch: Batch, weight: number, transfer: readonly Transferable[] = []): Promise<Result> {
    this.#weight += weight;
    const promise = new Promise<unknown>((resolve, reject) => {
      this.#queue.push({ batch, transfer, resolve, reject });
    });
    // Whoever waits hears of a failure; that of a batch nobody waits for any more must not end the process.
    promise.catch(() => {});
    if (this.#workers > 0 && this.#weight > this.#threshold) this.#feed();
    return promise as Promise<Result>;
  }

  /** Nothing more comes: works off what is queued, on the calling thread too. Returns when all of it is begun. */
  async flush(): Promise<void> {
    this.#perform ??= this.#job.load().then(({ startJob }) => startJob(this.#settings));
    const perform = await this.#perform;
    for (let task = this.#take(); task !== undefined; task = this.#take()) {
      try {
        task.resolve(await perform(task.batch));
      } catch (error) {
        this.#fail(task, error);
      }
      // Lets the workers' replies in, and so new work out to them.
      if (this.#members.length > 0) await setImmediate();
    }
  }

  /**
   * Ends the workers when they are done with what they have begun, and waits for those that have; what is still queued
   * is never done.
   */
  async close(): Promise<void> {
    this.#queue.length = 0;
    this.#next = 0;
    const members = this.#members.splice(0);
    for (const { worker } of members) worker.postMessage(null);
    const busy = members.filter(({ tasks }) => tasks.length > 0);
    await Promise.all(busy.map(({ worker }) => new Promise((resolve) => worker.once('exit', resolve))));
  }

  #feed(): void {
    const wanted = Math.min(this.#workers, this.#queue.length - this.#next + this.#members.length);
    while (this.#members.length < wanted) this.#members.push(this.#start());
    for (let ahead = 0; ahead < BATCHES_AHEAD; ahead++) {
      for (const member of this.#members) {
        if (member.tasks.length > ahead) continue;
        const task = this.#take();
        if (task === undefined) return;
        member.tasks.push(task);
        const request: WorkerRequest = { batch: task.batch };
        member.worker.postMessage(request, task.transfer);
      }
    }
  }

  #fail(task: Task | undefined, error: unknown): void {
    this.#failed = true;
    task?.reject(error);
  }

  #take(): Task | undefined {
    if (this.#failed) return undefined;
    const task = this.#queue[this.#next++];
    if (task !== undefined) return task;
    this.#queue.length = 0;
    this.#next = 0;
    return undefined;
  }

  #start(): Member {
    // The worker has its part of it: it loads faster, and sets it back when it has.
    optimizeAsUsual();
    const worker = new Worker(this.#program, {
      workerData: this.#settings,
      // Descriptors that system calls opened are not Node's to follow: it would warn of each that is closed.
      trackUnmanagedFds: false,
    });
    const member: Member = { worker, tasks: [] };
    worker.on('message', (reply: WorkerReply) => {
      const task = member.tasks.shift();
      if ('result' in reply) task?.resolve(reply.result);
      else {
        const { code, message, detail } = reply.failure;
        this.#fail(task, new SealtreeError(code, message, detail));
      }
      this.#feed();
    });
    worker.on('error', (cause) => {
      const error = prefixed('a worker failed', cause);
      for (const task of member.tasks.splice(0)) this.#fail(task, error);
    });
    worker.on('exit', () => {
      const index = this.#members.indexOf(member);
      if (index >= 0) this.#members.splice(index, 1);
      const error = new SealtreeError('internal', 'a worker ended before its work was done');
      for (const task of member.tasks.splice(0)) this.#fail(task, error);
    });
    return member;
  }
}
