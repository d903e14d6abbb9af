/**
 * The boot program as process 1 of a process namespace: /init of an initramfs, which finds the disk, boots from it and
 * becomes the system's init. Disks are loop devices.
 * @module
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { requires } from '../requires.ts';
import { run } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { deployedDisk, ostreeArgument } from './in-initramfs.ts';
import { bootProgram, compileScript } from './program.ts';

const { describe, it } = requires({
  root: true,
  mount: ['overlay', 'erofs', 'tmpfs'],
  program: true,
  programs: ['mkfs.ext4', 'losetup'],
});

/** What stands for the init of the system: says where it is. */
const INIT = `
  const text = (value) => Uint8Array.from(value + '\\0', (char) => char.charCodeAt(0)).buffer;
  const say = (value) => sys.write(1, Uint8Array.from(value + '\\n', (char) => char.charCodeAt(0)).buffer);
  say('init is process ' + sys.getpid() + ' with ' + (words.length - 1) + ' words');
  for (const path of ['/usr/lib/os-release', '/sysroot/ostree/repo/config', '/proc/self/mountinfo', '/run/ostree-booted', '/dev/null', '/init'])
    say(path + ' ' + (sys.openat(-100, text(path), 0, 0) >= 0 ? 'is there' : 'is not there'));
  sys.succeed(0x5ea17ee5);`;

const UUID = 'd1e5c0de-0000-4000-8000-5ea17ee00001';

let scratch: string;
let image: string;
let argument: string;
beforeAll(() => {
  scratch = scratchDirectory('init');
  const disk = deployedDisk(scratch, 'yes');
  argument = ostreeArgument(disk);
  // The only place of the new root that a test can put a program in.
  renameSync(compileScript(scratch, 'system-init', INIT), join(disk, 'system-init'));
  image = join(scratch, 'disk.ext4');
  run(['truncate', '--size=64M', image]);
  const made = run(['mkfs.ext4', '-q', '-L', 'sealtree-init', '-U', UUID, '-d', disk, image]);
  if (made.status !== 0) throw new Error(made.stderr);
});
afterAll(() => removeDirectory(scratch));

const SCRIPT = `
  set -eu
  R=$WORK/root
  if [ -n "$ONDISK" ]; then mount --bind "$R" "$R"; else mount -t tmpfs tmpfs "$R"; fi
  cp -a "$WORK/files/." "$R/"
  cp "$PROGRAM" "$R/init"
  mkdir -p "$R/proc" "$R/run"
  loop=$(losetup --find --show --read-only "$IMAGE")
  trap 'losetup --detach "$loop"' EXIT
  cmdline=$(printf %s "$CMDLINE" | sed "s#LOOP#$loop#")
  printf '%s\\n' "$cmdline" >"$R/cmdline"
  timeout --signal=KILL "$SECONDS_TO_LIVE" unshare --pid --fork --kill-child sh -euc '
    mount -t proc proc "$0/proc"
    mount --bind "$0/cmdline" "$0/proc/cmdline"
    exec chroot "$0" /init --version another' "$R"
`;

function start(cmdline: string, files: Record<string, string> = {}, seconds = 20, onDisk = false) {
  const work = scratchDirectory('work');
  try {
    mkdirSync(join(work, 'root'));
    mkdirSync(join(work, 'files/usr/lib/ostree'), { recursive: true });
    mkdirSync(join(work, 'files/usr/lib/sealtree'), { recursive: true });
    for (const [path, content] of Object.entries(files)) writeFileSync(join(work, 'files', path), content);
    return run(['unshare', '--mount', '--propagation', 'private', 'bash', '-c', SCRIPT], {
      env: {
        WORK: work,
        PROGRAM: bootProgram(),
        IMAGE: image,
        CMDLINE: cmdline,
        SECONDS_TO_LIVE: String(seconds),
        ONDISK: onDisk ? '1' : '',
      },
    });
  } finally {
    removeDirectory(work);
  }
}

const YES = { '/usr/lib/ostree/prepare-root.conf': '[composefs]\nenabled=yes\n[etc]\ntransient=true\n' };

describe('/init', () => {
  for (const [name, root] of [
    ['a path', 'root=LOOP'],
    ['a label', 'root=LABEL=sealtree-init'],
    ['a UUID', `root=UUID=${UUID.toUpperCase()} rw ro rootfstype=ext4 rootflags=noatime,nodev`],
  ] as const) {
    it(`boots the disk named by ${name}`, () => {
      const found = start(`${root} init=/sysroot/system-init ${argument}`, YES);
      expect(found.stdout.split('\n').slice(-8)).toEqual([
        'init is process 1 with 2 words',
        '/usr/lib/os-release is there',
        '/sysroot/ostree/repo/config is there',
        '/proc/self/mountinfo is there',
        '/run/ostree-booted is there',
        '/dev/null is there',
        '/init is not there',
        '',
      ]);
      expect([found.status, found.stderr]).toEqual([0, '']);
    });
  }

  for (const [name, cmdline, files, message] of [
    ['a disk that does not come', 'root=/dev/none rootdelay=1', YES, 'root=/dev/none did not appear in 1 s'],
    ['no disk', 'quiet', YES, 'no root= on the kernel command line'],
    ['no init', `root=LOOP init=/none`, YES, 'no init: /none'],
    [
      'a refusal',
      'root=LOOP',
      { ...YES, '/usr/lib/sealtree/sealed.conf': '[sealed]\nmode=bogus\n' },
      'sealed.mode: expected',
    ],
    [
      'a module that is none',
      'root=LOOP',
      { ...YES, '/usr/lib/sealtree/modules': '/init\n' },
      'loading /init: ',
    ],
  ] as const) {
    it(`says why it stops, and waits before the power goes off: ${name}`, () => {
      const found = start(`${cmdline} ${argument}`, files, 3);
      expect(found.status).not.toBe(0);
      expect(found.stdout + found.stderr).toContain(message);
      expect(found.stdout).not.toContain('init is process');
    });
  }

  it('does nothing without an initramfs', () => {
    const found = start(`root=LOOP ${argument}`, YES, 3, true);
    expect(found.stderr).toMatch(/^ostree-prepare-root: process 1 needs an initramfs: .*meaningless/);
    expect(found.status).not.toBe(0);
  });
});
