/** Boots decided by the engine that decides them in an initramfs, compiled as the program is: it says what Node says. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { nodeSystem } from '../../src/node/system.ts';
import { compileScript } from '../initramfs/program.ts';
import type { MemoryTree } from '../memory-system.ts';
import { requires } from '../requires.ts';
import { run } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { answerBoot, encodeBoot } from './boot-answers.ts';
import { type BootCase, makeBootCase } from './boot-cases.ts';
import { bootSeeds } from './boot-seeds.ts';
import { FUZZ_DIVISOR } from './fuzz.ts';
import { FUZZ_SEED, makeRandom } from './random.ts';
import { privateKeyObject } from './sealed-targets.ts';

const CASES = Math.ceil(600 / FUZZ_DIVISOR);
const ON_DISK = Math.ceil(150 / FUZZ_DIVISOR);

const { it } = requires({ root: true, program: true });

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('quickjs');
});
afterAll(() => removeDirectory(scratch));

let program: string;

it('the engine of the boot program decides as Node does', async () => {
  program = await compileAnswers();
  const lines = makeCases(200, CASES).map(({ cmdline, facts, tree }) => encodeBoot(cmdline, facts, tree));
  const planned = compareAnswers(lines);
  console.log(`fuzz seed ${FUZZ_SEED}: ${CASES} boots decided in QuickJS, ${planned} of them with a plan`);
  expect(planned).toBeGreaterThan(CASES / 10);
});

it('the boot program reads files, links and what stands in their places as Node does', () => {
  const lines = makeCases(201, ON_DISK).map(({ cmdline, facts, tree }, i) => {
    const root = join(scratch, `disk-${i}`);
    materialize(tree, root);
    return encodeBoot(cmdline, { ...facts, root: byteString(root), sysroot: byteString(`${root}/sysroot`) });
  });
  const planned = compareAnswers(lines);
  console.log(`fuzz seed ${FUZZ_SEED}: ${ON_DISK} boots of real folders, ${planned} of them with a plan`);
});

async function compileAnswers(): Promise<string> {
  const built = await build({
    entryPoints: [fileURLToPath(new URL('quickjs-worker.ts', import.meta.url))],
    outdir: scratch,
    write: false,
    bundle: true,
    format: 'iife',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2022',
    logLevel: 'error',
  });
  return compileScript(scratch, 'answers', built.outputFiles[0]?.text ?? '');
}

function makeCases(target: number, count: number): BootCase[] {
  const seeds = bootSeeds();
  const secrets = seeds.keyPairs.map(privateKeyObject);
  return Array.from({ length: count }, (_, i) =>
    makeBootCase(makeRandom(FUZZ_SEED, target, i), seeds, secrets),
  );
}

/** @returns how many of the boots have a plan */
function compareAnswers(lines: readonly string[]): number {
  const path = join(scratch, 'boots');
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
  const { status, stdout, stderr } = run([program, path]);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const theirs = stdout.trimEnd().split('\n');
  const ours = lines.map((line) => answerBoot(line, nodeSystem));
  expect(theirs.length).toBe(lines.length);
  for (const [i, answer] of ours.entries()) expect(theirs[i], `case ${i}`).toBe(answer);
  expect(ours.filter((answer) => answer.startsWith('thrown'))).toEqual([]);
  return ours.filter((answer) => !answer.includes('"refusal":{')).length;
}

/** Makes the tree in a folder; a pipe is what is neither file, directory nor link. */
function materialize(tree: MemoryTree, root: string): void {
  const pipes: string[] = [];
  // Parents first; of what lies below a file or link there is nothing.
  for (const [name, node] of [...tree].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const path = Buffer.from(root + name, 'latin1');
    const parent = Buffer.from((root + name).slice(0, (root + name).lastIndexOf('/')), 'latin1');
    try {
      mkdirSync(parent, { recursive: true });
      if (node.kind === 'directory') mkdirSync(path, { recursive: true });
      else if (node.kind === 'symlink') symlinkSync(Buffer.from(node.target ?? '', 'latin1'), path);
      else if (node.kind === 'file') writeFileSync(path, node.data ?? new Uint8Array(0));
      else pipes.push(root + name);
    } catch (error) {
      const codes = ['ENOTDIR', 'EEXIST', 'ENOENT', 'ELOOP', 'ENAMETOOLONG', 'EISDIR'];
      if (!codes.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  if (pipes.length > 0) run(['mkfifo', ...pipes]);
}
