/** Hashes of all blocks of a file, on all processors, in the order of the file. @module */
import type { BlockRule } from '../core/verity/merkle.ts';
import type { BlockPart, BlockSettings } from './block-job.ts';
import { inOrder } from './in-order.ts';
import type { Job } from './jobs.ts';
import { WorkerPool } from './worker-pool.ts';

/** What one thread hashes at once; a whole number of blocks of any size. */
const PART = 4 * 1024 * 1024;

/** Parts that are asked for at once, so that memory does not depend on the size of the file. */
const WINDOW = 64;

/** Less work than this is done before a worker has begun. */
const THREAD_THRESHOLD = 24 * 1024 * 1024;

const JOB: Job = { name: 'blocks', load: () => import('./block-job.ts') };

/**
 * Hashes the first `length` bytes of an open file.
 *
 * @param length a whole number of blocks
 * @param take gets hashes of blocks, behind each other, in the order of the file; returns false to end it there
 * @throws SealtreeError `io`, without a path, if the file cannot be read that far
 */
export async function hashBlocks(
  fd: number,
  length: number,
  rule: BlockRule,
  take: (leaves: Uint8Array) => boolean,
): Promise<void> {
  const settings: BlockSettings = { rule };
  const pool = new WorkerPool<BlockPart, Uint8Array>(JOB, settings, { threshold: THREAD_THRESHOLD });
  let ended = false;
  const deliver = inOrder((leaves: Uint8Array) => {
    if (!ended && !take(leaves)) ended = true;
  });
  let failure: { readonly error: unknown } | undefined;
  const running = new Set<Promise<void>>();
  try {
    for (let part = 0; part * PART < length && !ended && failure === undefined; ) {
      for (let i = 0; i < WINDOW && part * PART < length; i++, part++) {
        const index = part;
        const start = index * PART;
        const size = Math.min(PART, length - start);
        const run = pool
          .run({ fd, start, length: size }, size)
          .then((leaves) => deliver(index, leaves))
          .catch((error) => {
            failure ??= { error };
          })
          .finally(() => running.delete(run));
        running.add(run);
      }
      await pool.flush();
    }
    if (failure === undefined && !ended) await Promise.all(running);
  } finally {
    await pool.close();
  }
  if (failure !== undefined) throw (failure as { error: unknown }).error;
}
