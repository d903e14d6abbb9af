/** Layers against the peer: every file equal, but for UUIDs; every refusal in its words. @module */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ByteString, byteString } from '../../src/core/bytes/byte-string.ts';
import { MAX_CONVERTED_SIZE } from '../../src/core/layer/tar-to-ext4.ts';
import { buildLayer, buildLayerAlone } from '../../src/layer/build-layer.ts';
import { convertTar, createFromTar, createLayers, rootHashes } from '../../src/layer/image-layers.ts';
import { openArchive } from '../../src/oci/archive.ts';
import { findImage } from '../../src/oci/image.ts';
import { LAYER_VECTORS, layerVector, PEER, type PeerFile } from '../layer-vectors.ts';

let work: string;
beforeAll(() => {
  work = mkdtempSync(`${tmpdir()}/sealtree-layer-`);
});
afterAll(() => rmSync(work, { recursive: true }));

const imageIn = (name: string) =>
  findImage(openArchive(byteString(`${LAYER_VECTORS}images/${name}`)), undefined);
const layers = Object.entries(PEER.layers).map(([name, answers]) => ({ name, ...answers }));

/** What the peer's file is compared by: all of it, but the UUIDs. */
function normalised(path: string, { verity_offset, vhd_footer_offset, size }: PeerFile): string {
  const data = readFileSync(path);
  expect(data.length).toBe(size);
  if (verity_offset !== undefined) data.fill(0, verity_offset + 16, verity_offset + 32);
  if (vhd_footer_offset !== undefined) data.fill(0, vhd_footer_offset + 64, vhd_footer_offset + 84);
  return createHash('sha256').update(data).digest('hex');
}

/** The path of a layer, written where the vector is kept compressed and the peer's answer is for the plain one. */
function pathOf(name: string): ByteString {
  if (name.endsWith('.gz')) return byteString(`${LAYER_VECTORS}tars/${name}`);
  const path = `${work}/${name}`;
  writeFileSync(path, layerVector(name));
  return byteString(path);
}

describe('root hashes', () => {
  it.each(layers.filter(({ name, hashlayer }) => hashlayer.rc === 0 && !name.endsWith('.gz')))(
    'of $name are those of the peer, by one thread or several, whole or in pieces',
    async ({ name, hashlayer }) => {
      const tar = layerVector(name);
      const pieces = function* (step: number) {
        for (let at = 0; at < tar.length; at += step) yield tar.subarray(at, at + step);
      };
      const expected = hashlayer.stdout?.trim();
      expect(await buildLayer([tar])).toBe(expected);
      expect(await buildLayerAlone(pieces(4001))).toBe(expected);
    },
  );

  it.each(layers.filter(({ name }) => name.startsWith('e-')))(
    '$name is refused',
    async ({ name, hashlayer }) => {
      const words = hashlayer.err.replace(/^failed to convert tar to ext4: /, '');
      const message = words === 'input file is not a tar archive' ? 'invalid tar header' : words;
      await expect(buildLayer([layerVector(name)])).rejects.toThrow(message);
    },
  );
});

describe('files', () => {
  it.each(
    layers.filter(({ name, tar2hashed }) => (tar2hashed.file?.size ?? 0) > 0 && !name.startsWith('zeros')),
  )('of tar2hashed for $name are equal', async ({ name, tar2hashed }) => {
    const output = byteString(`${work}/${name}.out`);
    const root = await convertTar(pathOf(name), output, { maxSize: MAX_CONVERTED_SIZE, uuid: 'random' });
    const file = tar2hashed.file as PeerFile;
    expect(root).toBe(file.root_hash);
    expect(normalised(output, file)).toBe(file.sha256_normalised);
    rmSync(output);
  });

  it.each(['tar2hashed', 'create'])('of %s are not there after an error, not even empty', async (verb) => {
    const directory = byteString(`${work}/after-${verb}`);
    const tar = byteString(`${LAYER_VECTORS}tars/e-truncated.tar`);
    const run =
      verb === 'create'
        ? createFromTar(tar, { directory, separate: true, uuid: 'random' })
        : convertTar(tar, byteString(`${directory}/out`), { maxSize: MAX_CONVERTED_SIZE, uuid: 'random' });
    await expect(run).rejects.toThrow('unexpected EOF');
    expect(readdirSync(directory)).toEqual([]);
  });

  const created = Object.entries(PEER.images).flatMap(([name, answers]) =>
    (['create', 'create+hash-dev-vhd'] as const).map((verb) => ({ name, verb, peer: answers[verb] })),
  );
  it.each(created.filter(({ peer }) => peer.rc === 0))(
    'of $verb for $name are equal',
    async ({ name, verb, peer }) => {
      const directory = byteString(`${work}/${verb}-${name}`);
      const separate = verb !== 'create';
      const made = await createLayers(await imageIn(name), { directory, separate, uuid: 'random' });
      // The peer names hash devices by the place of the layer in the archive.
      const hashes = (files: Record<string, string>) => Object.values(files).sort();
      const found: Record<string, string> = {};
      for (const [file, facts] of Object.entries(peer.files ?? {})) {
        const path = readdirSync(directory).find((entry) =>
          file.endsWith('.hash-dev.vhd')
            ? entry.endsWith('.hash-dev.vhd') &&
              made.some(({ hash, root }) => hash?.endsWith(entry) && root === facts.root_hash)
            : entry === file,
        );
        expect(path, file).toBeDefined();
        found[file] = normalised(`${directory}/${path}`, facts);
      }
      const expected = Object.values(peer.files ?? {}).map(
        ({ sha256_normalised }) => sha256_normalised as string,
      );
      expect(hashes(found)).toEqual(expected.sort());
      expect(readdirSync(directory)).toHaveLength(expected.length);
    },
  );

  it.each(Object.entries(PEER.datavhd).filter(([, { rc }]) => rc === 0))(
    'of create --dir for %s are equal',
    async (name, peer) => {
      const directory = byteString(`${work}/dir-${name}`);
      const separate = name.endsWith('+hdv');
      await createFromTar(pathOf(name.replace(/\+hdv$/, '')), { directory, separate, uuid: 'random' });
      const files = peer.files ?? {};
      expect(readdirSync(directory).sort()).toEqual(Object.keys(files).sort());
      for (const [file, facts] of Object.entries(files))
        expect(normalised(`${directory}/${file}`, facts), file).toBe(facts.sha256_normalised);
    },
  );

  it('have the UUIDs that are asked for, or the same every time', async () => {
    const make = async (name: string, uuid: Uint8Array | 'content' | 'random') => {
      const directory = byteString(`${work}/${name}`);
      const { data } = await createFromTar(pathOf('basic.tar'), { directory, separate: false, uuid });
      return readFileSync(data);
    };
    const [first, second] = [await make('same-1', 'content'), await make('same-2', 'content')];
    expect(first.equals(second)).toBe(true);
    expect(
      first.subarray(106_496 + 16, 106_496 + 32).equals(first.subarray(114_688 + 68, 114_688 + 84)),
    ).toBe(false);
    const given = new Uint8Array(16).fill(7);
    const third = await make('given', given);
    expect(third.subarray(106_496 + 16, 106_496 + 32)).toEqual(Buffer.from(given));
    expect(third.subarray(114_688 + 68, 114_688 + 84)).toEqual(Buffer.from(given));
    expect((await make('other', 'random')).equals(await make('another', 'random'))).toBe(false);
    const footer = third.subarray(114_688);
    const sum = footer.reduce((total, byte, at) => total + (at >= 64 && at < 68 ? 0 : byte), 0);
    expect(footer.readUInt32BE(64)).toBe(~sum >>> 0);
  });
});

describe('images', () => {
  it.each(Object.entries(PEER.images).filter(([, { roothash }]) => roothash.rc === 0))(
    '%s has the root hashes of the peer',
    async (name, { roothash }) => {
      const { layers: expected } = JSON.parse(roothash.stdout as string);
      expect(await rootHashes(await imageIn(name))).toEqual(expected);
    },
  );

  it('with the same layer twice get its file', async () => {
    const directory = byteString(`${work}/twice`);
    const made = await createLayers(await imageIn('podman-dup.tar'), {
      directory,
      separate: true,
      uuid: 'content',
    });
    expect(made).toHaveLength(3);
    expect(made[0]).toEqual(made[2]);
    expect(readdirSync(directory)).toHaveLength(4);
  });
});
