/**
 * The object directory beside an image: the content of every file that is not inside, named by its fs-verity
 * digest (`xx/rest`), as mkcomposefs --digest-store fills it.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { ioError } from '../node/io-error.ts';
import type { Job } from '../node/jobs.ts';
import { onExit } from '../node/on-exit.ts';
import type { FileStamp } from '../node/stable-read.ts';
import { type PoolOptions, WorkerPool } from '../node/worker-pool.ts';
import { BUSY, FAILED_COPY, STOP, type StoreBatch, type StoreSettings } from './digest-store-job.ts';

export interface StoredFile {
  /** fs-verity digest, 64 lower-case hexadecimal digits. */
  readonly digest: string;
  /** For messages. */
  readonly path: ByteString;
  /** For the kernel. */
  readonly place: ByteString;
  /** The status it had when it was digested. */
  readonly stamp: FileStamp;
}

/** The path of an object in its directory: two digits, a slash, the others. */
export function objectPath(digest: string): ByteString {
  return byteString(`${digest.slice(0, 2)}/${digest.slice(2)}`);
}

const JOB: Job = { name: 'digest-store', load: () => import('./digest-store-job.ts') };

const BATCH_FILES = 64;
const BATCH_BYTES = 32 * 1024 * 1024;

/**
 * Copies files that the store does not have yet, sharing blocks where the file system can. Every object is on
 * disk before it has its name; nothing else is left when it fails or a signal ends it.
 *
 * @param store made if it is not there
 * @throws SealtreeError `io`: `cannot fill store: PATH: …`
 */
export async function fillDigestStore(
  store: ByteString,
  files: readonly StoredFile[],
  options: PoolOptions = {},
): Promise<void> {
  const state = new Int32Array(new SharedArrayBuffer(8));
  const settings: StoreSettings = { store, state };
  const pool = new WorkerPool<StoreBatch, void>(JOB, settings, options);
  const settled = onExit(() => stop(state));
  try {
    const running = batches(files).map((batch) => copyBatch(pool, batch));
    await pool.flush();
    await Promise.all(running);
  } finally {
    await pool.close();
    settled();
  }
}

async function copyBatch(pool: WorkerPool<StoreBatch, void>, files: readonly StoredFile[]): Promise<void> {
  const batch = files.map(({ digest, place, stamp }) => ({ object: objectPath(digest), place, stamp }));
  try {
    await pool.run(
      batch,
      files.reduce((sum, { stamp }) => sum + stamp.size, 0),
    );
  } catch (error) {
    const index = error instanceof SealtreeError ? error.detail[FAILED_COPY] : undefined;
    const path = typeof index === 'number' ? `: ${displayByteString((files[index] as StoredFile).path)}` : '';
    throw ioError(`cannot fill store${path}`, error);
  }
}

/** Each digest once, in batches that take about as long as each other. */
function batches(files: readonly StoredFile[]): StoredFile[][] {
  const distinct = new Map<string, StoredFile>();
  for (const file of files) if (!distinct.has(file.digest)) distinct.set(file.digest, file);
  const out: StoredFile[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const file of distinct.values()) {
    if (bytes >= BATCH_BYTES || (out.at(-1)?.length ?? 0) >= BATCH_FILES) {
      out.push([]);
      bytes = 0;
    }
    out.at(-1)?.push(file);
    bytes += file.stamp.size;
  }
  return out;
}

/** Keeps workers from beginning another copy and waits until those begun have cleaned up. */
function stop(state: Int32Array): void {
  Atomics.store(state, STOP, 1);
  for (let busy = Atomics.load(state, BUSY); busy > 0; busy = Atomics.load(state, BUSY)) {
    Atomics.wait(state, BUSY, busy, 1000);
  }
}
