/**
 * The object directory beside an image: the content of every file that is not inside, named by its fs-verity
 * digest (`xx/rest`), as mkcomposefs --digest-store fills it.
 * @module
 */
import { closeSync, constants, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { randomDigits } from '../node/atomic-file.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import type { Job } from '../node/jobs.ts';
import { makeDirectories } from '../node/make-directories.ts';
import type { FileStamp } from '../node/stable-read.ts';
import { syncfs } from '../node/syscalls.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';
import { type PoolOptions, WorkerPool } from '../node/worker-pool.ts';
import {
  BUSY,
  FAILED_COPY,
  STOP,
  type StoreBatch,
  type StoreSettings,
  stagedPath,
} from './digest-store-job.ts';

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
 * Copies files that the store does not have yet, sharing blocks where the file system can. They are copied to a directory
 * of their own in the store, brought to disk by one syncfs(2), and only then named: whatever has its name after a power
 * loss is complete, as if each had been synced by itself. When it fails or a signal ends it nothing of that is left.
 *
 * @param store made if it is not there
 * @throws SealtreeError `io`: `cannot fill store: PATH: …`
 */
export async function fillDigestStore(
  store: ByteString,
  files: readonly StoredFile[],
  options: PoolOptions = {},
): Promise<void> {
  const [first] = files;
  if (first === undefined) return;
  const state = new Int32Array(new SharedArrayBuffer(8));
  const staging = joinPath(store, byteString(`.tmp${randomDigits()}`));
  const pool = new WorkerPool<StoreBatch, boolean[]>(
    JOB,
    { store, staging, state } satisfies StoreSettings,
    options,
  );
  const remove = () => rmSync(fsPath(staging), { recursive: true, force: true });
  let directory: number | undefined;
  registerTemporary(staging, () => {
    stop(state);
    remove();
  });
  try {
    // Opened before anything is written: syncfs tells of the failures since then.
    directory = filling(first, () => openStore(store));
    filling(first, () => mkdirSync(fsPath(staging), 0o700));
    const running = batches(files).map((batch) => copyBatch(pool, batch));
    await pool.flush();
    const copied = (await Promise.all(running)).flat();
    syncfs(directory);
    nameObjects(store, staging, copied);
  } finally {
    await pool.close();
    if (directory !== undefined) {
      remove();
      closeSync(directory);
    }
    forgetTemporary(staging);
  }
}

function openStore(store: ByteString): number {
  makeDirectories(store, 0o755);
  return openSync(fsPath(store), constants.O_RDONLY | constants.O_DIRECTORY);
}

/** @returns those that were copied and lie in the staging directory now */
async function copyBatch(
  pool: WorkerPool<StoreBatch, boolean[]>,
  files: readonly StoredFile[],
): Promise<StoredFile[]> {
  const batch = files.map(({ digest, place, stamp }) => ({ object: objectPath(digest), place, stamp }));
  const weight = files.reduce((sum, { stamp }) => sum + stamp.size, 0);
  try {
    const copied = await pool.run(batch, weight);
    return files.filter((_, index) => copied[index]);
  } catch (error) {
    const index = error instanceof SealtreeError ? error.detail[FAILED_COPY] : undefined;
    throw failure(typeof index === 'number' ? files[index] : undefined, error);
  }
}

function nameObjects(store: ByteString, staging: ByteString, files: readonly StoredFile[]): void {
  const made = new Set<string>();
  for (const file of files) {
    filling(file, () => {
      const object = objectPath(file.digest);
      const prefix = object.slice(0, 2);
      if (!made.has(prefix)) makeDirectories(joinPath(store, byteString(prefix)), 0o755);
      made.add(prefix);
      renameSync(fsPath(stagedPath(staging, object)), fsPath(joinPath(store, object)));
    });
  }
}

function filling<T>(file: StoredFile, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw failure(file, error);
  }
}

function failure(file: StoredFile | undefined, error: unknown): SealtreeError {
  const path = file === undefined ? '' : `: ${displayByteString(file.path)}`;
  return ioError(`cannot fill store${path}`, error);
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
