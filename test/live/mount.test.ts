/** `mount.composefs` beside the real one: what is said, and what is mounted. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { mountNamespace, type Namespace } from '../namespace.ts';
import { realCommand } from '../peers.ts';
import { requires } from '../requires.ts';
import { link, type Ran, sealtreeOk, type Word } from '../run.ts';

const wanted = { root: true, peers: true, mount: ['erofs', 'overlay'] } as const;

requires(wanted).describe('mount.composefs beside the real one', () => {
  const { it } = requires(wanted);
  let scratch: string;
  let inside: Namespace;
  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'sealtree-live-mount-'));
    for (const name of ['tree', 'at', 'upper', 'work']) mkdirSync(join(scratch, name));
    writeFileSync(join(scratch, 'tree/file'), 'x'.repeat(5000));
    sealtreeOk(['mkcomposefs', '--digest-store=objects', 'tree', 'image.cfs'], { cwd: scratch });
    inside = await mountNamespace();
  });
  afterAll(async () => {
    await inside.close();
    rmSync(scratch, { recursive: true });
  });

  const digest = 'ab'.repeat(32);
  const cases: readonly (readonly string[])[] = [
    ['-o', 'basedir=objects', 'image.cfs', 'at'],
    ['-o', 'basedir=objects,ro', 'image.cfs', 'at'],
    ['-o', 'ro,rw,basedir=objects', 'image.cfs', 'at'],
    ['-o', 'basedir=objects,verity', 'image.cfs', 'at'],
    ['-o', 'basedir=objects,tryverity', 'image.cfs', 'at'],
    ['-o', 'basedir=none,basedir=objects', 'image.cfs', 'at'],
    ['-o', 'basedir=objects:tree', 'image.cfs', 'at'],
    ['-o', 'basedir=objects,upperdir=upper,workdir=work', 'image.cfs', 'at'],
    ['-t', 'composefs', '-o', 'basedir=o\\bjects', 'image.cfs', 'at'],
    ['image.cfs', 'at', '-o', 'basedir=objects'],
    ['-o', `basedir=objects,digest=${digest}`, 'image.cfs', 'at'],
    ['-o', 'basedir=objects,digest=ab', 'image.cfs', 'at'],
    ['-o', 'basedir=objects,digest=zz', 'image.cfs', 'at'],
    ['-o', 'basedir=objects,digest', 'image.cfs', 'at'],
    ['-o', 'basedir=objects,noverity', 'image.cfs', 'at'],
    ['-o', 'basedir=objects,signed', 'image.cfs', 'at'],
    ['-o', 'basedir=objects,', 'image.cfs', 'at'],
    ['-o', '', 'image.cfs', 'at'],
    ['-o', 'basedir=a::b', 'image.cfs', 'at'],
    ['-o', 'basedir=:a', 'image.cfs', 'at'],
    ['-o', 'basedir=none', 'image.cfs', 'at'],
    ['-o', 'basedir=objects', 'none.cfs', 'at'],
    ['-o', 'basedir=objects', 'tree/file', 'at'],
    ['-o', 'basedir=objects', 'tree', 'at'],
    ['-o', 'basedir=objects', 'image.cfs', 'none'],
    ['-o', 'basedir=objects', 'image.cfs', 'tree/file'],
    ['-o', 'basedir=objects,idmap=none', 'image.cfs', 'at'],
    ['-t', 'erofs', '-o', 'basedir=objects', 'image.cfs', 'at'],
  ];

  it('says and mounts the same', () => {
    const attempt = (command: readonly Word[]): unknown => {
      const ran: Ran = inside.run(command, { cwd: scratch });
      const lines = inside.sh('cat /proc/self/mounts').split('\n');
      const mounted = lines
        .filter((line) => line.includes(` ${scratch}/at `))
        .map((line) => line.replace(/\.composefs\.\w{6}/, '.composefs.XXXXXX'));
      const content = mounted.length > 0 ? inside.run(['cat', `${scratch}/at/file`]).status : undefined;
      inside.run(['umount', `${scratch}/at`]);
      const { status, stdout, stderr } = ran;
      return { status, stdout, stderr: stderr.replace(/\n\n$/, '\n'), mounted, content };
    };
    const mounter = [process.execPath, link('mount.composefs')];
    for (const words of cases) {
      const theirs = attempt(realCommand('mount.composefs', words));
      expect(attempt([...mounter, ...words]), words.join(' ')).toEqual(theirs);
    }
    expect(inside.sh('ls -A /tmp')).not.toContain('.composefs.');
  });
});
