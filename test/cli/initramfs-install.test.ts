import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run, sealtree, sealtreeOk } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

let scratch: string;
let root: string;

beforeEach(() => {
  scratch = scratchDirectory('install');
  root = join(scratch, 'root');
  mkdirSync(root);
  writeFileSync(join(scratch, 'program'), '\x7fELF sealtree ostree-prepare-root 9.8.7 and the rest');
  sealtreeOk(['keys', 'generate', 'build'], { cwd: scratch });
});
afterEach(() => removeDirectory(scratch));

const install = (...args: string[]) =>
  sealtree(['initramfs', 'install', '--root=root', '--program=program', ...args], { cwd: scratch });
const actions = (...args: string[]): Record<string, string> => {
  const ran = install('--json', ...args);
  expect(ran.stderr).toBe('');
  const { files } = JSON.parse(ran.stdout) as { files: { path: string; action: string }[] };
  return Object.fromEntries(files.map(({ path, action }) => [path, action]));
};
const sealed = ['--key=build.public', '--sealed'];
const put = (path: string, text: string) => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
};
const read = (path: string) => readFileSync(join(root, path), 'utf8');
/** Every file below a directory with its permission bits. */
const files = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(directory, path)).isFile())
    .map((path) => `${(statSync(join(directory, path)).mode & 0o777).toString(8)} ${path}`)
    .sort();

describe('initramfs install', () => {
  it('puts everything where the three generators find it, and has nothing left to do the second time', () => {
    const first = actions(...sealed);
    expect([...new Set(Object.values(first))]).toEqual(['written']);
    expect(files(root)).toEqual([
      '644 etc/mkinitcpio.conf.d/sealtree.conf',
      '644 etc/ostree/initramfs-root-binding.key',
      '644 usr/lib/initcpio/hooks/sealtree',
      '644 usr/lib/initcpio/install/sealtree',
      '644 usr/lib/ostree/prepare-root.conf',
      '644 usr/lib/sealtree/initramfs.files',
      '644 usr/lib/sealtree/installed',
      '644 usr/lib/sealtree/sealed.conf',
      '644 usr/lib/sealtree/systemd/debug-shell.service.d/sealtree.conf',
      '644 usr/lib/sealtree/systemd/dracut-emergency.service.d/sealtree.conf',
      '644 usr/lib/sealtree/systemd/emergency.service.d/sealtree.conf',
      '644 usr/lib/sealtree/systemd/initrd-root-fs.target.d/sealtree.conf',
      '644 usr/lib/sealtree/systemd/initrd-switch-root.service.d/sealtree.conf',
      '644 usr/lib/sealtree/systemd/ostree-prepare-root.service',
      '644 usr/lib/sealtree/systemd/rescue.service.d/sealtree.conf',
      '755 usr/lib/dracut/modules.d/99sealtree/module-setup.sh',
      '755 usr/lib/sealtree/ostree-prepare-root',
      '755 usr/share/initramfs-tools/hooks/sealtree',
      '755 usr/share/initramfs-tools/scripts/init-bottom/sealtree',
      '755 usr/share/initramfs-tools/scripts/panic/sealtree',
    ]);
    const before = files(root).map((line) => readFileSync(join(root, line.slice(4)), 'latin1'));
    expect([...new Set(Object.values(actions(...sealed)))]).toEqual(['unchanged']);
    expect(files(root).map((line) => readFileSync(join(root, line.slice(4)), 'latin1'))).toEqual(before);
    // The program of the first time will do.
    expect(sealtree(['initramfs', 'install', '--root=root', ...sealed], { cwd: scratch }).status).toBe(0);
    const record = read('usr/lib/sealtree/installed').replaceAll('  /', `  ${root}/`);
    expect(run(['sha256sum', '--check', '--quiet', '--strict'], { input: record }).status).toBe(0);
  });

  it('has scripts that a shell understands', () => {
    actions(...sealed);
    for (const path of [
      'usr/share/initramfs-tools/hooks/sealtree',
      'usr/share/initramfs-tools/scripts/init-bottom/sealtree',
      'usr/share/initramfs-tools/scripts/panic/sealtree',
      'usr/lib/initcpio/hooks/sealtree',
    ])
      expect(run(['sh', '-n', join(root, path)])).toMatchObject({ status: 0 });
    for (const path of [
      'usr/lib/dracut/modules.d/99sealtree/module-setup.sh',
      'usr/lib/initcpio/install/sealtree',
    ])
      expect(run(['bash', '-n', join(root, path)])).toMatchObject({ status: 0 });
  });

  it('without --sealed puts what makes it a drop-in, and a configuration only with a key or mode', () => {
    actions();
    expect(existsSync(join(root, 'usr/lib/ostree/prepare-root.conf'))).toBe(false);
    expect(files(join(root, 'usr/lib/sealtree/systemd'))).toEqual([
      '644 initrd-root-fs.target.d/sealtree.conf',
      '644 ostree-prepare-root.service',
      '644 ostree-prepare-root.service.d/sealtree.conf',
    ]);
    expect(read('usr/lib/sealtree/systemd/ostree-prepare-root.service.d/sealtree.conf')).toContain(
      '\nConditionKernelCommandLine=ostree\n',
    );
    expect(existsSync(join(root, 'usr/share/initramfs-tools/scripts/panic/sealtree'))).toBe(false);
    expect(actions('--mode=yes')['/usr/lib/ostree/prepare-root.conf']).toBe('written');
    expect(read('usr/lib/ostree/prepare-root.conf')).toMatch(/\[composefs\]\nenabled=yes\n$/);
    expect(actions('--key=build.public')['/usr/lib/ostree/prepare-root.conf']).toBe('replaced');
    expect(read('usr/lib/ostree/prepare-root.conf')).toMatch(/\[composefs\]\nenabled=signed\n$/);
  });

  it('writes into the sealed file what the options say', () => {
    sealtreeOk(['keys', 'generate', 'old'], { cwd: scratch });
    const ran = install(
      ...sealed,
      '--revoked=old.public',
      '--arguments=root=*  rw quiet',
      '--minimum-timestamp=2026-01-01T00:00:00Z',
      '--require-metadata=version=7',
      '--require-metadata=a.product=x y',
      '--refusal=shell',
      '--etc-unsigned=allow',
    );
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    const key = (name: string) => readFileSync(join(scratch, `${name}.public`), 'utf8').trim();
    expect(read('usr/lib/sealtree/sealed.conf').split('\n').slice(1)).toEqual([
      '',
      '[sealed]',
      'mode=signed',
      'refusal=shell',
      'arguments=root=*;rw;quiet',
      '',
      '[keys]',
      `trusted=${key('build')}`,
      `revoked=${key('old')}`,
      '',
      '[composefs]',
      'minimum-timestamp=1767225600',
      'require-metadata=version=7;a.product=x y',
      '',
      '[etc]',
      'unsigned=allow',
      '',
    ]);
    expect(existsSync(join(root, 'usr/lib/sealtree/systemd/emergency.service.d'))).toBe(false);
    expect(read('usr/lib/ostree/prepare-root.conf')).not.toContain('transient');
  });

  it('never replaces what it did not write, and then writes nothing at all', () => {
    put('usr/share/initramfs-tools/hooks/sealtree', 'mine');
    const ran = install(...sealed);
    expect(ran.status).toBe(2);
    expect(ran.stderr).toBe(
      'sealtree: root/usr/share/initramfs-tools/hooks/sealtree: is there, differs, and was not written by an install: --force to replace it\n',
    );
    expect(files(root)).toEqual(['644 usr/share/initramfs-tools/hooks/sealtree']);
    expect(actions(...sealed, '--force')['/usr/share/initramfs-tools/hooks/sealtree']).toBe('replaced');
  });

  it('takes a file of its own that was changed for somebody else’s', () => {
    actions(...sealed);
    put('usr/lib/sealtree/sealed.conf', `${read('usr/lib/sealtree/sealed.conf')}# mine\n`);
    expect(install(...sealed).stderr).toContain('root/usr/lib/sealtree/sealed.conf: is there, differs');
  });

  it('undoes a seal only when it is told to', () => {
    actions(...sealed);
    expect(install('--key=build.public')).toMatchObject({
      status: 2,
      stderr:
        'sealtree: root/usr/lib/sealtree/sealed.conf: the tree is sealed: --sealed again, or --force to undo it\n',
    });
    const undone = actions('--key=build.public', '--force');
    expect(Object.keys(undone).filter((path) => undone[path] === 'removed')).toEqual([
      '/usr/lib/sealtree/sealed.conf',
      '/usr/lib/sealtree/systemd/initrd-switch-root.service.d/sealtree.conf',
      '/usr/lib/sealtree/systemd/emergency.service.d/sealtree.conf',
      '/usr/lib/sealtree/systemd/rescue.service.d/sealtree.conf',
      '/usr/lib/sealtree/systemd/dracut-emergency.service.d/sealtree.conf',
      '/usr/lib/sealtree/systemd/debug-shell.service.d/sealtree.conf',
      '/usr/share/initramfs-tools/scripts/panic/sealtree',
    ]);
  });

  it('leaves a configuration that demands as much, and does not change one that demands less', () => {
    const strict = '[composefs]\nenabled = signed\n[etc]\ntransient = true\n[root]\ntransient=true\n';
    put('usr/lib/ostree/prepare-root.conf', strict);
    actions(...sealed);
    expect(read('usr/lib/ostree/prepare-root.conf')).toBe(strict);

    put('etc/ostree/prepare-root.conf', '# mine\n[composefs]\nenabled = verity\n');
    expect(install(...sealed)).toMatchObject({
      status: 2,
      stderr:
        'sealtree: /etc/ostree/prepare-root.conf: says composefs.enabled=verity, asked for is composefs.enabled=signed: change it, or have it changed with --force\n',
    });
    actions(...sealed, '--force');
    expect(read('etc/ostree/prepare-root.conf')).toBe(
      '# mine\n[composefs]\nenabled=signed\n\n[etc]\ntransient=true\n',
    );
  });

  it('puts the keys where the configuration has them', () => {
    put('usr/lib/ostree/prepare-root.conf', '[composefs]\nenabled=signed\nkeypath=/usr/share/keys/os.key\n');
    actions('--key=build.public');
    expect(read('usr/share/keys/os.key')).toBe(readFileSync(join(scratch, 'build.public'), 'utf8'));
    expect(read('usr/lib/sealtree/initramfs.files')).toContain('\n/usr/share/keys/os.key\n');
  });

  it('takes the keys that are there', () => {
    expect(install('--sealed')).toMatchObject({
      status: 5,
      stderr:
        'sealtree: mode signed needs a public key: --key, or one in /etc/ostree/initramfs-root-binding.key\n',
    });
    put(
      'etc/ostree/initramfs-root-binding.key',
      `# of the build\n\n${readFileSync(join(scratch, 'build.public'), 'utf8')}`,
    );
    actions('--sealed');
    expect(read('usr/lib/sealtree/sealed.conf')).toContain(
      `trusted=${readFileSync(join(scratch, 'build.public'), 'utf8')}`,
    );
  });

  it('refuses keys that are none, that anybody could sign for, and secret ones without a word of them', () => {
    const secret = readFileSync(join(scratch, 'build.secret'), 'utf8').trim();
    const ran = install('--key=build.secret');
    expect(ran).toMatchObject({
      status: 4,
      stderr: 'sealtree: build.secret: line 1: a secret key, expected a public one\n',
    });
    expect(ran.stderr).not.toContain(secret.slice(0, 8));
    writeFileSync(join(scratch, 'zero'), `${Buffer.alloc(32).toString('base64')}\n`);
    expect(install('--key=zero').stderr).toMatch(
      /line 1: public key 0{64} is not canonical or of small order/,
    );
    writeFileSync(join(scratch, 'text'), 'hello\n');
    expect(install('--key=text').status).toBe(4);
    expect(files(root)).toEqual([]);
  });

  it.each([
    [['--sealed', '--mode=no'], '--sealed needs --mode signed, verity, yes'],
    [['--mode=maybe not'], '--mode: expected no, maybe, yes, verity, signed, found maybe not'],
    [['--refusal=shell'], '--refusal means something only with --sealed'],
    [
      ['--sealed', '--key=build.public', '--refusal=reboot'],
      '--refusal: expected poweroff or shell, found reboot',
    ],
    [
      ['--sealed', '--key=build.public', '--arguments=a "b c"'],
      '--arguments: "b has a quotation mark or is not ASCII',
    ],
    [
      ['--sealed', '--key=build.public', '--require-metadata=version'],
      '--require-metadata: expected KEY=VALUE without ;, found version',
    ],
    [
      ['--sealed', '--key=build.public', '--arguments=a;b'],
      "'a;b' cannot stand in the sealed file: it has a ; or blanks at its ends",
    ],
  ])('refuses %j', (args, message) => {
    expect(install(...args)).toMatchObject({ status: 2, stderr: `sealtree: ${message}\n` });
    expect(files(root)).toEqual([]);
  });

  it('needs a program that is one', () => {
    writeFileSync(join(scratch, 'program'), '#!/bin/sh\n');
    expect(install(...sealed)).toMatchObject({
      status: 4,
      stderr: 'sealtree: program: not an executable (ELF)\n',
    });
    rmSync(join(scratch, 'program'));
    expect(install(...sealed)).toMatchObject({
      status: 5,
      stderr: 'sealtree: program: No such file or directory\n',
    });
  });
});

describe('a root tree that means ill', () => {
  it('has no symlink that leads out of it', () => {
    const outside = join(scratch, 'outside');
    mkdirSync(outside);
    mkdirSync(join(root, 'usr/share/initramfs-tools'), { recursive: true });
    mkdirSync(join(root, 'real'));
    symlinkSync('/real', join(root, 'usr/lib'));
    symlinkSync('../../../../../../../../..', join(root, 'etc'));
    symlinkSync(outside, join(root, 'usr/share/initramfs-tools/hooks'));
    expect(install(...sealed).status).toBe(0);
    expect(readdirSync(outside)).toEqual([]);
    expect(existsSync(join(root, outside, 'sealtree'))).toBe(true);
    expect(existsSync(join(root, 'real/sealtree/sealed.conf'))).toBe(true);
    expect(existsSync(join(root, 'ostree/initramfs-root-binding.key'))).toBe(true);
  });

  it('is not written through a symlink in the place of a file', () => {
    const outside = join(scratch, 'outside');
    writeFileSync(outside, 'precious');
    mkdirSync(join(root, 'usr/lib/sealtree'), { recursive: true });
    symlinkSync(outside, join(root, 'usr/lib/sealtree/sealed.conf'));
    expect(install(...sealed).status).toBe(2);
    expect(install(...sealed, '--force').status).toBe(0);
    expect(readFileSync(outside, 'utf8')).toBe('precious');
    expect(read('usr/lib/sealtree/sealed.conf')).toContain('[sealed]');
  });

  it('holds nobody up with a pipe, a loop of symlinks or a directory in the place of a file', () => {
    mkdirSync(join(root, 'usr/lib/sealtree'), { recursive: true });
    run(['mkfifo', join(root, 'usr/lib/sealtree/installed')]);
    expect(install(...sealed)).toMatchObject({
      status: 4,
      stderr: 'sealtree: root/usr/lib/sealtree/installed: not a regular file\n',
    });
    rmSync(join(root, 'usr/lib/sealtree/installed'));
    mkdirSync(join(root, 'usr/lib/sealtree/sealed.conf'));
    expect(install(...sealed, '--force')).toMatchObject({
      status: 2,
      stderr: 'sealtree: root/usr/lib/sealtree/sealed.conf: is there, and is no file\n',
    });
    rmSync(join(root, 'usr'), { recursive: true });
    symlinkSync('usr', join(root, 'usr'));
    expect(install(...sealed)).toMatchObject({ status: 4 });
  });
});
