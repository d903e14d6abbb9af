/** keys/build-disk.sh, the stage of a pipeline that makes a disk of a root tree. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DISK_TOOLS } from '../disk-tools.ts';
import { requires } from '../requires.ts';
import { link, run, sealtree } from '../run.ts';

const SCRIPT = fileURLToPath(new URL('../../keys/build-disk.sh', import.meta.url));

/** Stands in for the real ukify: puts its words where the image would be. */
const UKIFY = `#!/bin/sh
for word; do case $word in --output=*) output=\${word#*=};; esac; done
printf '%s\\n' "$@" >"$output"
`;

const { describe } = requires({ root: true, programs: DISK_TOOLS });

describe('build-disk.sh', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sealtree-pipeline-'));
    const modules = join(folder, 'tree/usr/lib/modules/6.12');
    mkdirSync(modules, { recursive: true });
    for (const path of ['tree/etc', 'programs']) mkdirSync(join(folder, path));
    writeFileSync(join(modules, 'vmlinuz'), 'kernel');
    writeFileSync(join(modules, 'modules.dep'), '');
    writeFileSync(join(folder, 'tree/usr/lib/os-release'), 'ID=x\nPRETTY_NAME="X 1"\n');
    writeFileSync(join(folder, 'program'), '\x7fELF sealtree ostree-prepare-root 0.1.0');
    writeFileSync(join(folder, 'programs/ukify'), UKIFY, { mode: 0o755 });
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  function build(words: readonly string[], env: Record<string, string> = {}) {
    return run(['bash', SCRIPT, ...words], {
      cwd: folder,
      env: {
        SEALTREE: link(),
        SEAL_OPTIONS: '--program=program --generator=minimal',
        SOURCE_DATE_EPOCH: '1700000000',
        PATH: `${folder}/programs:${process.env.PATH}`,
        ...env,
      },
    });
  }

  it('makes a disk of a tree, and verifies it', () => {
    const { status, stderr, stdout } = build(['tree', 'plain'], { KERNEL_ARGUMENTS: 'quiet console=ttyS0' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('\nvalid\n');
    expect(readdirSync(join(folder, 'plain')).sort()).toEqual([
      'SHA256SUMS',
      'disk.raw',
      'initramfs-root-binding.key',
      'repo',
    ]);
    // The system boots itself, and is asked by the policy that it carries.
    const asked = (...words: string[]) =>
      sealtree(['image', 'verify', '--own-initramfs', ...words, 'plain/disk.raw'], { cwd: folder });
    expect(asked('--cmdline=quiet').stdout).toContain('yes   sealed file: sealed: at least mode signed');
    expect(asked('--cmdline=quiet').status).toBe(0);
    expect(asked('--cmdline=init=/bin/sh').status).toBe(3);
    expect(asked('--keys-file=plain/initramfs-root-binding.key').status).toBe(2);
    expect(
      run(['sha256sum', '--check', '--quiet', 'SHA256SUMS'], { cwd: join(folder, 'plain') }).status,
    ).toBe(0);
  });

  it('puts a signed kernel image where firmware starts it', () => {
    const secureBoot = { SECURE_BOOT_KEY: 'db.key', SECURE_BOOT_CERTIFICATE: 'db.pem' };
    const ran = build(['tree', 'signed'], { KERNEL_ARGUMENTS: 'rw', DISK_SIZE: '2G', ...secureBoot });
    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: '' });
    const image = readFileSync(join(folder, 'signed/os.efi'), 'utf8');
    expect(image).toMatch(
      /^build\n--linux=.*\/usr\/lib\/modules\/6\.12\/vmlinuz\n--initrd=.*\/initramfs\.img\n/,
    );
    expect(image).toContain('\n--cmdline=rw\n--uname=6.12\n');
    expect(image).toContain(
      `--secureboot-private-key=${folder}/db.key\n--secureboot-certificate=${folder}/db.pem\n`,
    );
    const dd = [
      'dd',
      'if=signed/disk.raw',
      'of=esp.img',
      'bs=1M',
      'skip=1',
      'count=512',
      'conv=sparse',
      'status=none',
    ];
    run(dd, { cwd: folder });
    for (const path of ['::EFI/Linux/os.efi', '::EFI/BOOT/BOOTX64.EFI'])
      expect(run(['mtype', '-i', 'esp.img', path], { cwd: folder }).stdout).toBe(image);
  });

  it.each([
    { words: ['tree'], status: 2, message: /^usage: / },
    { words: ['nosuch', 'none'], status: 7, message: /nosuch: No such file or directory\n$/ },
  ])('refuses $words', ({ words, status, message }) => {
    const ran = build(words);
    expect(ran.status).toBe(status);
    expect(ran.stderr).toMatch(message);
  });
});
