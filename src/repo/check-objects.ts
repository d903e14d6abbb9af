/** Many objects checked, by worker threads where that pays, and reported in their order. @module */
import type { Job } from '../node/jobs.ts';
import { WorkerPool } from '../node/worker-pool.ts';
import type { Finding } from './check-object.ts';
import type { FsckResult } from './fsck-job.ts';
import type { ObjectName } from './reachable.ts';
import type { Repo } from './repo.ts';

const JOB: Job = { name: 'fsck', load: () => import('./fsck-job.ts') };

/** Objects that a worker gets at once. */
const BATCH = 64;

/** Bytes that an object is taken to have, for the decision whether workers pay: nobody has looked yet. */
const TYPICAL_SIZE = 32 * 1024;

/** Whatever the consumer does with one object is done before the next is reported; it may stop at any. */
export async function* checkObjects(
  repo: Repo,
  objects: readonly ObjectName[],
): AsyncGenerator<readonly [ObjectName, Finding | undefined], void> {
  const pool = new WorkerPool<readonly ObjectName[], FsckResult>(JOB, repo.path);
  try {
    const batches: (readonly ObjectName[])[] = [];
    for (let at = 0; at < objects.length; at += BATCH) batches.push(objects.slice(at, at + BATCH));
    const results = batches.map((batch) => pool.run(batch, batch.length * TYPICAL_SIZE));
    const done = pool.flush();
    for (const [i, batch] of batches.entries()) {
      const findings = await (results[i] as Promise<FsckResult>);
      for (const [k, object] of batch.entries()) yield [object, findings[k]];
    }
    await done;
  } finally {
    await pool.close();
  }
}
