// The whole proof, in stages: what npm test, and so .ci/run, runs. `--quick` leaves out the live, fuzz and boot
// stages; `--boot` runs only what boots virtual machines.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'sealtree-test-'));
const counts = join(scratch, 'counts.json');
const projects = process.argv.includes('--boot')
  ? ['boot']
  : process.argv.includes('--quick')
    ? ['unit', 'cli']
    : [];
const whole = !process.argv.includes('--boot');
const failures = [];
const times = [];

const tool = (name) => [process.execPath, join(root, 'node_modules', name)];

stage('install', () => ensureInstalled(root) ?? true);
if (whole) {
  stage('format and lint', [...tool('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.']);
  stage('types', [...tool('typescript/bin/tsc'), '-p', 'tsconfig.json']);
  stage('types of the core', [...tool('typescript/bin/tsc'), '-p', 'src/core/tsconfig.json']);
  stage('unused code', [...tool('knip/bin/knip.js')]);
}
stage('build', [process.execPath, 'scripts/build.mjs']);
if (whole) {
  stage('generated documents', () => {
    const before = documents();
    const made = spawnSync(process.execPath, ['scripts/man.mjs'], { cwd: root, stdio: 'inherit' });
    const after = documents();
    const stale = [...new Set([...before.keys(), ...after.keys()])].filter(
      (name) => before.get(name) !== after.get(name),
    );
    for (const name of stale) console.log(`${name} was not what npm run man makes; it is now: commit it`);
    return made.status === 0 && stale.length === 0;
  });
}
stage('tests', [...tool('vitest/vitest.mjs'), 'run', ...projects.flatMap((name) => ['--project', name])], {
  SEALTREE_TEST_COUNTS: counts,
});

console.log('');
for (const [name, seconds] of times) console.log(`${seconds.toFixed(1).padStart(7)} s  ${name}`);
const total = existsSync(counts)
  ? JSON.parse(readFileSync(counts, 'utf8'))
  : { passed: 0, failed: 0, skipped: 0 };
rmSync(scratch, { recursive: true });
for (const name of failures) console.log(`failed stage: ${name}`);
const stages = failures.filter((name) => name !== 'tests').length;
const unseen = failures.includes('tests') && total.failed === 0 ? 1 : 0;
console.log(`${total.passed} passed, ${total.failed + stages + unseen} failed, ${total.skipped} skipped`);
process.exitCode = failures.length === 0 ? 0 : 1;

/** The documents that `npm run man` writes or fills in, by name. */
function documents() {
  const pages = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name));
  return new Map([...pages, 'README.md'].map((name) => [name, readIfThere(join(root, name))]));
}

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** Runs one stage and notes its time; a stage that fails does not stop those after it. */
function stage(name, work, env = {}) {
  console.log(`\n== ${name}`);
  const start = performance.now();
  let passed = true;
  if (typeof work === 'function') passed = work();
  else {
    const [program, ...args] = work;
    const ran = spawnSync(program, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
    passed = ran.status === 0;
  }
  times.push([name, (performance.now() - start) / 1000]);
  if (!passed) failures.push(name);
}
