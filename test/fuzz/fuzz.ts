/** A fuzz run: bundles its worker, watches it, and prints what it did. @module */
import { rmSync, symlinkSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { build, type Plugin } from 'esbuild';
import type { FuzzOrder, FuzzResult, TargetResult } from './fuzz-run.ts';
import { FUZZ_SEED } from './random.ts';

/** SEALTREE_FUZZ_DIVISOR=10 runs a tenth of the cases. */
export const FUZZ_DIVISOR = Number(process.env.SEALTREE_FUZZ_DIVISOR ?? 1);

/** A case that takes longer each of three times has failed. */
const CASE_TIME = 2_000;
/** A case that has not ended when this time has passed twice is ended. */
const HANG_TIME = 30_000;
const GROWTH = 768 * 1024 * 1024;
const HEAP_MEGABYTES = 512;

/**
 * @param worker the file in this folder that runs the targets
 * @param instead files of this folder that stand in for modules, by the ends of the modules' paths
 */
export async function fuzz(
  worker: string,
  seeds: unknown,
  instead: Readonly<Record<string, string>> = {},
): Promise<FuzzResult> {
  const folder = await mkdtemp(join(tmpdir(), 'sealtree-fuzz-'));
  try {
    const bundle = join(folder, 'worker.mjs');
    const { esmBundle } = await import(new URL('../../scripts/esm-bundle.mjs', import.meta.url).href);
    await build({
      entryPoints: [fileURLToPath(new URL(worker, import.meta.url))],
      outfile: bundle,
      ...esmBundle,
      define: { SEALTREE_VERSION: '"0"' },
      plugins: Object.entries(instead).map(([module, file]) => standIn(module, file)),
      logLevel: 'error',
    });
    symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(folder, 'node_modules'));
    const result = await runWorker(bundle, seeds);
    print(result);
    return result;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Whoever imports the module gets the file of this folder, but for that file itself. */
function standIn(module: string, file: string): Plugin {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return {
    name: `stand in for ${module}`,
    setup(plugin) {
      plugin.onResolve({ filter: /^\./ }, ({ importer, path: wanted, resolveDir }) => {
        const found = join(resolveDir, wanted);
        return importer !== path && found.endsWith(`/${module}`) ? { path } : undefined;
      });
    },
  };
}

function runWorker(bundle: string, seeds: unknown): Promise<FuzzResult> {
  const progress = new SharedArrayBuffer(8);
  const order: FuzzOrder = {
    seed: FUZZ_SEED,
    seeds,
    progress,
    caseTime: CASE_TIME,
    growth: GROWTH,
    divisor: FUZZ_DIVISOR,
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
    }, HANG_TIME);
    let result: FuzzResult | undefined;
    worker.once('message', (message: FuzzResult) => {
      result = message;
    });
    worker.once('error', (error) => reject(new Error(`${where()}: ${error.message}`)));
    worker.once('exit', () => {
      clearInterval(watch);
      // Only now has the worker taken its files away.
      if (result === undefined) reject(new Error(`ended: ${where()}`));
      else resolve(result);
    });
  });
}

function print({ targets, growth }: FuzzResult): void {
  const sum = (of: (target: TargetResult) => number) => targets.reduce((all, one) => all + of(one), 0);
  const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  const lines = targets.map((one) => {
    const times = `slowest ${one.slowest.toFixed(1)} ms, ${(one.time / 1000).toFixed(1)} s`;
    const refused = Object.entries(one.refusedBy)
      .sort(([, a], [, b]) => b - a)
      .map(([check, count]) => `\n  refused by ${check}: ${count}`);
    return `${one.target}: ${one.cases} cases, ${one.passed} beyond the header, ${one.accepted} accepted, ${times}, ${mebibytes(one.growth)}${refused.join('')}`;
  });
  const cases = `${sum(({ cases }) => cases)} cases, ${sum(({ passed }) => passed)} beyond the header`;
  console.log(`fuzz seed ${FUZZ_SEED}: ${cases}, grew by ${mebibytes(growth)}\n${lines.join('\n')}`);
}
