/**
 * The figures of docs/boot.md that do not need a virtual machine: size and lines, held against their goals, and the
 * time from start to end beside the real ostree-prepare-root of Debian testing, which is shown only: it depends on what
 * else the machine does.
 * @module
 */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { boot, deployedDisk } from '../initramfs/in-initramfs.ts';
import { bootProgram } from '../initramfs/program.ts';
import { requires } from '../requires.ts';
import { expectSuccess, run } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { bootCommand, bootRoot } from './root.ts';

const { describe } = requires({
  root: true,
  boot: true,
  program: true,
  mount: ['overlay', 'erofs', 'tmpfs'],
});

const CLONE = fileURLToPath(new URL('../../', import.meta.url));
const KEY = fileURLToPath(new URL('../vectors/ostree/keys/a.public', import.meta.url));
const ROUNDS = 15;

let scratch: string;
let disks: Readonly<Record<'yes' | 'signed', string>>;
beforeAll(() => {
  scratch = scratchDirectory('figures');
  disks = { yes: deployedDisk(scratch, 'yes'), signed: deployedDisk(scratch, 'signed') };
});
afterAll(() => removeDirectory(scratch));

describe('figures', () => {
  /** A row of the table, and the goal. */
  const figure = (name: string, unit: 'bytes' | 'lines' | 'ms', goal: () => number, measure: () => number) =>
    it(name, ({ task }) => {
      const started = performance.now();
      const [found, limit] = [measure(), goal()];
      const text = (value: number) => `${value < 100 ? value.toFixed(1) : Math.round(value)} ${unit}`;
      const seconds = (performance.now() - started) / 1000;
      task.meta.boot = { expected: `at most ${text(limit)}`, seen: text(found), seconds };
      if (unit !== 'ms') expect(found).toBeLessThanOrEqual(limit);
    });

  figure(
    'size of the executable',
    'bytes',
    () => 2_500_000,
    () => statSync(bootProgram()).size,
  );
  figure(
    'what it adds to an initramfs, by zstd -19',
    'bytes',
    () => 1_000_000,
    () => compressed([bootProgram()]),
  );
  figure(
    "the same, against a fifth of the original's closure",
    'bytes',
    () => compressed(closure()) / 5,
    () => compressed([bootProgram()]),
  );
  figure(
    "size, against a fifth of the original's closure",
    'bytes',
    () => sizeOf(closure()) / 5,
    () => sizeOf([bootProgram()]),
  );
  figure(
    'lines of C',
    'lines',
    () => 300,
    () => readFileSync(join(CLONE, 'initramfs/sys.c'), 'utf8').split('\n').length - 1,
  );
  figure(
    'mode yes, against the original and 5 ms',
    'ms',
    () => shortest('original') + 5,
    () => shortest('yes'),
  );
  figure(
    'mode signed, to the decision',
    'ms',
    () => 60,
    () => shortest('signed'),
  );
});

function compressed(files: readonly string[]): number {
  const command = bootCommand('zstd', ['-19', '--stdout', '--quiet', ...files]);
  return expectSuccess(run(command), command).length;
}

function sizeOf(files: readonly string[]): number {
  return files.reduce((sum, file) => sum + statSync(file).size, 0);
}

/** The original with every library that the dynamic loader loads for it, and the loader. */
function closure(): string[] {
  const root = bootRoot() as string;
  const original = join(root, 'usr/lib/ostree/ostree-prepare-root');
  const [loader, , , option, libraries] = bootCommand('ostree', []) as string[];
  const command = [loader as string, option as string, libraries as string, '--list', original];
  const listed = [...expectSuccess(run(command), command).matchAll(/(?:=> )?(\/\S+) \(0x/g)];
  return [...new Set([original, ...listed.map((match) => realpathSync(match[1] as string))])];
}

type Way = 'original' | 'yes' | 'signed';

const MODES = { original: 'yes', yes: 'yes', signed: 'signed' } as const;
const times = new Map<Way, number>();

/** Milliseconds of the fastest of some runs, in which original and ours take turns. */
function shortest(way: Way): number {
  const ways: readonly Way[] = way === 'signed' ? ['signed'] : ['original', 'yes'];
  if (!times.has(way)) {
    for (let round = 0; round < ROUNDS; round++) {
      for (const each of ways)
        times.set(each, Math.min(times.get(each) ?? Number.POSITIVE_INFINITY, bootOnce(each)));
    }
  }
  return times.get(way) as number;
}

function bootOnce(way: Way): number {
  const root = bootRoot() as string;
  const which =
    way === 'original'
      ? { program: join(root, 'usr/lib/ostree/ostree-prepare-root'), libraries: root }
      : { program: bootProgram() };
  const files = {
    '/usr/lib/ostree/prepare-root.conf': `[composefs]\nenabled=${MODES[way]}\n`,
    '/etc/ostree/initramfs-root-binding.key': readFileSync(KEY, 'latin1'),
  };
  const { status, stderr, microseconds } = boot({ ...which, disk: disks[MODES[way]], files });
  // On a file system of this stage the decision ends behind the signature, at the image.
  if (way === 'signed') expect(stderr).toMatch(/check: +(?:image in the kernel|objects)/);
  else expect([status, stderr]).toEqual([0, '']);
  return microseconds / 1000;
}
