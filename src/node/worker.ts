/** What a worker thread does: one job, batch after batch. @module */
import { parentPort, workerData } from 'node:worker_threads';
import { SealtreeError } from '../core/errors.ts';
import { optimizeLater } from './engine.ts';
import type { Perform, StartJob } from './jobs.ts';
import type { WorkerReply, WorkerRequest } from './worker-pool.ts';

/** To be called once, by the program of a worker: see src/workers. */
export function serve(startJob: StartJob): void {
  optimizeLater();
  const port = parentPort;
  const perform = startJob(workerData);
  let turn = Promise.resolve();
  port?.on('message', (request: WorkerRequest | null) => {
    turn = turn.then(async () => {
      if (request === null) port.close();
      else port.postMessage(await answer(perform, request));
    });
  });
}

async function answer(perform: Perform, { batch }: WorkerRequest): Promise<WorkerReply> {
  try {
    return { result: await perform(batch) };
  } catch (error) {
    const code = error instanceof SealtreeError ? error.code : 'internal';
    const message = error instanceof Error ? error.message : String(error);
    const detail = error instanceof SealtreeError ? error.detail : {};
    return { failure: { code, message, detail } };
  }
}
