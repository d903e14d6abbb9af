/** One layer from its tar archive to its root hash and, if they are wanted, its files. @module */
import { MAX_LAYER_SIZE, tarToExt4 } from '../core/layer/tar-to-ext4.ts';
import { blockHash } from '../node/hash.ts';
import type { Job } from '../node/jobs.ts';
import { WorkerPool } from '../node/worker-pool.ts';
import { type LayerFiles, LayerWriter } from './layer-files.ts';
import { type HashBatch, LayerHasher, makeHashBatch } from './layer-hasher.ts';
import type { LayerBatch } from './layer-job.ts';

export interface BuildOptions {
  /** Bytes that the file system may have, which its begin depends on. */
  readonly maxSize?: number;
  /** undefined if only the root hash is wanted. */
  readonly files?: LayerFiles | undefined;
}

export const LAYER_JOB: Job = { name: 'layer', load: () => import('./layer-job.ts') };

/** Less data than this is hashed before a worker has begun. */
const THREAD_THRESHOLD = 24 * 1024 * 1024;

/**
 * Makes a layer with all processors: one reads, all hash.
 *
 * @param pieces the uncompressed archive
 * @returns the root hash, hexadecimal
 * @throws SealtreeError `malformed` for an archive that cannot become a layer; `io`; what `pieces` throws
 */
export async function buildLayer(pieces: Iterable<Uint8Array>, options: BuildOptions = {}): Promise<string> {
  const pool = new WorkerPool<LayerBatch, Uint8Array>(LAYER_JOB, {}, { threshold: THREAD_THRESHOLD });
  const hashBatch: HashBatch = (data) => pool.run({ blocks: data }, data.length);
  try {
    return await build(pieces, options, hashBatch, () => pool.flush());
  } finally {
    await pool.close();
  }
}

/** The same by the calling thread alone. */
export function buildLayerAlone(pieces: Iterable<Uint8Array>, options: BuildOptions = {}): Promise<string> {
  return build(pieces, options, makeHashBatch(blockHash()), undefined);
}

/** @param help hashes what waits; undefined if nothing ever waits */
async function build(
  pieces: Iterable<Uint8Array>,
  { maxSize = MAX_LAYER_SIZE, files }: BuildOptions,
  hashBatch: HashBatch,
  help: (() => Promise<void>) | undefined,
): Promise<string> {
  const listener = files === undefined ? undefined : new LayerWriter(files);
  const hasher = new LayerHasher(blockHash(), hashBatch, { isShared: help !== undefined, listener });
  const writing = tarToExt4(pieces, hasher, maxSize);
  try {
    let step = writing.next();
    for (; !step.done; step = writing.next()) {
      if (!hasher.isBehind) continue;
      await help?.();
      await hasher.settle();
    }
    hasher.endData();
    await help?.();
    if (listener === undefined) return await hasher.finish();
    return await listener.finish(hasher, step.value);
  } finally {
    writing.return(0);
    listener?.close();
  }
}
