/**
 * What the compiled program refuses, and how it says so. This stage has no file system with fs-verity, so that a
 * signed boot goes as far as the question for it; the virtual machines go further (test/boot).
 * @module
 */
import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect } from 'vitest';
import { requires } from '../requires.ts';
import { run } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { type Boot, boot, deployedDisk, ostreeArgument } from './in-initramfs.ts';
import {
  BOOT_MESSAGE_ID,
  DEPLOYMENT_MESSAGE_ID,
  REFUSAL_MESSAGE_ID,
  WARNING_MESSAGE_ID,
} from './message-ids.ts';
import { bootProgram } from './program.ts';

const { describe, it } = requires({
  root: true,
  mount: ['overlay', 'erofs', 'tmpfs'],
  program: true,
  programs: ['perl'],
});

const KEYS = fileURLToPath(new URL('../vectors/ostree/keys/', import.meta.url));
const key = (name: string) => readFileSync(`${KEYS}${name}.public`, 'latin1');
const KEY_PATH = '/etc/ostree/initramfs-root-binding.key';
const CONF = '/usr/lib/ostree/prepare-root.conf';
const SEALED = '/usr/lib/sealtree/sealed.conf';
const SIGNED = '[composefs]\nenabled=signed\n';
const NO_VERITY =
  'Failed to mount composefs: composefs: failed to mount: fsverity not enabled on composefs image';

let scratch: string;
let program: string;
beforeAll(() => {
  scratch = scratchDirectory('refusals');
  program = bootProgram();
});
afterAll(() => removeDirectory(scratch));

interface Refusal {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly arguments?: string;
  readonly boot?: Partial<Boot>;
  readonly prepare?: (disk: string, deployment: string) => void;
  /** The first line behind the program's name. */
  readonly message: RegExp | string;
  readonly check: string;
}

const good = { [CONF]: SIGNED, [KEY_PATH]: key('a') };
const sealed = (text: string) => `[keys]\ntrusted=${key('a').trim()}\n${text}`;

const REFUSALS: readonly Refusal[] = [
  {
    name: 'an image without fs-verity',
    files: good,
    message: onThisDisk(NO_VERITY),
    check: 'image in the kernel',
  },
  {
    name: 'another key',
    files: { ...good, [KEY_PATH]: key('wrong') },
    message: 'Failed to mount composefs: Checking commit signature: No valid (of 1) signatures found',
    check: 'signature',
  },
  {
    name: 'no key file',
    files: { [CONF]: SIGNED },
    message: /^Parsing rootfs config: Reading public key file '\/etc\/ostree\/initramfs-root-binding\.key': /,
    check: 'keys',
  },
  {
    name: 'a line in the key file that is no key, behind a good one',
    files: { ...good, [KEY_PATH]: `${key('a')}x\n` },
    message: /line 2: not a public key/,
    check: 'keys',
  },
  {
    name: 'an all-zero key',
    files: { ...good, [KEY_PATH]: `${Buffer.alloc(32).toString('base64')}\n` },
    message: /anyone could sign for it/,
    check: 'keys',
  },
  {
    name: 'a kernel argument that takes the signature away',
    files: good,
    arguments: 'ostree.prepare-root.composefs=0',
    message: /ostree\.prepare-root\.composefs=0/,
    check: 'kernel arguments',
  },
  {
    name: 'a weaker file in /etc',
    files: { ...good, '/etc/ostree/prepare-root.conf': '[etc]\ntransient=true\n' },
    message: /replaces the stricter/,
    check: 'configuration',
  },
  {
    name: 'a commit that was edited',
    files: good,
    prepare: (disk, deployment) => editCommit(disk, deployment),
    message: 'Failed to mount composefs: Checking commit signature: No valid (of 1) signatures found',
    check: 'signature',
  },
  {
    name: 'a commit without a signature',
    files: good,
    prepare: (disk, deployment) => unlinkSync(objectPath(disk, deployment, 'commitmeta')),
    message: /^Failed to mount composefs: No commitmeta for deploy \/sysroot\//,
    check: 'signature',
  },
  {
    name: 'a commit that is a pipe',
    files: good,
    prepare: (disk, deployment) => {
      const path = objectPath(disk, deployment, 'commit');
      unlinkSync(path);
      run(['mkfifo', path]);
    },
    message: /is a special file, expected a file/,
    check: 'signature',
  },
  {
    name: 'a deployment outside of the disk',
    files: good,
    prepare: (disk, deployment) => {
      const moved = join(disk, 'elsewhere');
      renameSync(deployment, moved);
      symlinkSync('/sysroot/elsewhere', deployment);
    },
    message: /leads out of ostree\/deploy/,
    check: 'deployment',
  },
  {
    name: 'a program that was not started from an initramfs',
    files: good,
    boot: { onDisk: true },
    message: /meaningless without an initramfs/,
    check: 'configuration',
  },
  {
    name: 'a mode that is weaker than the sealed one',
    files: { [CONF]: '[composefs]\nenabled=yes\n', [SEALED]: sealed('') },
    message: /weaker than signed/,
    check: 'mode',
  },
  {
    name: 'no configuration in a sealed initramfs',
    files: { [SEALED]: sealed('') },
    message: /no prepare-root\.conf: mode no is weaker than signed/,
    check: 'mode',
  },
  {
    name: 'a sealed file that cannot be followed',
    files: { ...good, [SEALED]: sealed('[sealed]\nmode=signd\n') },
    message: /sealed\.conf/,
    check: 'sealed file',
  },
  {
    name: 'an argument that a sealed file does not list',
    files: { ...good, [SEALED]: sealed('[sealed]\narguments=root=*;rw;ostree=*\n') },
    arguments: 'systemd.mask=ostree-prepare-root.service',
    message: /systemd\.mask=ostree-prepare-root\.service/,
    check: 'kernel arguments',
  },
  {
    name: 'a revoked key',
    files: { ...good, [SEALED]: `[keys]\ntrusted=${key('a').trim()}\nrevoked=${key('a').trim()}\n` },
    message: /revoked/,
    check: 'keys',
  },
];

describe('refused', () => {
  for (const given of REFUSALS) {
    it(given.name, () => {
      const disk = makeDisk('signed', given.prepare);
      const before = everything(disk);
      const cmdline = `root=x rw ${ostreeArgument(disk)} ${given.arguments ?? ''}`.trim();
      const found = boot({ program, disk, files: given.files, cmdline, journal: true, ...given.boot });
      expect(found.status).toBe(1);
      const [first, ...rest] = Buffer.from(found.stderr, 'latin1')
        .toString()
        .trimEnd()
        .split('\n')
        .filter((line) => !line.startsWith('ostree-prepare-root: warning: '));
      const message = first?.slice('ostree-prepare-root: '.length) ?? '';
      if (typeof given.message === 'string') expect(message).toBe(given.message);
      else expect(message).toMatch(given.message);
      // What was to be booted, which check failed, what to do next; expected and found where there are such.
      expect(rest[0]).toMatch(/^ {2}booting: /);
      expect(rest[1]).toBe(`  check:    ${given.check}`);
      expect(rest.at(-1)).toMatch(/^ {2}next: {5}\S/);
      const told = found.journal.find(({ MESSAGE_ID }) => MESSAGE_ID === REFUSAL_MESSAGE_ID);
      expect(told).toMatchObject({ PRIORITY: '3', SYSLOG_IDENTIFIER: 'ostree-prepare-root' });
      expect(told?.MESSAGE).toBe([`boot refused: ${message}`, ...rest].join('\n'));
      const log = found.log.map((line) => Buffer.from(line, 'latin1').toString());
      const logged = log.filter((line) => line.startsWith('<3>'));
      expect(logged).toEqual(told?.MESSAGE?.split('\n').map((line) => `<3>ostree-prepare-root: ${line}`));
      // Nothing is mounted, nothing made, nothing written.
      expect(found.mounts.map((line) => line.split(' ')[2])).toEqual(['/sysroot']);
      expect(found.booted).toBeUndefined();
      expect(found.run.filter((line) => !line.startsWith('systemd'))).toEqual([]);
      expect(everything(disk)).toEqual(before);
      removeDirectory(disk);
    });
  }
});

describe('a boot', () => {
  it('tells kernel and journal what is booted', () => {
    const disk = makeDisk('yes');
    const found = boot({ program, disk, files: { [CONF]: '[composefs]\nenabled=yes\n' }, journal: true });
    expect([found.status, found.stderr]).toEqual([0, '']);
    const deployment = deploymentOf(disk);
    const status = lstatSync(deployment, { bigint: true });
    expect(found.journal.map(({ MESSAGE_ID }) => MESSAGE_ID)).toEqual([
      DEPLOYMENT_MESSAGE_ID,
      BOOT_MESSAGE_ID,
    ]);
    // The fields by which rpm-ostree and others find past boots.
    expect(found.journal[0]).toMatchObject({
      MESSAGE: `Resolved OSTree target to: /sysroot${deployment.slice(disk.length)}`,
      DEPLOYMENT_PATH: deployment.slice(disk.length),
      DEPLOYMENT_DEVICE: String(status.dev),
      DEPLOYMENT_INODE: String(status.ino),
    });
    expect(found.log).toEqual([`<6>ostree-prepare-root: ${found.journal[1]?.MESSAGE}`]);
    expect(found.journal[1]?.MESSAGE).toMatch(
      /^booting golden commit [0-9a-f]{64} .*; mode yes; unsigned: \/ \/etc; /,
    );
  });

  it('warns of what would be refused if it were sealed', () => {
    const disk = makeDisk('yes');
    const found = boot({ program, disk, files: { [CONF]: '[composefs]\nenabled=verity\n' }, journal: true });
    expect(found.status).toBe(0);
    expect(found.stderr).toMatch(/^ostree-prepare-root: warning: \/etc is persistent, .*\n$/);
    expect(found.journal.map(({ MESSAGE_ID }) => MESSAGE_ID)).toContain(WARNING_MESSAGE_ID);
    expect(found.mounts[0]).toContain(',verity=require');
  });

  it('of a sealed initramfs keeps the sealed file for a soft reboot', () => {
    const disk = makeDisk('yes');
    const text = '[sealed]\nmode=yes\n[etc]\nunsigned=allow\n';
    const files = { [CONF]: '[composefs]\nenabled=yes\n', [SEALED]: text };
    const found = boot({ program, disk, files, after: 'cat "$R/run/ostree/sealed.conf"' });
    expect([found.status, found.after]).toEqual([
      0,
      '[sealed]\nmode=yes\nrefusal=poweroff\n\n[etc]\nunsigned=allow\n',
    ]);
  });
});

describe('a soft reboot', () => {
  /** The booted system, with /run and /proc in it, and in it the program once more. */
  const inside = (words: string) => `
    system="$R/sysroot"
    mount --move "$R/run" "$system/run"
    mount -t proc proc "$system/proc"
    echo 'root=x rw' >"$system/run/cmdline"
    mount --bind "$system/run/cmdline" "$system/proc/cmdline"
    mkdir -p "$system/run/program"
    cp "$EXECUTABLE" "$system/run/program/prepare-root"
    target=$(cd "$system" && echo sysroot/ostree/deploy/golden/deploy/*.0)
    chroot "$system" /run/program/prepare-root --soft-reboot ${words} && echo made || echo refused
    grep " $system/run/nextroot" /proc/self/mountinfo || true
    ls "$system/run/ostree"`;

  it('makes the next root ready', () => {
    const disk = makeDisk('yes');
    const files = { [CONF]: '[composefs]\nenabled=yes\n' };
    const found = boot({ program, disk, files, after: inside('"/$target"') });
    const lines = found.after.trim().split('\n');
    expect(lines).toContain('made');
    const mounts = lines.flatMap((line) => {
      const [, , , , path = '', options, , type] = line.split(' ');
      return path.includes('/run/nextroot')
        ? [`${path.replace(/.*(?=\/run\/nextroot)/, '')} ${options} ${type}`]
        : [];
    });
    expect(mounts).toEqual([
      '/run/nextroot ro,relatime overlay',
      expect.stringMatching(/^\/run\/nextroot\/boot /),
      expect.stringMatching(/^\/run\/nextroot\/etc rw,relatime /),
      expect.stringMatching(/^\/run\/nextroot\/sysroot ro,relatime /),
    ]);
    expect(lines).toContain('nextroot-booted');
  });

  it('is held against the sealed file of the boot', () => {
    const disk = makeDisk('yes');
    const files = {
      [CONF]: '[composefs]\nenabled=verity\n',
      [SEALED]: '[sealed]\nmode=verity\n[etc]\nunsigned=allow\n',
    };
    // The target's own configuration says yes, which is less.
    const found = boot({ program, disk, files, after: inside('"/$target"') });
    expect(found.status).toBe(0);
    expect(found.after).toMatch(/mode yes is weaker than verity/);
    expect(found.after).toMatch(/^refused$/m);
    expect(found.after).not.toContain('/run/nextroot');
  });

  it('refuses what is no deployment', () => {
    const disk = makeDisk('yes');
    const found = boot({
      program,
      disk,
      files: { [CONF]: '[composefs]\nenabled=yes\n' },
      after: inside('/usr'),
    });
    expect(found.after).toMatch(/^refused$/m);
    expect(found.after).not.toContain('/run/nextroot');
  });
});

/** A disk without fs-verity, or on a file system that the kernel does not answer for. */
function onThisDisk(message: string): RegExp {
  const quoted = message.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(
    `^(?:${quoted}|the image lies on \\S+, whose fs-verity the kernel does not enforce: .*)$`,
  );
}

let disks = 0;

function makeDisk(
  name: 'yes' | 'signed',
  prepare: (disk: string, deployment: string) => void = () => {},
): string {
  const folder = join(scratch, String(disks++));
  mkdirSync(folder);
  const disk = deployedDisk(folder, name);
  const deployment = deploymentOf(disk);
  run(['chattr', '-i', deployment]);
  prepare(disk, deployment);
  return disk;
}

function deploymentOf(disk: string): string {
  const folder = join(disk, 'ostree/deploy/golden/deploy');
  return join(folder, readdirSync(folder).find((name) => /^[0-9a-f]{64}\.0$/.test(name)) as string);
}

function objectPath(disk: string, deployment: string, type: string): string {
  const checksum = deployment.slice(-66, -2);
  return join(disk, 'ostree/repo/objects', checksum.slice(0, 2), `${checksum.slice(2)}.${type}`);
}

function editCommit(disk: string, deployment: string): void {
  const path = objectPath(disk, deployment, 'commit');
  const data = readFileSync(path);
  const at = data.indexOf('Golden') >= 0 ? data.indexOf('Golden') : data.length - 80;
  data[at] = (data[at] as number) ^ 1;
  unlinkSync(path);
  writeFileSync(path, data);
}

/** Path, type, size, time of change and content of everything on a disk. */
function everything(disk: string): string[] {
  // Without types, readdir would follow symlinks, of which one leads to its own directory.
  const entries = readdirSync(disk, { recursive: true, withFileTypes: true });
  const paths = entries.map(({ parentPath, name }) => join(parentPath, name)).sort();
  return paths.map((path) => {
    const status = lstatSync(path, { bigint: true });
    const content = status.isFile()
      ? createHash('sha256').update(readFileSync(path)).digest('hex')
      : status.isSymbolicLink()
        ? readlinkSync(path)
        : '';
    return [path, status.mode, status.mtimeNs, status.ctimeNs, content].join(' ');
  });
}
