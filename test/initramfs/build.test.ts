/** `sealtree initramfs build`: what it makes, and what it says where it cannot. @module */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect } from 'vitest';
import { requires } from '../requires.ts';
import { run, sealtree, sealtreeOk } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { BUILD_ROOT, bootProgram } from './program.ts';

const { describe, it } = requires({ root: true, program: true });

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('initramfs-build');
});
afterAll(() => removeDirectory(scratch));

const build = (...words: string[]) => sealtree(['initramfs', 'build', ...words], { cwd: scratch });

describe('in a build root', () => {
  it('two builds give the same bytes', () => {
    const printed = ['one', 'two'].map((name) =>
      sealtreeOk(['initramfs', 'build', '--build-root', BUILD_ROOT, '-o', join(scratch, name)]),
    );
    const [one, two] = ['one', 'two'].map((name) => readFileSync(join(scratch, name)));
    expect(one?.equals(two as Buffer)).toBe(true);
    expect(printed[0]).toMatch(/^\S+\/one: \d+ bytes, sha256 [0-9a-f]{64}\n$/);
    expect(printed[0]?.replace('one:', 'two:')).toBe(printed[1]);
    expect(statSync(join(scratch, 'one')).mode & 0o7777).toBe(0o755);
  });

  it('makes one static executable without a trace of where it was made', () => {
    const program = readFileSync(bootProgram());
    for (const word of [BUILD_ROOT, scratch, '/tmp/sealtree-', 'GNU C', '/home/'])
      expect(program.includes(word)).toBe(false);
    // PT_INTERP, the request for a dynamic loader.
    const headers = Number(program.readBigUInt64LE(32));
    const types = Array.from({ length: program.readUInt16LE(56) }, (_, i) =>
      program.readUInt32LE(headers + i * 56),
    );
    expect(types).not.toContain(3);
    expect(program.length).toBeLessThanOrEqual(2_500_000);
  });

  it('prints the same facts as JSON', () => {
    const facts = JSON.parse(
      sealtreeOk(['initramfs', 'build', '--json', '--build-root', BUILD_ROOT], { cwd: scratch }),
    );
    const path = join(scratch, 'ostree-prepare-root');
    expect(facts).toEqual({
      path: 'ostree-prepare-root',
      size: statSync(path).size,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      madeBy: BUILD_ROOT,
    });
    expect(run([path, '--version']).status).toBe(0);
  });
});

describe('on a host that has what it needs', () => {
  it('makes the same bytes there', () => {
    // The build root plays the host, with this Node in it.
    const clone = fileURLToPath(new URL('../..', import.meta.url));
    const script = `
      mount --bind "$CLONE" "$ROOT/mnt"
      mount -t tmpfs tmpfs "$ROOT/opt"
      cp "$NODE" "$ROOT/opt/node"
      mount -t proc proc "$ROOT/proc"
      chroot "$ROOT" /opt/node /mnt/dist/sealtree.js initramfs build --json --output /opt/program
      cp "$ROOT/opt/program" "$PROGRAM"`;
    const program = join(scratch, 'there');
    const ran = run(['unshare', '--mount', 'sh', '-euc', script], {
      env: { CLONE: clone, ROOT: BUILD_ROOT, NODE: process.execPath, PROGRAM: program },
    });
    expect([ran.status, ran.stderr]).toEqual([0, '']);
    expect(JSON.parse(ran.stdout).madeBy).toBe('this host');
    expect(readFileSync(program).equals(readFileSync(bootProgram()))).toBe(true);
  });
});

describe('without what it needs', () => {
  it('says in one line what to install', () => {
    const bin = join(scratch, 'bin');
    mkdirSync(bin);
    const { status, stdout, stderr } = sealtree(['initramfs', 'build'], {
      cwd: scratch,
      env: { PATH: bin, HOME: scratch },
    });
    if (existsSync('/var/cache/sealtree/build-root')) return;
    expect([status, stdout]).toEqual([6, '']);
    expect(stderr).toMatch(
      /^sealtree: the boot program cannot be compiled here: .*; install quickjs, libquickjs and a C compiler .*, or debootstrap \(as root\)\n$/,
    );
  });

  it('leaves a directory alone that it did not make', () => {
    const folder = join(scratch, 'mine');
    mkdirSync(folder);
    writeFileSync(join(folder, 'file'), '');
    expect(build('--build-root', folder)).toMatchObject({
      status: 6,
      stderr: `sealtree: build root ${folder}: is not empty, and nothing that was made here\n`,
    });
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('names the compiler that is not there', () => {
    const { status, stderr } = build('--cc=/none/cc');
    expect(status).toBe(6);
    expect(stderr).toMatch(/^sealtree: \/none\/cc: .+\n$/);
  });

  it('wants one of compiler and root', () => {
    expect(build('--cc=cc', `--build-root=${BUILD_ROOT}`).status).toBe(2);
    expect(build('operand').status).toBe(2);
  });
});
