/** All layers of an image: their root hashes, and their files. @module */
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import { WorkerPool } from '../node/worker-pool.ts';
import { digestText } from '../oci/digest.ts';
import type { ContainerImage, ImageLayer } from '../oci/image.ts';
import { layerTar, tarFile } from '../oci/layer-tar.ts';
import { buildLayer, LAYER_JOB } from './build-layer.ts';
import type { LayerFiles } from './layer-files.ts';
import type { LayerBatch } from './layer-job.ts';
import { type CreatedLayer, type FileOptions, NamedFiles } from './named-files.ts';

/**
 * The root hash of the layer in a tar archive, plain or compressed.
 *
 * @throws SealtreeError `malformed` in the words of dmverity-vhd; `io`
 */
export function hashTar(tar: ByteString): Promise<string> {
  return worded(buildLayer(tarFile(tar)));
}

/** Less compressed data than this is read before a worker has begun. */
const THREAD_THRESHOLD = 4 * 1024 * 1024;

/**
 * The root hashes of all layers, in their order; layers are read side by side, one that is there twice once.
 *
 * @throws SealtreeError as `layerTar` and `buildLayer`
 */
export async function rootHashes({ layers }: ContainerImage): Promise<string[]> {
  const roots = await eachLayer(layers, () => undefined);
  return layers.map((layer) => roots.get(digestText(layer.diffId)) as string);
}

/**
 * Writes the files of all layers, named after their diff ids. All appear once all are complete, or none.
 *
 * @returns what was made for each layer, in their order
 * @throws SealtreeError as `rootHashes`; `io`
 */
export async function createLayers(image: ContainerImage, options: FileOptions): Promise<CreatedLayer[]> {
  const files = new NamedFiles(options);
  try {
    const roots = await eachLayer(image.layers, ({ diffId }) => files.begin(byteString(diffId.hex)));
    const created = image.layers.map(({ diffId }) =>
      files.createdFor(byteString(diffId.hex), roots.get(digestText(diffId)) as string),
    );
    files.commit();
    return created;
  } finally {
    files.close();
  }
}

/** Writes the files of one archive, named after it. @throws SealtreeError as `createLayers` */
export async function createFromTar(tar: ByteString, options: FileOptions): Promise<CreatedLayer> {
  const base = tar.slice(tar.lastIndexOf('/') + 1);
  const name = byteString(base.replace(/(?:\.tar)?(?:\.gz|\.zst)?$/, '') || base);
  const files = new NamedFiles(options);
  try {
    const created = files.createdFor(
      name,
      await worded(buildLayer(tarFile(tar), { files: files.begin(name) })),
    );
    files.commit();
    return created;
  } finally {
    files.close();
  }
}

/**
 * Writes one file: file system, superblock and tree, without a footer.
 *
 * @returns the root hash
 * @throws SealtreeError as `createLayers`
 */
export async function convertTar(
  tar: ByteString,
  output: ByteString,
  { maxSize, uuid }: { maxSize: number; uuid: LayerFiles['uuid'] },
): Promise<string> {
  const slash = output.lastIndexOf('/') + 1;
  const directory = byteString(output.slice(0, slash) || '.');
  const files = new NamedFiles({ directory, separate: false, uuid, isVhd: false });
  try {
    const root = await buildLayer(tarFile(tar), {
      maxSize,
      files: files.begin(byteString(output.slice(slash))),
    });
    files.commit();
    return root;
  } finally {
    files.close();
  }
}

async function eachLayer(
  layers: readonly ImageLayer[],
  filesOf: (layer: ImageLayer) => LayerFiles | undefined,
): Promise<Map<string, string>> {
  const distinct = new Map(layers.map((layer) => [digestText(layer.diffId), layer]));
  const pool = new WorkerPool<LayerBatch, string>(LAYER_JOB, {}, { threshold: THREAD_THRESHOLD });
  try {
    // The largest first, so that the others fill the time that it takes.
    const sorted = [...distinct].sort(([, a], [, b]) => b.blob.size - a.blob.size);
    const running = sorted.map(async ([id, layer]): Promise<[string, string]> => {
      const files = filesOf(layer);
      // A layer alone has all processors.
      const building =
        distinct.size === 1
          ? buildLayer(layerTar(layer), { files })
          : pool.run({ layer, files }, layer.blob.size);
      return [id, await named(layer, building)];
    });
    await pool.flush();
    return new Map(await Promise.all(running));
  } finally {
    await pool.close();
  }
}

/** Faults of a layer's archive with the name of the layer; the others have it. */
async function named(layer: ImageLayer, building: Promise<string>): Promise<string> {
  try {
    return await building;
  } catch (error) {
    if (!(error instanceof SealtreeError) || error.detail.offset === undefined) throw error;
    throw prefixed(`${layer.name}: failed to convert tar to ext4`, error);
  }
}

/** Faults of an archive as dmverity-vhd words them. */
async function worded(building: Promise<string>): Promise<string> {
  try {
    return await building;
  } catch (error) {
    if (!(error instanceof SealtreeError) || error.code === 'io') throw error;
    const isNone = error.detail.header === 1 && !error.message.startsWith('unexpected EOF');
    throw prefixed(isNone ? 'input file is not a tar archive' : 'failed to convert tar to ext4', error);
  }
}
