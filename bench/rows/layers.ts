/** Rows of container layers hashed as dm-verity devices. @module */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeTree } from '../generated-tree.ts';
import { memoryAtMost, plainRatioAtMost, ratioAtMost } from '../goals.ts';
import { make, remove } from '../inputs.ts';
import type { Row } from '../row.ts';
import { runQuietly } from '../run-process.ts';
import { placeIn, type Workshop } from './workshop.ts';

const FILES = 24_000;
const LAYERS = 6;
const GROUP = 'layers';

/** Makes this many files half a gigabyte. */
const SIZES = { typicalSize: 1600, largestSize: 8_000_000 };

export function layerRows(workshop: Workshop): Row[] {
  const { tools } = workshop;
  const place = (name: string) => placeIn(workshop, GROUP, name);
  const [layer, zipped, image] = [place('layer.tar'), place('layer.tar.gz'), place('image')];
  const makeLayer = () => makeTar(workshop, layer, FILES, workshop.seed);
  const hash = (file: string) => ({ command: () => tools.ours('sealtree', ['layer', 'hash', file]) });
  const common = { group: GROUP, runs: 5, outputsDiffer: true } as const;
  const gunzip =
    'require("node:fs").createReadStream(process.argv[1]).pipe(require("node:zlib").createGunzip()).resume()';
  return [
    {
      ...common,
      id: 'layer-hash/tar',
      work: '`layer hash`',
      input: `a tar of ${FILES.toLocaleString('en')} files`,
      against: 'openssl dgst -sha256',
      contestants: { theirs: { command: () => ['openssl', 'dgst', '-sha256', layer] }, ours: hash(layer) },
      goals: [ratioAtMost(1.5), memoryAtMost(120)],
      prepare: makeLayer,
      size: () => ({ bytes: statSync(layer).size }),
    },
    {
      ...common,
      id: 'layer-hash/gzip',
      work: '`layer hash`',
      input: 'the same, gzipped',
      against: "Node's gunzip",
      contestants: {
        theirs: { command: () => [process.execPath, '-e', gunzip, zipped] },
        ours: hash(zipped),
      },
      againstNode: true,
      goals: [ratioAtMost(1.4)],
      prepare: () => {
        makeLayer();
        make(zipped, (part) => runQuietly(['sh', '-c', 'gzip -c "$0" >"$1"', layer, part]));
      },
      size: () => ({ bytes: statSync(zipped).size }),
    },
    {
      ...common,
      id: 'layer-roothash/image',
      work: '`layer roothash`',
      input: `an image of ${LAYERS} layers`,
      against: '`layer hash` of each',
      contestants: {
        theirs: {
          command: () => [
            'sh',
            '-c',
            'for n in 0 1 2 3 4 5; do "$@" "$LAYERS/$n.tar" || exit 1; done',
            'sh',
            ...tools.ours('sealtree', ['layer', 'hash']),
          ],
          env: { LAYERS: image },
        },
        ours: {
          command: () => tools.ours('sealtree', ['layer', 'roothash', `--tarball=${image}.tar`]),
        },
      },
      goals: [plainRatioAtMost(0.6)],
      prepare: () => makeImage(workshop, image),
      size: () => ({ bytes: statSync(`${image}.tar`).size }),
    },
  ];
}

/** An archive as `docker save` writes it, and beside it the folder of its files. */
function makeImage(workshop: Workshop, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const names = Array.from({ length: LAYERS }, (_, n) => `${n}.tar`);
  for (const [n, name] of names.entries()) {
    makeTar(workshop, join(folder, name), FILES / LAYERS, workshop.seed + n);
  }
  make(`${folder}.tar`, (part) => {
    const diffIds = names.map((name) => {
      const digest = createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex');
      return `sha256:${digest}`;
    });
    const config = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } };
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    const manifest = [{ Config: 'config.json', RepoTags: null, Layers: names }];
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
    runQuietly(['tar', '-cf', part, '-C', folder, 'manifest.json', 'config.json', ...names]);
  });
}

function makeTar(workshop: Workshop, path: string, entries: number, seed: number): void {
  make(path, (part) => {
    const tree = placeIn(workshop, GROUP, 'tree');
    remove(tree);
    writeTree(tree, { entries, seed, ...SIZES });
    runQuietly(['tar', '-cf', part, '--sort=name', '-C', tree, '.']);
    remove(tree);
  });
}
