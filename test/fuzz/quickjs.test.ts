/** Boots decided by the engine that decides them in an initramfs, compiled as the program is: it says what Node says. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect } from 'vitest';
import { compileScript } from '../initramfs/program.ts';
import { requires } from '../requires.ts';
import { run } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { answerBoot, asciiJson, encodeBoot } from './boot-answers.ts';
import { makeBootCase } from './boot-cases.ts';
import { bootSeeds } from './boot-seeds.ts';
import { FUZZ_DIVISOR } from './fuzz.ts';
import { FUZZ_SEED, makeRandom } from './random.ts';
import { privateKeyObject } from './sealed-targets.ts';

const CASES = Math.ceil(600 / FUZZ_DIVISOR);

const { it } = requires({ root: true, programs: ['debootstrap'] });

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('quickjs');
});
afterAll(() => removeDirectory(scratch));

it('the engine of the boot program decides as Node does', async () => {
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
  const program = compileScript(scratch, 'answers', built.outputFiles[0]?.text ?? '');
  const seeds = bootSeeds();
  const secrets = seeds.keyPairs.map(privateKeyObject);
  const lines = Array.from({ length: CASES }, (_, index) => {
    const { cmdline, facts, tree } = makeBootCase(makeRandom(FUZZ_SEED, 200, index), seeds, secrets);
    return asciiJson(encodeBoot(cmdline, facts, tree));
  });
  const path = join(scratch, 'boots');
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
  const { status, stdout, stderr } = run([program, path]);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const theirs = stdout.trimEnd().split('\n');
  const ours = lines.map((line) => asciiJson(answerBoot(line)));
  const planned = ours.filter((answer) => !answer.includes('"refusal":{')).length;
  console.log(`fuzz seed ${FUZZ_SEED}: ${CASES} boots decided in QuickJS, ${planned} of them with a plan`);
  expect(theirs.length).toBe(CASES);
  for (const [i, answer] of ours.entries()) expect(theirs[i], `case ${i}`).toBe(answer);
  expect(planned).toBeGreaterThan(CASES / 10);
});
