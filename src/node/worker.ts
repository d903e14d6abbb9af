/** Entry of a worker thread: one job of src/node/jobs.ts, batch after batch. @module */
import { parentPort, workerData } from 'node:worker_threads';
import { SealtreeError } from '../core/errors.ts';
import { JOBS } from './jobs.ts';
import type { WorkerReply, WorkerRequest, WorkerSetup } from './worker-pool.ts';

const port = parentPort;
const { job, settings } = workerData as WorkerSetup;
const { startJob } = await JOBS[job]();
const perform = startJob(settings);
let turn = Promise.resolve();

port?.on('message', (request: WorkerRequest | null) => {
  turn = turn.then(() => (request === null ? port.close() : answer(request)));
});

async function answer({ batch }: WorkerRequest): Promise<void> {
  let reply: WorkerReply;
  try {
    reply = { result: await perform(batch) };
  } catch (error) {
    const code = error instanceof SealtreeError ? error.code : 'internal';
    const message = error instanceof Error ? error.message : String(error);
    const detail = error instanceof SealtreeError ? error.detail : {};
    reply = { failure: { code, message, detail } };
  }
  port?.postMessage(reply);
}
