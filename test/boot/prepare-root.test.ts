/**
 * The boot program beside the real ostree-prepare-root of Debian testing, on the host's kernel: the same disks and
 * configurations, and then the same output, status, mounts and files below /run.
 * @module
 */
import { mkdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { type Boot, type Booted, boot, deployedDisk, ostreeArgument } from '../initramfs/in-initramfs.ts';
import { bootProgram } from '../initramfs/program.ts';
import { requires } from '../requires.ts';
import { run } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { bootRoot } from './root.ts';

const { describe, it } = requires({
  root: true,
  boot: true,
  program: true,
  mount: ['overlay', 'erofs', 'tmpfs'],
});

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('prepare-root');
});
afterAll(() => removeDirectory(scratch));

interface Case {
  readonly name: string;
  readonly usr?: string;
  readonly etc?: string;
  readonly arguments?: string;
  readonly boot?: Partial<Boot>;
  /** What is done to the disk first. */
  readonly prepare?: (disk: string, deployment: string) => void;
}

const YES = '[composefs]\nenabled=yes\n';

/** Same in all; what the real program says in stderr comes first in ours. */
const CASES: readonly Case[] = [
  { name: 'no configuration' },
  { name: 'yes', usr: YES },
  { name: 'yes, spelled 1', usr: '[composefs]\nenabled=1\n' },
  { name: 'yes, said in /etc', usr: '[composefs]\nenabled=no\n', etc: YES },
  { name: 'no', usr: '[composefs]\nenabled=no\n' },
  { name: 'no, read-only', usr: '[composefs]\nenabled=no\n[sysroot]\nreadonly=true\n' },
  { name: 'no, read-only by the repository', prepare: (disk) => legacyReadonly(disk) },
  { name: 'maybe, with an image', usr: '[composefs]\nenabled=maybe\n' },
  {
    name: 'maybe, without an image',
    usr: '[composefs]\nenabled=maybe\n',
    prepare: (_, d) => unlinkSync(join(d, '.ostree.cfs')),
  },
  { name: 'yes, without an image', usr: YES, prepare: (_, d) => unlinkSync(join(d, '.ostree.cfs')) },
  { name: 'yes, with an image of nothing', usr: YES, prepare: (_, d) => emptyImage(d) },
  { name: 'verity', usr: '[composefs]\nenabled=verity\n' },
  { name: 'sysroot that stays writable', usr: `${YES}[sysroot]\nreadonly=false\n` },
  { name: 'transient /etc', usr: `${YES}[etc]\ntransient=true\n` },
  { name: 'transient root', usr: `${YES}[root]\ntransient=true\n` },
  { name: 'transient root, read-only', usr: `${YES}[root]\ntransient-ro=true\n` },
  { name: 'transient root and /etc', usr: `${YES}[root]\ntransient=true\n[etc]\ntransient=true\n` },
  { name: 'transient root in two ways', usr: `${YES}[root]\ntransient=true\ntransient-ro=true\n` },
  { name: 'transient root without an image', usr: '[root]\ntransient=true\n' },
  { name: 'hotfix', usr: YES, prepare: (_, d) => hotfix(d) },
  { name: 'hotfix without an image', prepare: (_, d) => hotfix(d) },
  {
    name: 'hotfix on a disk that is read-only',
    usr: YES,
    prepare: (_, d) => hotfix(d),
    boot: { readonly: true },
  },
  { name: 'a disk that is mounted read-only', usr: YES, boot: { readonly: true } },
  { name: 'composefs by a kernel argument', arguments: 'ostree.prepare-root.composefs=yes' },
  {
    name: 'composefs taken away by a kernel argument',
    usr: YES,
    arguments: 'ostree.prepare-root.composefs=0',
  },
  { name: 'maybe by a kernel argument', usr: YES, arguments: 'ostree.prepare-root.composefs=maybe' },
  { name: 'a kernel argument without meaning', usr: YES, arguments: 'ostree.prepare-root.composefs=verity' },
  { name: 'a mode without meaning', usr: '[composefs]\nenabled=bogus\n' },
  { name: 'a configuration that is none', usr: 'enabled=yes\n' },
  { name: 'no deployment named', usr: YES, boot: { cmdline: 'root=x rw' } },
  { name: 'a deployment that is not there', usr: YES, boot: { cmdline: 'ostree=/ostree/boot.0/none/0' } },
  {
    name: 'Android, slot a',
    usr: YES,
    boot: { cmdline: 'androidboot.slot_suffix=_a' },
    prepare: (disk) => slots(disk),
  },
  {
    name: 'Android, slot b',
    usr: YES,
    boot: { cmdline: 'androidboot.slot_suffix=_b x' },
    prepare: (disk) => slots(disk),
  },
  {
    name: 'Android without a slot',
    usr: YES,
    boot: { cmdline: 'androidboot.x=1' },
    prepare: (disk) => slots(disk),
  },
  {
    name: 'Android, a slot that is none',
    usr: YES,
    boot: { cmdline: 'androidboot.slot_suffix=_c' },
    prepare: (disk) => slots(disk),
  },
  { name: 'a second start', usr: YES, boot: { before: 'mkdir "$R/run/ostree"' } },
  { name: '/etc that is missing', usr: YES, prepare: (_, d) => rmSync(join(d, 'etc'), { recursive: true }) },
  { name: 'a device of gpt-auto-root', usr: YES, boot: { before: 'mknod "$R/dev/gpt-auto-root" b 7 99' } },
  {
    name: 'volatile-root that is there',
    usr: YES,
    boot: { before: 'mkdir "$R/run/systemd"; ln -s x "$R/run/systemd/volatile-root"' },
  },
];

describe('as ostree-prepare-root', () => {
  for (const given of CASES) {
    it(given.name, () => {
      const [real, ours] = both(given);
      expect(ours.status).toBe(real.status);
      expect(ours.mounts).toEqual(real.mounts);
      expect(ours.booted).toBe(real.booted);
      expect(firstLine(ours.stderr)).toBe(firstLine(real.stderr));
      if (real.status === 0) {
        expect(ours.stdout).toBe(real.stdout);
        expect(warningsRemoved(ours.stderr)).toEqual(warningsRemoved(real.stderr));
        expect(ours.run).toEqual(real.run);
      } else expect(real.stdout.startsWith(ours.stdout) || ours.stdout.startsWith(real.stdout)).toBe(true);
    });
  }
});

/** Each on a disk of its own, so that nothing that one did shows in the other. */
function both(given: Case): [Booted, Booted] {
  const libraries = bootRoot() as string;
  const real = join(libraries, 'usr/lib/ostree/ostree-prepare-root');
  const results = [{ program: real, libraries }, { program: bootProgram() }].map((which) => {
    const folder = scratchDirectory('disk');
    try {
      const disk = deployedDisk(folder, 'yes');
      const found = run([
        'find',
        join(disk, 'ostree/deploy/golden/deploy'),
        '-mindepth',
        '1',
        '-maxdepth',
        '1',
        '-type',
        'd',
      ]);
      run(['chattr', '-i', found.stdout.trim()]);
      given.prepare?.(disk, found.stdout.trim());
      const files = {
        ...(given.usr === undefined ? {} : { '/usr/lib/ostree/prepare-root.conf': given.usr }),
        ...(given.etc === undefined ? {} : { '/etc/ostree/prepare-root.conf': given.etc }),
      };
      const cmdline = `root=x rw ${ostreeArgument(disk)} ${given.arguments ?? ''}`;
      const booted = boot({ ...which, disk, files, cmdline, ...given.boot });
      // The directory of the disk is another one each time.
      const named = (text: string) => text.replaceAll(folder, '/DISK');
      return { ...booted, mounts: booted.mounts.map(named) };
    } finally {
      removeDirectory(folder);
    }
  });
  return results as unknown as [Booted, Booted];
}

/** Where a configuration is wrong only ours says. */
function firstLine(stderr: string): string | undefined {
  return warningsRemoved(stderr)[0]?.replace(/ \/usr\/lib\/ostree\/prepare-root\.conf: line \d+:/, '');
}

function warningsRemoved(stderr: string): string[] {
  return stderr.split('\n').filter((line) => !line.startsWith('ostree-prepare-root: warning: '));
}

function legacyReadonly(disk: string): void {
  writeFileSync(join(disk, 'ostree/repo/config'), '\n[sysroot]\nreadonly=true\n', { flag: 'a' });
}

function emptyImage(deployment: string): void {
  unlinkSync(join(deployment, '.ostree.cfs'));
  writeFileSync(join(deployment, '.ostree.cfs'), Buffer.alloc(8192));
}

function hotfix(deployment: string): void {
  mkdirSync(join(deployment, '.usr-ovl-work'));
  mkdirSync(join(deployment, '.usr-ovl-upper'));
}

function slots(disk: string): void {
  const link = run([
    'readlink',
    '-f',
    join(disk, ostreeArgument(disk).slice('ostree='.length)),
  ]).stdout.trim();
  for (const slot of ['a', 'b'])
    symlinkSync(link.slice(disk.length + '/ostree/'.length), join(disk, `ostree/root.${slot}`));
}
