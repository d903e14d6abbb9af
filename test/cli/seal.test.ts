/** `sealtree seal` with the minimal initramfs, for which nothing but the tool is needed. That it boots: test/boot. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sealtree, sealtreeOk, startSealtree } from '../run.ts';

const VERSION = '6.12-test';
const MODULES = `usr/lib/modules/${VERSION}`;
/** Stands for the boot program, which is known by its name and version in it. */
const PROGRAM = 'program';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtree-seal-'));
  put(PROGRAM, '\x7fELF sealtree ostree-prepare-root 0.1.0');
  put('tree/boot/vmlinuz-6.12-test', 'kernel');
  put('tree/etc/hostname', 'host');
  put('tree/tmp/rubbish', '');
  put('tree/usr/lib/os-release', 'ID=x\n');
  put('tree/usr/lib/systemd/system/systemd-sysext.service', '');
  put(
    `tree/${MODULES}/modules.dep`,
    'kernel/fs/ext4.ko.gz: kernel/fs/jbd2.ko kernel/crc16.ko\nkernel/fs/jbd2.ko:\nkernel/crc16.ko:\nkernel/own.ko: kernel/crc16.ko\n',
  );
  put(`tree/${MODULES}/kernel/fs/ext4.ko.gz`, gzipSync('ext4'));
  put(`tree/${MODULES}/kernel/fs/jbd2.ko`, 'jbd2');
  put(`tree/${MODULES}/kernel/crc16.ko`, 'crc16');
  put(`tree/${MODULES}/kernel/own.ko`, 'own');
});

afterEach(() => rmSync(folder, { recursive: true }));

function put(path: string, data: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), data);
}

function seal(...words: string[]) {
  const env = { SOURCE_DATE_EPOCH: '1700000000' };
  return sealtree(['seal', `--program=${PROGRAM}`, '--output=out', ...words, 'tree'], { cwd: folder, env });
}

function cat(path: string): string {
  return sealtreeOk(['cat', '--repo=out/repo', 'os', path], { cwd: folder });
}

describe('seal', () => {
  it('makes a commit that its own initramfs boots, and leaves the tree as it is', () => {
    const before = readdirSync(join(folder, 'tree'), { recursive: true }).sort();
    const ran = seal('--json', '--karg=rw');
    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: '' });
    const facts = JSON.parse(ran.stdout);
    expect(facts).toMatchObject({ branch: 'os', kernel: VERSION, initramfs: 'minimal', warnings: [] });
    expect(facts.unsigned).not.toContain('/etc');
    expect(readdirSync(join(folder, 'tree'), { recursive: true }).sort()).toEqual(before);
    // Neither a copy of the tree nor a secret is left.
    expect(readdirSync(join(folder, 'out')).sort()).toEqual(['initramfs-root-binding.key', 'repo']);
    const key = '--keys-file=out/initramfs-root-binding.key';
    expect(sealtreeOk(['verify', '--repo=out/repo', key, 'os'], { cwd: folder })).toContain('\nvalid\n');
    expect(cat('/usr/lib/ostree/prepare-root.conf')).toContain('enabled=signed\n\n[etc]\ntransient=true\n');
    const shown = sealtreeOk(['show', '--repo=out/repo', '--print-metadata-key=ostree.linux', 'os'], {
      cwd: folder,
    });
    expect(shown).toBe(`'${VERSION}'\n`);
  });

  it('brings the tree into the form that is deployed', () => {
    expect(seal().status).toBe(0);
    const list = sealtreeOk(['ls', '--repo=out/repo', '-R', 'os'], { cwd: folder });
    const names = [...list.matchAll(/ (\/\S*)(?: -> (\S+))?$/gm)].map(
      ([, name, target]) => `${name}${target ? ` -> ${target}` : ''}`,
    );
    expect(names).toContain('/usr/etc/hostname');
    expect(names).toContain('/ostree -> sysroot/ostree');
    expect(names).toContain(`/${MODULES}/vmlinuz`);
    expect(names).toContain('/usr/etc/systemd/system/systemd-sysext.service -> /dev/null');
    expect(names.filter((name) => /^\/(etc|boot|tmp)\b/.test(name))).toEqual(['/boot', '/tmp']);
  });

  it('loads the modules on the way to the disk, those needed by others first', () => {
    expect(seal('--module=own').status).toBe(0);
    writeFileSync(join(folder, 'image'), Buffer.from(cat(`/${MODULES}/initramfs.img`), 'latin1'));
    const inspected = sealtreeOk(['initramfs', 'inspect', 'image'], { cwd: folder });
    expect(inspected).toMatch(/^started by +the kernel: \/init, by the kernel$/m);
    expect(inspected).toMatch(/^sealed +at least mode signed, then poweroff$/m);
    const archive = gunzipSync(readFileSync(join(folder, 'image'))).toString('latin1');
    const paths = ['crc16', 'fs/jbd2', 'fs/ext4', 'own'].map((name) => `/${MODULES}/kernel/${name}.ko\n`);
    expect(archive).toContain(paths.join(''));
  });

  it('adds program and policy to an initramfs that is there', () => {
    expect(seal().status).toBe(0);
    const image = Buffer.from(cat(`/${MODULES}/initramfs.img`), 'latin1');
    writeFileSync(join(folder, 'image'), image);
    const ran = seal('--initramfs=image', '--json');
    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: '' });
    const now = Buffer.from(cat(`/${MODULES}/initramfs.img`), 'latin1');
    expect(now.subarray(0, image.length).equals(image)).toBe(true);
    writeFileSync(join(folder, 'image'), now);
    const inspected = sealtreeOk(['initramfs', 'inspect', 'image'], { cwd: folder });
    expect(inspected).toContain(
      `key             ${JSON.parse(ran.stdout).publicKey}  /usr/lib/sealtree/sealed.conf\n`,
    );
  });

  it('leaves nothing behind when it is ended', async () => {
    put('tree/usr/bin/dracut', '');
    const child = startSealtree(['seal', `--program=${PROGRAM}`, '--output=out', 'tree'], { cwd: folder });
    const copies = () =>
      (existsSync(join(folder, 'out')) ? readdirSync(join(folder, 'out')) : []).filter((name) =>
        name.startsWith('.'),
      );
    while (copies().length === 0 && child.exitCode === null) await setTimeout(2);
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(copies()).toEqual([]);
  });

  it('seals the tree in place where it is asked to, and once more over that', () => {
    expect(seal('--in-place').status).toBe(0);
    const first = readFileSync(join(folder, 'out/initramfs-root-binding.key'), 'utf8');
    expect(existsSync(join(folder, 'tree/usr/etc/hostname'))).toBe(true);
    const again = seal('--in-place');
    expect({ status: again.status, stderr: again.stderr }).toEqual({ status: 0, stderr: '' });
    expect(readFileSync(join(folder, 'out/initramfs-root-binding.key'), 'utf8')).not.toBe(first);
  });

  it.each([
    {
      what: 'two kernels',
      change: () => put('tree/usr/lib/modules/6.13/vmlinuz', 'kernel'),
      also: true,
      message: /several kernels: 6\.12-test, 6\.13$/,
    },
    {
      what: 'no kernel',
      change: () => rmSync(join(folder, 'tree/boot'), { recursive: true }),
      message:
        /expected a kernel in usr\/lib\/modules\/VERSION\/vmlinuz or boot\/vmlinuz-VERSION, found none$/,
    },
    {
      what: 'no modules.dep',
      change: () => rmSync(join(folder, 'tree', MODULES, 'modules.dep')),
      message: /modules\.dep: No such file or directory: run depmod on the tree$/,
    },
    {
      what: 'both kinds of /etc',
      change: () => put('tree/usr/etc/x', ''),
      message: /has both \/etc and \/usr\/etc, of which one should be empty$/,
    },
  ])('refuses a tree with $what, and leaves no branch', ({ change, also, message }) => {
    if (also) put(`tree/${MODULES}/vmlinuz`, 'kernel');
    change();
    const ran = seal();
    expect(ran.status).not.toBe(0);
    expect(ran.stderr.trimEnd()).toMatch(message);
    expect(sealtreeOk(['refs', '--repo=out/repo'], { cwd: folder })).toBe('');
    expect(readdirSync(join(folder, 'out')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it.each([
    { words: ['--generator=dracut'], status: 5, message: /: has no dracut$/ },
    {
      words: ['--generator=other'],
      status: 2,
      message: /expected dracut, mkinitramfs, mkinitcpio, minimal, found 'other'$/,
    },
    { words: ['--module=nosuch'], status: 5, message: /: no module nosuch$/ },
    {
      words: ['--secure-boot-key=k', '--certificate=c'],
      status: 2,
      message: /means something only with --uki$/,
    },
    { words: ['--initramfs=tree/etc/hostname'], status: 4, message: /./ },
    {
      words: ['--karg=systemd.unit=rescue.target', '--arguments=rw'],
      status: 3,
      message: /: kernel argument systemd\.unit=rescue\.target is not one that the sealed file allows$/,
    },
  ])('refuses $words', ({ words, status, message }) => {
    const ran = seal(...words);
    expect({ status: ran.status, stderr: ran.stderr.trimEnd() }).toEqual({
      status,
      stderr: expect.stringMatching(message),
    });
  });

  it('says what to install where ukify is missing', () => {
    const path = join(folder, 'path');
    mkdirSync(path);
    symlinkSync(process.execPath, join(path, 'node'));
    const ran = sealtree(['seal', `--program=${PROGRAM}`, '--output=out', '--uki=os.efi', 'tree'], {
      cwd: folder,
      env: { PATH: path },
    });
    expect({ status: ran.status, stderr: ran.stderr }).toEqual({
      status: 6,
      stderr: 'sealtree: --uki: ukify is not here: install systemd-ukify\n',
    });
  });
});
