/** Batches of a commit's work on their way through the worker threads: how many at once, and the first that failed. @module */
import { availableParallelism } from 'node:os';
import type { Job } from '../node/jobs.ts';
import { WorkerPool } from '../node/worker-pool.ts';
import type { CommitBatch, CommitJobSettings, MadeBatch } from './commit-job.ts';

const JOB: Job = { name: 'commit', load: () => import('./commit-job.ts') };

/** Bytes to be read below which no thread is started. */
const THREAD_THRESHOLD = 24 * 1024 * 1024;

/** Batches that are underway at once for each thread; more would only fill memory with names. */
const BATCHES_PER_THREAD = 8;

export class BatchRunner {
  readonly #pool: WorkerPool<CommitBatch, MadeBatch>;
  /** Besides the calling one, which only reads names: while threads work it mostly waits. */
  readonly #threads = availableParallelism();
  #underway = 0;
  #started = 0;
  #failure: { error: unknown } | undefined;
  #waiting: (() => void) | undefined;

  constructor(settings: CommitJobSettings) {
    const threads = this.#threads === 1 ? 1 : this.#threads + 1;
    this.#pool = new WorkerPool(JOB, settings, { threads, threshold: THREAD_THRESHOLD });
  }

  /**
   * Begins a batch, when there is room for it.
   *
   * @param weight bytes it will read
   * @param done gets what was made of it
   * @throws what an earlier batch failed with
   */
  async run(batch: CommitBatch, weight: number, done: (made: MadeBatch) => void): Promise<void> {
    this.#throwFailure();
    this.#underway++;
    this.#started += weight;
    this.#pool
      .run(batch, weight)
      .then(done)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#underway--;
        this.#waiting?.();
      });
    // Below the threshold nothing is begun before the end, and nothing is worth waiting for.
    if (this.#threads > 1 && this.#started > THREAD_THRESHOLD) {
      await this.#until(() => this.#underway < this.#threads * BATCHES_PER_THREAD);
    }
  }

  /**
   * Works off what was begun.
   *
   * @throws what a batch failed with
   */
  async finish(): Promise<void> {
    if (this.#underway > 0) {
      await this.#pool.flush();
      await this.#until(() => this.#underway === 0);
    }
    this.#throwFailure();
  }

  /** Ends the worker threads; what they had begun is waited for. */
  async close(): Promise<void> {
    await this.#pool.close();
  }

  async #until(reached: () => boolean): Promise<void> {
    while (!reached() && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
