import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { directory, file, gzip, padded, symlink, TRAILER } from '../initramfs/newc.ts';
import { sealtree, sealtreeOk } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const OWN = '\x7fELF sealtree ostree-prepare-root 9.8.7\n and the rest';
const ORIGINAL = '\x7fELF usage: ostree-prepare-root SYSROOT [KERNEL_CMDLINE]\n';
const UNITS = 'usr/lib/systemd/system';
const PROGRAM = 'usr/lib/ostree/ostree-prepare-root';

/** What systemd itself has in an initramfs, as far as it matters here. */
const SYSTEMD = {
  [`${UNITS}/initrd-root-fs.target`]: '[Unit]\nOnFailure=emergency.target\n',
  [`${UNITS}/initrd-switch-root.service`]: '[Service]\nExecStart=systemctl --no-block switch-root\n',
  [`${UNITS}/emergency.service`]: '[Service]\nExecStart=-/usr/lib/systemd/systemd-sulogin-shell emergency\n',
};

let scratch: string;
let key: string;

beforeEach(() => {
  scratch = scratchDirectory('inspect');
  key = sealtreeOk(['keys', 'generate', 'build'], { cwd: scratch }).split(' ')[0] as string;
  writeFileSync(join(scratch, 'program'), OWN, 'latin1');
});
afterEach(() => removeDirectory(scratch));

type Files = Record<string, string>;

/** Directories and files as members, a link for a text that begins with an arrow. */
function archive(files: Files): Buffer {
  const folders = new Set<string>();
  for (const path of Object.keys(files)) {
    const parts = path.split('/');
    for (let depth = 1; depth < parts.length; depth++) folders.add(parts.slice(0, depth).join('/'));
  }
  return Buffer.concat([
    ...[...folders].sort().map((path) => directory(path)),
    ...Object.entries(files).map(([path, text]) =>
      text.startsWith('-> ') ? symlink(path, text.slice(3)) : file(path, text),
    ),
    TRAILER,
  ]);
}

/** The files that a generator would put into an initramfs made from a tree with an install in it. */
function installed(...args: string[]): Files {
  const root = join(scratch, 'root');
  mkdirSync(root, { recursive: true });
  sealtreeOk(['initramfs', 'install', `--root=${root}`, '--program=program', ...args], { cwd: scratch });
  const text = (path: string) => readFileSync(join(root, path), 'latin1');
  const units = join(root, 'usr/lib/sealtree/systemd');
  const listed = text('usr/lib/sealtree/initramfs.files').split('\n');
  const files: Files = { ...SYSTEMD, [PROGRAM]: text('usr/lib/sealtree/ostree-prepare-root') };
  for (const path of readdirSync(units, { recursive: true, encoding: 'utf8' })) {
    if (statSync(join(units, path)).isFile())
      files[`${UNITS}/${path}`] = text(`usr/lib/sealtree/systemd/${path}`);
  }
  for (const line of listed) {
    const path = line.replace(/^-?\//, '');
    if (path !== '' && statSync(join(root, path), { throwIfNoEntry: false }) !== undefined)
      files[path] = text(path);
  }
  return files;
}

const sealed = () => installed('--key=build.public', '--sealed');

function inspect(image: Uint8Array, ...args: string[]) {
  writeFileSync(join(scratch, 'image'), image);
  return sealtree(['initramfs', 'inspect', 'image', ...args], { cwd: scratch });
}

interface Found {
  readonly [member: string]: unknown;
  readonly starts: readonly Record<string, unknown>[];
  readonly warnings: readonly string[];
}

function found(image: Uint8Array, ...args: string[]): Found[] {
  const ran = inspect(image, '--json', ...args);
  expect(ran).toMatchObject({ status: 0, stderr: '' });
  const { format, initramfs } = JSON.parse(ran.stdout) as { format: string; initramfs: Found[] };
  expect(format).toBe('sealtree-initramfs-1');
  return initramfs;
}

const one = (files: Files, ...args: string[]) => found(archive(files), ...args)[0] as Found;

describe('initramfs inspect', () => {
  it('says what a sealed initramfs enforces', () => {
    const image = Buffer.concat([
      padded(archive({ 'kernel/x86/microcode/GenuineIntel.bin': 'm' }), 512),
      gzip(archive(sealed())),
    ]);
    const ran = inspect(image);
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    expect(ran.stdout.split('\n').map((line) => line.replace(/\d+ bytes/g, 'N bytes'))).toEqual([
      'archive         cpio at 0, N bytes, 4 members',
      expect.stringMatching(/^archive {9}gzip at \d+, N bytes, N bytes decompressed, \d+ members$/),
      'program         sealtree 9.8.7, /usr/lib/ostree/ostree-prepare-root, N bytes',
      'started by      systemd: /usr/lib/systemd/system/ostree-prepare-root.service, by initrd-root-fs.target, initrd-switch-root.service',
      'sealed          at least mode signed, then poweroff',
      'configuration   /usr/lib/ostree/prepare-root.conf: mode signed, /etc transient',
      `key             ${key}  /usr/lib/sealtree/sealed.conf`,
      `key             ${key}  /etc/ostree/initramfs-root-binding.key, does not count`,
      '',
    ]);
  });

  it('says the same as JSON, with every member', () => {
    const first = one(sealed());
    expect(first).toMatchObject({
      section: null,
      program: { kind: 'sealtree', version: '9.8.7' },
      sealed: true,
      refusal: 'poweroff',
      minimumMode: 'signed',
      mode: 'signed',
      etcTransient: true,
      allowedArguments: null,
      refusesAll: null,
      warnings: [],
      starts: [
        {
          by: 'systemd',
          enabled: true,
          masked: false,
          conditions: [],
          skippingLeadsOn: false,
          maskingLeadsOn: false,
          shell: false,
        },
      ],
    });
    expect(Object.keys(first)).toEqual([
      'section',
      'cmdline',
      'archives',
      'program',
      'starts',
      'sealed',
      'refusal',
      'allowedArguments',
      'configuration',
      'replaced',
      'mode',
      'minimumMode',
      'etcTransient',
      'rootTransient',
      'keySources',
      'revokedKeys',
      'minimumTimestamp',
      'requiredMetadata',
      'refusesAll',
      'warnings',
    ]);
  });

  it('lists limits, revoked keys and what the file allows', () => {
    sealtreeOk(['keys', 'generate', 'old'], { cwd: scratch });
    const files = installed(
      '--key=build.public',
      '--key=old.public',
      '--sealed',
      '--revoked=old.public',
      '--arguments=root=* quiet',
      '--minimum-timestamp=2026-01-01T00:00:00Z',
      '--require-metadata=version=7',
      '--etc-unsigned=allow',
      '--refusal=shell',
    );
    const lines = inspect(archive(files)).stdout.split('\n');
    expect(lines).toContain(
      'sealed          at least mode signed, then shell, kernel arguments root=* quiet',
    );
    expect(lines).toContain('not older than  2026-01-01T00:00:00.000Z (1767225600)');
    expect(lines).toContain('must say        version=7');
    expect(lines.filter((line) => line.startsWith('revoked key'))).toHaveLength(1);
    expect(lines).toContain('warning         /etc is persistent and unsigned, which the sealed file allows');
    expect(lines).toContain('warning         a boot that fails ends in a shell');
  });

  it('says under which condition a drop-in is passed over', () => {
    const first = one(installed('--key=build.public'));
    expect(first).toMatchObject({ sealed: false, mode: 'signed', minimumMode: null });
    expect(first.starts[0]).toMatchObject({
      conditions: ['ConditionKernelCommandLine=ostree'],
      skippingLeadsOn: true,
      maskingLeadsOn: true,
    });
    expect(first.warnings).toContain(
      'without ConditionKernelCommandLine=ostree the unit is passed over, and the system is started unverified',
    );
  });

  it.each<{ name: string; change: Files; says: Record<string, unknown>; warns?: RegExp }>([
    {
      name: 'a configuration in /etc that replaces a stricter one',
      change: { 'etc/ostree/prepare-root.conf': '[etc]\ntransient=true\n' },
      says: {
        replaced: '/usr/lib/ostree/prepare-root.conf',
        mode: 'no',
        refusesAll:
          '/etc/ostree/prepare-root.conf replaces the stricter /usr/lib/ostree/prepare-root.conf as a whole: composefs.enabled=no in place of composefs.enabled=signed',
      },
    },
    {
      name: 'a persistent /etc',
      change: { 'usr/lib/ostree/prepare-root.conf': '[composefs]\nenabled=signed\n' },
      says: { etcTransient: false, refusesAll: expect.stringContaining('/etc is persistent') },
    },
    {
      name: 'a sealed file that cannot be followed',
      change: { 'usr/lib/sealtree/sealed.conf': '[sealed]\nmod=signed\n' },
      says: {
        sealed: true,
        minimumMode: null,
        refusesAll: '/usr/lib/sealtree/sealed.conf: sealed.mod means nothing',
      },
    },
    {
      name: 'a sealed file that is a directory',
      change: { 'usr/lib/sealtree/sealed.conf': '-> /usr' },
      says: { sealed: true, refusesAll: '/usr/lib/sealtree/sealed.conf: Is a directory' },
    },
    {
      name: 'a key file with a line that is no key',
      change: { 'etc/ostree/initramfs-root-binding.key': 'abc\n' },
      says: {
        keySources: [
          expect.anything(),
          {
            path: '/etc/ostree/initramfs-root-binding.key',
            keys: [],
            counts: false,
            problem: expect.stringContaining('line 1: not a public key'),
          },
        ],
      },
    },
    {
      name: 'a unit that is masked',
      change: { 'etc/systemd/system/ostree-prepare-root.service': '-> /dev/null' },
      says: { starts: [expect.objectContaining({ masked: true, maskingLeadsOn: false })] },
      warns: /^ostree-prepare-root.service is masked: it is never started$/,
    },
    {
      name: 'a condition of a drop-in',
      change: {
        'etc/systemd/system/ostree-prepare-root.service.d/x.conf': '[Unit]\nConditionPathExists=/nowhere\n',
      },
      says: {
        starts: [
          expect.objectContaining({ conditions: ['ConditionPathExists=/nowhere'], skippingLeadsOn: false }),
        ],
      },
    },
    {
      name: 'a gate that was opened',
      change: {
        [`${UNITS}/initrd-root-fs.target.d/sealtree.conf`]: '[Unit]\nWants=ostree-prepare-root.service\n',
        [`${UNITS}/initrd-switch-root.service.d/sealtree.conf`]: '[Unit]\n',
      },
      says: { starts: [expect.objectContaining({ maskingLeadsOn: true })] },
      warns: /^systemd.mask= of the unit on the kernel command line leads on, unverified$/,
    },
    {
      name: 'an emergency shell',
      change: { [`${UNITS}/emergency.service.d/sealtree.conf`]: '[Unit]\n' },
      says: { starts: [expect.objectContaining({ shell: true })] },
      warns: /^a boot that fails ends in a shell$/,
    },
    {
      name: "ostree's own program",
      change: { [PROGRAM]: ORIGINAL },
      says: { program: expect.objectContaining({ kind: 'ostree', version: null }) },
      warns: /^the program is ostree's own: /,
    },
    {
      name: 'another program',
      change: { [PROGRAM]: '#!/bin/true\n' },
      says: { program: expect.objectContaining({ kind: 'other' }) },
      warns: /^\/usr\/lib\/ostree\/ostree-prepare-root is neither sealtree's program nor ostree's/,
    },
    {
      name: 'no program',
      change: { [PROGRAM]: '-> /dev/null' },
      says: { program: null },
      warns: /^nothing is enforced: there is no \/usr\/lib\/ostree\/ostree-prepare-root$/,
    },
  ])('notices $name, also when a later archive brings it', ({ change, says, warns }) => {
    const files = sealed();
    const [first] = found(Buffer.concat([archive(files), archive(change)]));
    expect(first).toMatchObject(says);
    if (warns !== undefined) expect(first?.warnings).toContainEqual(expect.stringMatching(warns));
    expect(one({ ...files, ...change })).toMatchObject(says);
  });

  it('says what an initramfs without any of it enforces: nothing', () => {
    expect(inspect(archive(SYSTEMD)).stdout.split('\n').slice(1)).toEqual([
      'program         none',
      'sealed          no',
      'configuration   defaults: mode no',
      'warning         nothing is enforced: there is no /usr/lib/ostree/ostree-prepare-root',
      '',
    ]);
    const idle = one({ ...SYSTEMD, [PROGRAM]: OWN });
    expect(idle.warnings).toEqual(['nothing is enforced: nothing starts the program']);
  });

  it('knows the scripts of initramfs-tools and mkinitcpio, and /init', () => {
    const script = '#!/bin/sh\n/usr/lib/ostree/ostree-prepare-root "$rootmnt"\n';
    const tools = { [PROGRAM]: OWN, 'scripts/init-bottom/sealtree': script };
    expect(
      one({ ...tools, 'scripts/init-bottom/ORDER': '/scripts/init-bottom/sealtree "$@"\n' }).starts,
    ).toMatchObject([
      { by: 'initramfs-tools', path: '/scripts/init-bottom/sealtree', enabled: true, shell: true },
    ]);
    expect(
      one({ ...tools, 'scripts/init-bottom/ORDER': '/scripts/init-bottom/udev "$@"\n' }).starts,
    ).toMatchObject([{ enabled: false }]);
    const mkinitcpio = { [PROGRAM]: OWN, 'hooks/sealtree': script };
    expect(one({ ...mkinitcpio, config: 'LATEHOOKS="sealtree"\n' }).starts).toMatchObject([
      { by: 'mkinitcpio', enabled: true },
    ]);
    expect(one({ ...mkinitcpio, config: 'LATEHOOKS="other"\n' }).starts).toMatchObject([{ enabled: false }]);
    expect(one({ [PROGRAM]: OWN, init: `-> ${PROGRAM}` }).starts).toMatchObject([
      { by: 'init', path: '/init' },
    ]);
    expect(one({ init: OWN })).toMatchObject({
      program: { kind: 'sealtree', path: '/init' },
      starts: [{ by: 'init', shell: false }],
      warnings: [],
    });
  });

  it('takes kernel arguments into account', () => {
    const [first] = found(archive(sealed()), '--cmdline=quiet ostree.prepare-root.composefs=no');
    expect(first?.refusesAll).toContain('ostree.prepare-root.composefs=no');
    expect(
      found(archive(installed('--mode=yes', '--force')), '--cmdline=ostree.prepare-root.composefs=maybe')[0],
    ).toMatchObject({ mode: 'maybe' });
  });

  it('reads every initramfs of a unified kernel image, with its arguments', () => {
    const files = sealed();
    const image = uki([
      ['.linux', Buffer.from('kernel')],
      ['.cmdline', Buffer.from('quiet rw\0')],
      ['.initrd', gzip(archive(files))],
      ['.profile', Buffer.from('ID=a')],
      ['.cmdline', Buffer.from('systemd.mask=ostree-prepare-root.service')],
      ['.profile', Buffer.from('ID=b')],
      ['.initrd', archive(SYSTEMD)],
    ]);
    expect(
      found(image).map(({ section, cmdline, sealed: isSealed }) => [section, cmdline, isSealed]),
    ).toEqual([
      ['.initrd', 'quiet rw', true],
      ['.initrd of profile 2', 'quiet rw', false],
      ['.initrd with profile 1', 'systemd.mask=ostree-prepare-root.service', true],
    ]);
    expect(found(image)[2]?.refusesAll).toContain('systemd.mask=ostree-prepare-root.service');
    expect(inspect(image.subarray(0, 300))).toMatchObject({
      status: 4,
      stderr: expect.stringMatching(/^sealtree: image: the executable ends before \d+\n$/),
    });
    expect(inspect(uki([['.linux', Buffer.from('kernel')]]))).toMatchObject({
      status: 4,
      stderr: 'sealtree: image: a PE executable without a section .initrd\n',
    });
  });

  it('refuses what is no image', () => {
    expect(inspect(Buffer.from('hello'))).toMatchObject({
      status: 4,
      stderr: 'sealtree: image: at 0: neither a cpio archive nor a compression that the kernel knows\n',
    });
    expect(sealtree(['initramfs', 'inspect', 'nowhere'], { cwd: scratch })).toMatchObject({ status: 5 });
    expect(sealtree(['initramfs', 'inspect', '.'], { cwd: scratch })).toMatchObject({
      status: 7,
      stderr: 'sealtree: .: Is a directory\n',
    });
    expect(sealtree(['initramfs', 'inspect'], { cwd: scratch }).status).toBe(2);
  });
});

/** A PE executable of which only what a boot loader reads is there. */
function uki(sections: readonly [name: string, data: Buffer][]): Buffer {
  const head = Buffer.alloc(64 + 24 + sections.length * 40);
  head.write('MZ');
  head.writeUInt32LE(64, 0x3c);
  head.write('PE\0\0', 64);
  head.writeUInt16LE(sections.length, 64 + 6);
  const chunks: Buffer[] = [head];
  let at = head.length;
  sections.forEach(([name, data], index) => {
    const entry = 64 + 24 + index * 40;
    const raw = padded(data, 512);
    head.write(name, entry);
    head.writeUInt32LE(data.length, entry + 8);
    head.writeUInt32LE(raw.length, entry + 16);
    head.writeUInt32LE(at, entry + 20);
    chunks.push(raw);
    at += raw.length;
  });
  return Buffer.concat(chunks);
}
