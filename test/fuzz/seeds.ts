/** What the fuzz runs begin with: the test vectors. @module */
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { readDump } from '../../src/core/dumpfile/read.ts';
import { SealtreeError } from '../../src/core/errors.ts';
import { GOLDEN_TREES, goldenObjects } from '../golden-repo.ts';
import { imageOf } from './image-of.ts';

const VECTORS = process.env.SEALTREE_TEST_VECTORS ?? new URL('../vectors/', import.meta.url).pathname;

/** Larger ones would take the time of many small ones. */
const DUMP_MAX = 24_000;
const IMAGE_MAX = 64 * 1024;

/** Dump files of the composefs and of the ostree vectors, by name. */
export function dumpSeeds(): string[] {
  const folders = ['composefs', ...GOLDEN_TREES.map((tree) => `ostree/${tree}`)];
  const dumps = folders.flatMap((folder) =>
    readdirSync(VECTORS + folder)
      .filter((name) => /\.dump(\.gz)?$/.test(name))
      .sort()
      .map((name) => readVector(`${folder}/${name}`).toString('latin1')),
  );
  return dumps.filter((dump) => dump.length <= DUMP_MAX);
}

/** Images of all dumps, in both formats. */
export function imageSeeds(): Uint8Array[] {
  return dumpSeeds().flatMap((dump) => {
    try {
      const root = readDump([byteString(dump)]);
      return [imageOf(root, 0), imageOf(root, 1)].filter((image) => image.length <= IMAGE_MAX);
    } catch (error) {
      // Some vectors are dumps that no tool takes.
      if (error instanceof SealtreeError) return [];
      throw error;
    }
  });
}

/** Objects of one kind of all golden repositories: the bytes of their files, or of `user.ostreemeta`. */
export function objectSeeds(extension: string): Uint8Array[] {
  const mode = extension === 'file' ? 'bare-user' : 'archive';
  const objects = GOLDEN_TREES.flatMap((tree) => [...goldenObjects(tree, mode)]);
  return objects
    .filter(([name]) => name.endsWith(`.${extension}`))
    .map(([, entry]) =>
      extension === 'file' ? (entry.xattrs.get('user.ostreemeta') as Uint8Array) : entry.data,
    )
    .filter((data) => data.length <= IMAGE_MAX);
}

export function readVector(path: string): Buffer {
  const data = readFileSync(VECTORS + path);
  return path.endsWith('.gz') ? gunzipSync(data) : data;
}

/** Texts of GVariants that GLib reads. */
export function textSeeds(): string[] {
  const all = JSON.parse(readVector('gvariant/text.json').toString()) as { text: string; error?: string }[];
  return all
    .filter(({ error }) => error === undefined)
    .map(({ text }) => Buffer.from(text).toString('latin1'));
}

/** Seed and public key of the test keys: a, b, and one that nothing trusts. */
export function keyPairs(): Uint8Array[] {
  return ['a', 'b', 'wrong'].map((name) => {
    const { secret_hex } = JSON.parse(readVector(`ostree/keys/${name}.json`).toString());
    return Uint8Array.from(Buffer.from(secret_hex as string, 'hex'));
  });
}
