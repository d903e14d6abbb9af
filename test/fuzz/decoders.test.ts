/**
 * 100,000 changed inputs for every decoder: none may hang, fail in another way than by refusing, or take all memory.
 * What a decoder accepts must come out the same when it is encoded again, where the format allows one form only.
 */
import { rmSync, symlinkSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { expect, it } from 'vitest';
import { bytesFromHex } from '../../src/core/bytes/hex.ts';
import { GOLDEN_TREES, goldenArchive } from '../golden-repo.ts';
import type { FuzzOrder, FuzzResult } from './fuzz-worker.ts';
import { FUZZ_SEED } from './random.ts';
import { dumpSeeds, imageSeeds, keyPairs, objectSeeds, readVector, textSeeds } from './seeds.ts';
import type { Seeds } from './targets.ts';

/** A case that takes longer has failed; one that takes five times as long is ended. */
const CASE_TIME = 2_000;
const GROWTH = 768 * 1024 * 1024;
const HEAP_MEGABYTES = 512;

it('decoders refuse what they do not accept', async () => {
  const result = await fuzz();
  const { targets, growth, failures } = result;
  const sum = (of: (target: (typeof targets)[number]) => number) =>
    targets.reduce((all, one) => all + of(one), 0);
  const cases = sum((target) => target.cases);
  const lines = targets.map(
    ({ target, cases: count, accepted, passed, slowest, growth: grown, time }) =>
      `${target}: ${count} cases, ${passed} beyond the header, ${accepted} accepted, slowest ${slowest.toFixed(1)} ms, ${Math.round(grown / 2 ** 20)} MiB, ${(time / 1000).toFixed(1)} s`,
  );
  console.log(
    `fuzz seed ${FUZZ_SEED}: ${cases} cases, ${sum((target) => target.passed)} beyond the header, grew by ${Math.round(growth / 2 ** 20)} MiB\n${lines.join('\n')}`,
  );
  expect(failures.join('\n\n')).toBe('');
  expect(sum((target) => target.passed)).toBeGreaterThanOrEqual(cases / 2);
  if (divisor() === 1) expect(cases).toBeGreaterThanOrEqual(100_000);
});

/** SEALTREE_FUZZ_DIVISOR=10 runs a tenth of the cases. */
function divisor(): number {
  return Number(process.env.SEALTREE_FUZZ_DIVISOR ?? 1);
}

async function fuzz(): Promise<FuzzResult> {
  const folder = await mkdtemp(join(tmpdir(), 'sealtree-fuzz-'));
  try {
    const bundle = join(folder, 'fuzz-worker.mjs');
    await build({
      entryPoints: [new URL('./fuzz-worker.ts', import.meta.url).pathname],
      outfile: bundle,
      bundle: true,
      format: 'esm',
      platform: 'node',
      external: ['koffi'],
      banner: {
        js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
      },
      define: { SEALTREE_VERSION: '"0"' },
      logLevel: 'error',
    });
    symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(folder, 'node_modules'));
    return await runWorker(bundle);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function runWorker(bundle: string): Promise<FuzzResult> {
  const progress = new SharedArrayBuffer(8);
  const order: FuzzOrder = {
    seed: FUZZ_SEED,
    seeds: seeds(),
    progress,
    caseTime: CASE_TIME,
    growth: GROWTH,
    divisor: divisor(),
  };
  const worker = new Worker(bundle, {
    workerData: order,
    // As in src/node/worker-pool.ts: system calls open descriptors as well.
    trackUnmanagedFds: false,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
  });
  const state = new Int32Array(progress);
  const where = () => `seed ${FUZZ_SEED}, target ${state[0]}, case ${state[1]}`;
  return new Promise((resolve, reject) => {
    let last = '';
    const watch = setInterval(() => {
      if (where() === last) {
        reject(new Error(`hangs: ${last}`));
        void worker.terminate();
      }
      last = where();
    }, CASE_TIME * 5);
    worker.once('message', resolve);
    worker.once('error', (error) => reject(new Error(`${where()}: ${error.message}`)));
    worker.once('exit', () => {
      clearInterval(watch);
      reject(new Error(`ended: ${where()}`));
    });
  });
}

function seeds(): Seeds {
  const ed25519 = JSON.parse(readVector('ed25519/rfc8032.json').toString()) as Record<string, string>[];
  return {
    dumps: dumpSeeds(),
    images: imageSeeds(),
    objects: {
      commit: objectSeeds('commit'),
      dirtree: objectSeeds('dirtree'),
      dirmeta: objectSeeds('dirmeta'),
      commitmeta: objectSeeds('commitmeta'),
      filez: objectSeeds('filez'),
      file: objectSeeds('file'),
    },
    keyfiles: KEYFILES,
    texts: textSeeds(),
    archives: GOLDEN_TREES.map(goldenArchive),
    keyPairs: keyPairs(),
    publicKeys: ['a', 'b', 'wrong'].map((name) =>
      readVector(`ostree/keys/${name}.public`).toString('latin1'),
    ),
    signatures: ed25519.map(({ key, signature, message }) => [
      bytesFromHex(key as string),
      bytesFromHex(signature as string),
      bytesFromHex(message as string),
    ]),
  };
}

/** Files as the real tools read them: a repository's config, prepare-root.conf, an origin. */
const KEYFILES = [
  '[core]\nrepo_version=1\nmode=archive-z2\n\n[ex-integrity]\ncomposefs=true\nfsverity = maybe\n',
  '[core]\nrepo_version=1\nmode=bare-user\n# comment\nmin-free-space-size=500MB\n[remote "origin"]\nurl=https://example.org/repo\ngpg-verify=false\nbranches=a;b;c;\n',
  '# how to boot\n[composefs]\nenabled=signed\nkeypath=/etc/ostree/initramfs-root-binding.key\n\n[sysroot]\nreadonly=true\n[etc]\ntransient=false\n[root]\ntransient=no\n',
  '[origin]\nrefspec=origin:os/x86_64/stable\nname[de]=Ger\\u00e4t\ntext=\\s leading\\tand\\nescaped\n',
];
