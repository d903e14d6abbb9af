/** Container images in archives and folders: which layers they have, and what is refused. @module */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { openArchive } from '../../src/oci/archive.ts';
import { decompress } from '../../src/oci/decompress.ts';
import { digestText } from '../../src/oci/digest.ts';
import { type ContainerImage, findImage } from '../../src/oci/image.ts';
import { layerTar, tarFile } from '../../src/oci/layer-tar.ts';
import { openLayout } from '../../src/oci/layout.ts';
import { parsePlatform } from '../../src/oci/platform.ts';
import { LAYER_VECTORS, layerVector } from '../layer-vectors.ts';

let work: string;
beforeAll(() => {
  work = mkdtempSync(`${tmpdir()}/sealtree-oci-`);
});
afterAll(() => rmSync(work, { recursive: true }));

const sha256 = (data: Uint8Array | string) => createHash('sha256').update(data).digest('hex');
const contentOf = (pieces: Iterable<Uint8Array>) =>
  Buffer.concat(Array.from(pieces, (piece) => Buffer.from(piece)));
const open = (name: string) => findImage(openArchive(byteString(name)), undefined);

/** Writes a layout of one image; `change` may spoil its documents. */
function layout(
  name: string,
  layers: readonly Uint8Array[],
  change: (documents: Documents) => void = () => {},
): string {
  const folder = `${work}/${name}`;
  mkdirSync(`${folder}/blobs/sha256`, { recursive: true });
  const blob = (data: Uint8Array | string, mediaType: string) => {
    const digest = sha256(data);
    writeFileSync(`${folder}/blobs/sha256/${digest}`, data);
    return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(data) };
  };
  const documents: Documents = {
    config: {
      os: 'linux',
      architecture: 'amd64',
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
    },
    manifest: {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      layers: layers.map((layer) => blob(gzipSync(layer), 'application/vnd.oci.image.layer.v1.tar+gzip')),
    },
    platform: { os: 'linux', architecture: 'amd64' },
  };
  change(documents);
  documents.manifest.config ??= blob(
    JSON.stringify(documents.config),
    'application/vnd.oci.image.config.v1+json',
  );
  const manifest = {
    ...blob(JSON.stringify(documents.manifest), 'application/vnd.oci.image.manifest.v1+json'),
    platform: documents.platform,
  };
  writeFileSync(`${folder}/index.json`, JSON.stringify({ schemaVersion: 2, manifests: [manifest] }));
  return folder;
}
interface Documents {
  config: Record<string, unknown>;
  // biome-ignore lint/suspicious/noExplicitAny: spoilt in many ways
  manifest: Record<string, any>;
  platform: unknown;
}

describe('archives', () => {
  // Diff ids: SHA-256 of the archives in tars/, as peer.json has them.
  const basic = sha256(layerVector('basic.tar'));
  const whiteouts = sha256(layerVector('whiteouts.tar'));
  it.each([
    ['docker.tar', [basic, whiteouts]],
    ['docker-gz.tar', [basic, whiteouts]],
    ['docker-rev.tar', [basic, whiteouts, sha256(layerVector('hardlinks.tar'))]],
    ['oci-gz.tar', [basic, whiteouts, sha256(layerVector('hardlinks.tar'))]],
    ['oci-index-first.tar', [basic, whiteouts]],
    ['oci-nested.tar', [basic, whiteouts]],
    ['oci-nomediatype.tar', [basic]],
    ['oci-plain.tar', [basic, whiteouts]],
    ['oci-legacy.tar', [whiteouts, basic]],
    ['oci-emptylayer.tar', [basic, sha256(layerVector('empty.tar'))]],
    ['podman-dup.tar', [basic, whiteouts, basic]],
  ])('finds the layers of %s and reads them', async (name, diffIds) => {
    const { layers } = await open(`${LAYER_VECTORS}images/${name}`);
    expect(layers.map(({ diffId }) => diffId.hex)).toEqual(diffIds);
    for (const layer of layers) expect(sha256(contentOf(layerTar(layer)))).toBe(layer.diffId.hex);
  });

  it.each([
    ['e-nomanifest.tar', /^image manifest format not recognized$/],
    ['e-not-tar.tar', /archive\/tar: invalid tar header/],
    ['e-oci-missing-layer.tar', /blobs\/sha256\/6db8866d.* is not there/],
  ])('refuses %s', async (name, message) => {
    await expect(async () => open(`${LAYER_VECTORS}images/${name}`)).rejects.toThrow(message);
  });

  it('follows links in an archive, and refuses those in a circle', async () => {
    const folder = `${work}/links`;
    cpSync(layout('links-source', [layerVector('basic.tar')]), folder, { recursive: true });
    const { layers } = await findImage(openLayout(byteString(folder)), undefined);
    const blob = layers[0]?.digest?.hex as string;
    execFileSync('mv', [`${folder}/blobs/sha256/${blob}`, `${folder}/elsewhere`]);
    symlinkSync('../../elsewhere', `${folder}/blobs/sha256/${blob}`);
    execFileSync('tar', ['-C', folder, '-cf', `${work}/links.tar`, '.']);
    const image = await open(`${work}/links.tar`);
    expect(image.layers).toHaveLength(1);
    rmSync(`${folder}/elsewhere`);
    symlinkSync(`blobs/sha256/${blob}`, `${folder}/elsewhere`);
    execFileSync('tar', ['-C', folder, '-cf', `${work}/circle.tar`, '.']);
    await expect(open(`${work}/circle.tar`)).rejects.toThrow('links lead in a circle');
  });
});

describe('layouts', () => {
  const layers = [layerVector('basic.tar'), layerVector('xattrs.tar')];
  const find = (folder: string, platform?: string): Promise<ContainerImage> =>
    findImage(openLayout(byteString(folder)), platform === undefined ? undefined : parsePlatform(platform));

  it('finds layers in a folder', async () => {
    const image = await find(layout('good', layers));
    expect(
      image.layers.map((layer) => contentOf(layerTar(layer)).equals(Buffer.from(layers.shift() ?? []))),
    ).toEqual([true, true]);
  });

  it.each<[string, RegExp, (documents: Documents) => void]>([
    [
      'a configuration with fewer diff ids',
      /1 layers, but the configuration has 0/,
      ({ config }) => (config.rootfs = { diff_ids: [] }),
    ],
    [
      'a digest of no kind',
      /is no sha256 or sha512 digest/,
      ({ manifest }) => (manifest.layers[0].digest = 'sha256:../../../etc/passwd'),
    ],
    ['a size that lies', /has \d+ bytes, expected 7/, ({ manifest }) => (manifest.layers[0].size = 7)],
    ['a negative size', /no number of bytes/, ({ manifest }) => (manifest.layers[0].size = -1)],
    ['another kind of document', /not recognized/, ({ manifest }) => (manifest.mediaType = 'text/plain')],
    ['layers that are no list', /layers: expected a list/, ({ manifest }) => (manifest.layers = {})],
    ['a layer that is no object', /layer: expected an object/, ({ manifest }) => (manifest.layers = [1])],
  ])('refuses %s', async (name, message, change) => {
    const folder = layout(`bad-${name.replaceAll(' ', '-')}`, [layerVector('basic.tar')], change);
    await expect(find(folder)).rejects.toThrow(message);
  });

  it('refuses an index that leads to itself, a document that was changed, and a blob outside', async () => {
    const folder = layout('changed', [layerVector('basic.tar')]);
    const index = JSON.parse(readFileSync(`${folder}/index.json`, 'utf8'));
    const manifest = `${folder}/blobs/sha256/${index.manifests[0].digest.slice(7)}`;
    const text = readFileSync(manifest, 'utf8');
    writeFileSync(manifest, text.replace('"schemaVersion":2', '"schemaVersion":3'));
    await expect(find(folder)).rejects.toThrow(/digest is sha256:[0-9a-f]{64}, expected sha256:/);
    rmSync(manifest);
    writeFileSync(`${work}/outside`, text);
    symlinkSync(`${work}/outside`, manifest);
    await expect(find(folder)).rejects.toThrow('leads outside');
  });

  it('refuses content that is not the one of the manifest or of the configuration', async () => {
    const spoilt = layout('spoilt-content', [layerVector('basic.tar')], ({ config }) => {
      config.rootfs = { diff_ids: [`sha256:${'0'.repeat(64)}`] };
    });
    const [layer] = (await find(spoilt)).layers;
    expect(() => contentOf(layerTar(layer as never))).toThrow(/content: digest is .*, expected sha256:0000/);
    const folder = layout('spoilt-blob', [layerVector('basic.tar')]);
    const [other] = (await find(folder)).layers;
    const path = `${folder}/blobs/sha256/${other?.digest?.hex}`;
    const data = readFileSync(path);
    // The time in the gzip header: no content changes by it.
    data[4] = 1 ^ (data[4] as number);
    writeFileSync(path, data);
    expect(() => contentOf(layerTar(other as never))).toThrow(/blob: digest is/);
  });

  it('takes the image for the platform that is asked for', async () => {
    const folder = layout('platforms', [layerVector('basic.tar')]);
    const arm = layout('platforms-arm', [layerVector('xattrs.tar')], (documents) => {
      documents.config.architecture = 'arm64';
      documents.platform = { os: 'linux', architecture: 'arm64', variant: 'v8' };
    });
    cpSync(`${arm}/blobs`, `${folder}/blobs`, { recursive: true });
    const manifests = [arm, folder].flatMap(
      (from) => JSON.parse(readFileSync(`${from}/index.json`, 'utf8')).manifests,
    );
    writeFileSync(`${folder}/index.json`, JSON.stringify({ schemaVersion: 2, manifests }));
    const diffId = async (platform?: string) =>
      digestText((await find(folder, platform)).layers[0]?.diffId as never);
    const amd64 = `sha256:${sha256(layerVector('basic.tar'))}`;
    const arm64 = `sha256:${sha256(layerVector('xattrs.tar'))}`;
    expect(await diffId()).toBe(amd64);
    expect(await diffId('linux/amd64')).toBe(amd64);
    expect(await diffId('linux/arm64')).toBe(arm64);
    expect(await diffId('linux/arm64/v8')).toBe(arm64);
    await expect(diffId('linux/arm64/v7')).rejects.toThrow(
      'has no image for linux/arm64/v7, only for linux/arm64/v8, linux/amd64',
    );
    await expect(diffId('linux/s390x')).rejects.toThrow('has no image for linux/s390x');
    // Alone it is taken when nothing was asked for.
    expect(digestText((await find(arm)).layers[0]?.diffId as never)).toBe(arm64);
  });
});

describe('compressed layers', () => {
  const tar = layerVector('many.tar');
  const zstd = (data: Uint8Array, ...options: string[]) =>
    execFileSync('zstd', ['-qc', ...options], { input: data, maxBuffer: 1e9 });
  const pieces = function* (data: Uint8Array, step: number) {
    for (let at = 0; at < data.length; at += step) yield data.subarray(at, at + step);
  };
  const kinds: [string, () => Uint8Array][] = [
    ['nothing', () => tar],
    ['gzip', () => gzipSync(tar)],
    [
      'gzip in two members',
      () => Buffer.concat([gzipSync(tar.subarray(0, 70_000)), gzipSync(tar.subarray(70_000))]),
    ],
    ['zstd', () => zstd(tar)],
    [
      'zstd in two frames',
      () => Buffer.concat([zstd(tar.subarray(0, 70_000), '--check'), zstd(tar.subarray(70_000), '-19')]),
    ],
  ];
  it.each(kinds)('reads %s in pieces of any size', (_, make) => {
    const data = make();
    for (const step of [data.length, 50_001]) {
      expect(contentOf(decompress(pieces(data, step))).equals(Buffer.from(tar))).toBe(true);
    }
  });

  it.each(kinds.slice(1))('refuses a piece of %s for the whole', (_, make) => {
    const data = make();
    for (const length of [data.length - 1, data.length - 9, data.length >> 1, 30])
      expect(() => contentOf(decompress([data.subarray(0, length)]))).toThrow('unexpected EOF');
  });

  it('refuses what follows a gzip member and is none', () => {
    expect(() => contentOf(decompress([Buffer.concat([gzipSync(tar), Buffer.from('more')])]))).toThrow(
      'gzip: invalid',
    );
    expect(contentOf(decompress([Buffer.concat([gzipSync(tar), Buffer.alloc(512)])])).length).toBe(
      tar.length,
    );
  });

  it('refuses what becomes far larger than any layer does', () => {
    const bomb = zstd(Buffer.alloc(200e6));
    expect(bomb.length).toBeLessThan(100_000);
    const read = () => {
      for (const _ of decompress([bomb]));
    };
    expect(read).toThrow('over the limit of 1100 times');
    // As dense as gzip can be: an archive of zeros, which the peer takes.
    let size = 0;
    for (const piece of tarFile(byteString(`${LAYER_VECTORS}tars/zeros150m.tar.gz`))) size += piece.length;
    expect(size).toBe(157_296_640);
  });
});
