/**
 * Container images: which layers one has, in their order, whatever it came from.
 * Defined by the OCI Image Format Specification (image-index.md, manifest.md, config.md); the archive of `docker save`
 * by Moby's image specification v1.2.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { cleanPath } from '../core/tar/clean-path.ts';
import { type BlobRange, type BlobStore, readBlob } from './blob.ts';
import { blobName, checkDigest, type Digest, digestText, parseDigest } from './digest.ts';
import { isObject, type JsonObject, listOf, nameOf, objectOf, parseJson, textOf } from './json.ts';
import { DEFAULT_PLATFORM, isPlatform, type Platform, platformText } from './platform.ts';

/** One layer: plain data, which can be sent to a worker. `layerTar` gives its content. */
export interface ImageLayer {
  /** `layer 2 (sha256:…)`, for messages. */
  readonly name: string;
  /** Of the uncompressed archive. */
  readonly diffId: Digest;
  /** Of the blob as it lies there; undefined if nothing says it. */
  readonly digest: Digest | undefined;
  /** As the manifest says it; undefined if it does not. What the blob really is decides its first bytes. */
  readonly mediaType: string | undefined;
  readonly blob: BlobRange;
}

export interface ContainerImage {
  /** The lowest one first. */
  readonly layers: readonly ImageLayer[];
  /** The document in which `rootfs.diff_ids` stands. */
  readonly config: JsonObject;
}

/** Bytes of a manifest, an index or a configuration. */
const MAX_DOCUMENT = 16 * 1024 * 1024;
/** Indexes in each other. */
const MAX_DEPTH = 8;
const MAX_LAYERS = 1000;

/** Kinds of documents by their media types. */
const INDEX_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
const MANIFEST_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];

/** What is known of a layer before its blob is looked for. */
interface LayerPlace {
  readonly names: readonly ByteString[];
  readonly digest: Digest | undefined;
  readonly size: number | undefined;
  readonly mediaType: string | undefined;
}

/**
 * Finds the image in a store, checks manifest and configuration against the digests that lead to them, and finds its
 * layers. Those are checked as they are read.
 *
 * @param platform what the image has to be for; undefined for linux/amd64, or the first if there is none
 * @throws SealtreeError `malformed`; `missing`, with the numbers of layers in its detail if it is those; `mismatch`
 */
export async function findImage(store: BlobStore, platform: Platform | undefined): Promise<ContainerImage> {
  const first = (await documentAt(store, 'index.json')) ?? (await documentAt(store, 'manifest.json'));
  if (isObject(first)) return ociImage(store, first, platform);
  if (Array.isArray(first) && first.length > 0) return dockerImage(store, first[0], platform);
  throw malformed('image manifest format not recognized', { path: store.name });
}

// ---- OCI

async function ociImage(
  store: BlobStore,
  first: JsonObject,
  platform: Platform | undefined,
): Promise<ContainerImage> {
  let document = first;
  let what = `${store.name}: index`;
  for (let depth = 0; kindOf(document, what) === 'index'; depth++) {
    if (depth === MAX_DEPTH) throw malformed(`${store.name}: indexes lead more than ${MAX_DEPTH} deep`);
    const chosen = choose(listOf(document.manifests, `${what}: manifests`), platform, what);
    const digest = parseDigest(chosen.digest, `${what}: digest`);
    what = `${store.name}: ${digestText(digest)}`;
    document = objectOf(await documentOf(store, chosen, what), what);
  }
  const configuration = objectOf(document.config, `${what}: config`);
  const config = objectOf(await documentOf(store, configuration, `${what}: config`), `${what}: config`);
  const places = listOf(document.layers, `${what}: layers`).map((layer): LayerPlace => {
    const { digest: text, size, mediaType } = objectOf(layer, `${what}: layer`);
    const digest = parseDigest(text, `${what}: layer`);
    return {
      names: namesOf(digest),
      digest,
      size: sizeOf(size, `${what}: layer ${digestText(digest)}`),
      mediaType: mediaType === undefined ? undefined : textOf(mediaType, `${what}: mediaType`),
    };
  });
  return imageOf(store, config, places, platform);
}

function kindOf(document: JsonObject, what: string): 'index' | 'manifest' {
  const { mediaType } = document;
  if (INDEX_TYPES.includes(mediaType as string)) return 'index';
  if (MANIFEST_TYPES.includes(mediaType as string)) return 'manifest';
  if (mediaType === undefined || mediaType === '') {
    if (Array.isArray(document.layers)) return 'manifest';
    if (Array.isArray(document.manifests)) return 'index';
  }
  throw malformed('image manifest format not recognized', { path: what });
}

function choose(manifests: readonly unknown[], wanted: Platform | undefined, what: string): JsonObject {
  const all = manifests.map((entry) => objectOf(entry, `${what}: manifests`));
  const offers = all.map((entry) => ({ entry, platform: platformOf(entry.platform) }));
  const found = offers.find(({ platform }) => platform && isPlatform(platform, wanted ?? DEFAULT_PLATFORM));
  if (found !== undefined) return found.entry;
  const named = offers.flatMap(({ platform }) => (platform === undefined ? [] : [platformText(platform)]));
  // An attestation says that its platform is unknown.
  const first = offers.find(({ platform }) => platform?.os !== 'unknown');
  if (first === undefined) throw malformed(`${what}: lists no image`);
  if (wanted !== undefined && named.length === offers.length)
    throw new SealtreeError(
      'missing',
      `${what}: has no image for ${platformText(wanted)}, only for ${named.join(', ')}`,
    );
  return (offers.find(({ platform }) => platform === undefined) ?? first).entry;
}

function platformOf(value: unknown): Platform | undefined {
  if (!isObject(value)) return undefined;
  const { os, architecture, variant } = value;
  if (typeof os !== 'string' || typeof architecture !== 'string' || os === '') return undefined;
  return { os, architecture, variant: typeof variant === 'string' ? variant : undefined };
}

/** The document that a descriptor is for, checked. */
async function documentOf(store: BlobStore, descriptor: JsonObject, what: string): Promise<unknown> {
  const digest = parseDigest(descriptor.digest, what);
  const blob = await firstOf(store, namesOf(digest));
  if (blob === undefined)
    throw new SealtreeError('missing', `${what}: ${digestText(digest)} is not in ${store.name}`);
  const size = sizeOf(descriptor.size, what);
  checkSize(blob, size, what);
  const data = readBlob(blob, MAX_DOCUMENT, what);
  checkDigest(data, digest, what);
  return parseJson(data, what);
}

// ---- docker

async function dockerImage(
  store: BlobStore,
  value: unknown,
  platform: Platform | undefined,
): Promise<ContainerImage> {
  const what = `${store.name}: manifest.json`;
  const manifest = objectOf(value, what);
  const name = cleanPath(nameOf(manifest.Config, `${what}: Config`));
  const shown = `${store.name}: ${displayByteString(name)}`;
  const blob = await store.find(name);
  if (blob === undefined) throw new SealtreeError('missing', `${shown} is not there`);
  const data = readBlob(blob, MAX_DOCUMENT, shown);
  const digest = digestIn(name);
  if (digest !== undefined) checkDigest(data, digest, shown);
  const config = objectOf(parseJson(data, shown), shown);
  const places = listOf(manifest.Layers, `${what}: Layers`).map((layer): LayerPlace => {
    const path = cleanPath(nameOf(layer, `${what}: Layers`));
    return {
      names: [path],
      digest: path.startsWith('blobs/') ? digestIn(path) : undefined,
      size: undefined,
      mediaType: undefined,
    };
  });
  return imageOf(store, config, places, platform);
}

/** The digest that a name is made of: `HEX.json`, `blobs/sha256/HEX`. */
function digestIn(name: ByteString): Digest | undefined {
  const [, hex] = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(name) ?? [];
  return hex === undefined ? undefined : { algorithm: 'sha256', hex };
}

// ---- both

async function imageOf(
  store: BlobStore,
  config: JsonObject,
  places: readonly LayerPlace[],
  platform: Platform | undefined,
): Promise<ContainerImage> {
  if (places.length > MAX_LAYERS)
    throw malformed(`${store.name}: ${places.length} layers, at most ${MAX_LAYERS} are allowed`);
  checkPlatform(store, config, platform);
  const diffIds = listOf(
    objectOf(config.rootfs, `${store.name}: rootfs`).diff_ids,
    `${store.name}: diff_ids`,
  );
  if (diffIds.length !== places.length)
    throw malformed(
      `${store.name}: ${places.length} layers, but the configuration has ${diffIds.length} diff_ids`,
    );
  const blobs = await Promise.all(places.map(({ names }) => firstOf(store, names)));
  const missing = blobs.flatMap((blob, index) => (blob === undefined ? [index] : []));
  if (missing.length > 0) {
    const names = missing.map((index) => displayByteString(places[index]?.names[0] ?? byteString('')));
    throw new SealtreeError('missing', `${store.name}: ${names.join(', ')} is not there`, {
      layers: missing.join(' '),
    });
  }
  const layers = places.map(({ digest, size, mediaType }, index): ImageLayer => {
    const diffId = parseDigest(diffIds[index], `${store.name}: diff_ids`);
    const name = `${store.name}: layer ${index} (${digestText(digest ?? diffId)})`;
    const blob = blobs[index] as BlobRange;
    checkSize(blob, size, name);
    return { name, diffId, digest, mediaType, blob };
  });
  return { layers, config };
}

function checkPlatform(store: BlobStore, config: JsonObject, wanted: Platform | undefined): void {
  const platform = platformOf(config);
  // A configuration often leaves the variant out.
  if (wanted === undefined || platform === undefined) return;
  if (isPlatform(platform, { ...wanted, variant: undefined })) return;
  throw new SealtreeError(
    'missing',
    `${store.name}: has no image for ${platformText(wanted)}, only for ${platformText(platform)}`,
  );
}

async function documentAt(store: BlobStore, path: string): Promise<unknown> {
  const blob = await store.find(byteString(path));
  const what = `${store.name}: ${path}`;
  return blob === undefined ? undefined : parseJson(readBlob(blob, MAX_DOCUMENT, what), what);
}

/** Where a blob may be: in a layout, and in archives of older tools. */
function namesOf(digest: Digest): ByteString[] {
  const { algorithm, hex } = digest;
  return [blobName(digest), byteString(`${algorithm}/${hex}`), byteString(hex)];
}

async function firstOf(store: BlobStore, names: readonly ByteString[]): Promise<BlobRange | undefined> {
  for (const name of names) {
    const found = await store.find(name);
    if (found !== undefined) return found;
  }
  return undefined;
}

function sizeOf(value: unknown, what: string): number | undefined {
  if (value === undefined) return undefined;
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw malformed(`${what}: its size is no number of bytes`);
  return value as number;
}

function checkSize(blob: BlobRange, size: number | undefined, what: string): void {
  if (size === undefined || size === blob.size) return;
  throw new SealtreeError('mismatch', `${what}: has ${blob.size} bytes, expected ${size}`, {
    expected: size,
    found: blob.size,
  });
}
