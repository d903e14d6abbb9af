/** The job that hashes layers: blocks of one that another thread reads, or a whole one. @module */
import { blockHash } from '../node/hash.ts';
import type { Perform } from '../node/jobs.ts';
import type { ImageLayer } from '../oci/image.ts';
import { layerTar } from '../oci/layer-tar.ts';
import { buildLayerAlone } from './build-layer.ts';
import type { LayerFiles } from './layer-files.ts';
import { makeHashBatch } from './layer-hasher.ts';

export type LayerBatch =
  /** Whole blocks, in shared memory; the result is the blocks of the tree that cover them. */
  | { readonly blocks: Uint8Array }
  /** The result is the root hash. */
  | { readonly layer: ImageLayer; readonly files: LayerFiles | undefined };

export function startJob(): Perform {
  const hashBatch = makeHashBatch(blockHash());
  return (batch: LayerBatch): Uint8Array | Promise<Uint8Array | string> =>
    'blocks' in batch
      ? hashBatch(batch.blocks)
      : buildLayerAlone(layerTar(batch.layer), { files: batch.files });
}
