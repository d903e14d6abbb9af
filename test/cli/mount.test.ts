import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mountNamespace, type Namespace } from '../namespace.ts';
import { requires } from '../requires.ts';
import { link, type Ran, sealtree, sealtreeOk } from '../run.ts';

let scratch: string;
let image: string;
let objects: string;
let digest: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'sealtree-mount-'));
  mkdirSync(join(scratch, 'tree/usr'), { recursive: true });
  writeFileSync(join(scratch, 'tree/usr/file'), 'x'.repeat(5000));
  writeFileSync(join(scratch, 'tree/inline'), 'in the image');
  mkdirSync(join(scratch, 'empty'));
  mkdirSync(join(scratch, 'at'));
  mkdirSync(join(scratch, 'upper'));
  mkdirSync(join(scratch, 'work'));
  image = join(scratch, 'image.cfs');
  objects = join(scratch, 'objects');
  const words = ['mkcomposefs', '--print-digest', `--digest-store=${objects}`, join(scratch, 'tree'), image];
  digest = sealtreeOk(words).trim();
});
afterAll(() => rmSync(scratch, { recursive: true }));

const at = () => join(scratch, 'at');

// Expected: mount.composefs 1.0.8 with the same words, but for the empty line that it prints behind a message.
describe('mount.composefs', () => {
  const mount = (...args: string[]) => sealtree(args, { program: 'mount.composefs' });
  const refused = (message: string) => ({ status: 1, stdout: '', stderr: `mount.composefs: ${message}\n` });

  it.each([
    ['-t', 'ext4', "Unsupported fs type 'ext4'"],
    ['-o', 'basedir', 'No value specified for basedir option'],
    ['-o', 'basedir=a,digest', 'No value specified for digest option'],
    ['-o', 'basedir=a::b', 'Value for basedir option has incorrect format'],
    ['-o', 'basedir=', 'Value for basedir option has incorrect format'],
    ['-o', 'basedir=a,noverity', 'Unsupported option noverity'],
    ['-o', 'basedir=a,', 'Unsupported option '],
    ['-o', 'basedir=a,upperdir=b', 'Both workdir and upperdir must be specified if used'],
    ['-o', 'basedir=a,workdir=b', 'Both workdir and upperdir must be specified if used'],
    ['-o', 'basedir=a,idmap=/no/such', 'Failed to open userns /no/such: No such file or directory'],
  ])('refuses %s %s', (option, value, message) => {
    expect(mount(option, value, image, '/mnt')).toMatchObject(refused(message));
  });

  it('needs an image, a mount point and a directory of files', () => {
    expect(mount().stderr).toMatch(/^No source path specified\n/);
    expect(mount(image).stderr).toMatch(/^No mount path specified\n/);
    expect(mount(image, '/mnt').stderr).toMatch(/^No object dirs specified\n/);
  });

  it('refuses a file that is no image, and one that is not there', () => {
    const words = ['-o', `basedir=${objects}`];
    const self = join(scratch, 'tree/inline');
    expect(mount(...words, self, at())).toMatchObject(
      refused(`Failed to mount composefs ${self}: Invalid argument`),
    );
    expect(mount(...words, '/no/such', at())).toMatchObject(
      refused('Failed to open /no/such: No such file or directory'),
    );
  });

  it('never passes over a digest that the kernel does not measure', () => {
    const demanding = (value: string) => mount('-o', `basedir=${objects},digest=${value}`, image, at());
    // Where the temporary directory has fs-verity, it is not on for the image all the same.
    expect(demanding(digest)).toMatchObject(
      refused(`Failed to mount composefs ${image}: Image has no fs-verity`),
    );
    for (const value of ['', 'zz', digest.slice(1), `${digest}00`])
      expect(demanding(value)).toMatchObject(refused(`Failed to mount composefs ${image}: Invalid argument`));
  });
});

requires({ root: true, mount: ['erofs', 'overlay'] }).describe('mount in a namespace', () => {
  let inside: Namespace;
  beforeAll(async () => {
    inside = await mountNamespace();
  });
  afterAll(() => inside.close());

  const command = (...args: string[]): Ran =>
    inside.run([process.execPath, link(), ...args], { cwd: scratch });
  const mounts = () => inside.sh('cat /proc/self/mounts');
  const mounted = (options: string): string => {
    expect(command('mount', '-o', options, image, at())).toMatchObject({ status: 0, stdout: '', stderr: '' });
    return mounts()
      .split('\n')
      .find((line) => line.includes(` ${at()} `)) as string;
  };
  const unmount = () => expect(command('umount', at())).toMatchObject({ status: 0, stdout: '', stderr: '' });

  it('serves names from the image and content from the directories', () => {
    const line = mounted(`basedir=${scratch}/empty:${objects},ro`);
    expect(line).toContain(`composefs ${at()} overlay ro,`);
    expect(line).toContain(`datadir+=${scratch}/empty,datadir+=${objects},redirect_dir=on,metacopy=on`);
    expect(readFileSync(inside.path(join(at(), 'usr/file')), 'latin1')).toBe('x'.repeat(5000));
    expect(inside.sh(`cat ${at()}/inline`)).toBe('in the image');
    unmount();
    expect(mounts()).not.toContain(scratch);
    expect(mounts()).not.toContain('.composefs.');
    expect(inside.sh('ls -A /tmp')).not.toContain('.composefs.');
  });

  it('takes changes into an upper directory', () => {
    expect(mounted(`basedir=${objects},upperdir=${scratch}/upper,workdir=${scratch}/work`)).toContain(
      ' overlay rw,',
    );
    inside.sh(`echo new >${at()}/usr/new; rm ${at()}/inline`);
    unmount();
    expect(inside.sh(`ls ${scratch}/upper/usr`)).toBe('new\n');
  });

  it('lets the kernel refuse files that nothing vouches for', () => {
    expect(mounted(`basedir=${objects},verity`)).toContain('verity=require');
    // The objects are not sealed with fs-verity.
    expect(inside.run(['cat', join(at(), 'usr/file')]).stderr).toContain('Input/output error');
    expect(inside.sh(`cat ${at()}/inline`)).toBe('in the image');
    unmount();
  });

  it('takes commas and backslashes in names', () => {
    const odd = join(scratch, 'a,b\\c');
    inside.sh('cp -a "$1" "$2"', objects, odd);
    mounted(`basedir=${odd.replace(/[\\,]/g, '\\$&')}`);
    expect(inside.sh(`wc -c <${at()}/usr/file`).trim()).toBe('5000');
    unmount();
  });

  it('leaves nothing behind when it cannot', () => {
    expect(command('mount', '-o', `basedir=${scratch}/none`, image, at())).toMatchObject({
      status: 1,
      stderr: `mount.composefs: Failed to mount composefs ${image}: No such file or directory\n`,
    });
    expect(command('mount', '-o', `basedir=${objects}`, image, '/no/such').status).toBe(1);
    expect(mounts()).not.toContain('.composefs.');
    expect(inside.sh('ls -A /tmp')).not.toContain('.composefs.');
    expect(command('umount', at())).toMatchObject({
      status: 7,
      stderr: `sealtree: ${at()}: Invalid argument\n`,
    });
  });

  it('detaches a mount that is in use with --lazy', () => {
    mounted(`basedir=${objects}`);
    expect(
      inside.run(['sh', '-c', `cd ${at()} && exec "$@"`, 'sh', process.execPath, link(), 'umount', at()]),
    ).toMatchObject({
      status: 7,
      stderr: `sealtree: ${at()}: Device or resource busy\n`,
    });
    expect(command('umount', '--lazy', at()).status).toBe(0);
    expect(mounts()).not.toContain(scratch);
  });
});
