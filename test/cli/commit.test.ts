/** What `sealtree commit` has besides ostree's: keys, composefs keys; and what only shows from outside. */
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { utf8ByteString } from '../../src/core/bytes/byte-string.ts';
import { composefsDigest } from '../../src/core/ostree/metadata.ts';
import { Repo } from '../../src/repo/repo.ts';
import { type RunOptions, sealtree, sealtreeOk } from '../run.ts';
import { makeDeepTree, makeFiles, makeWideTree, removeDirectory, scratchDirectory } from '../trees.ts';

let scratch = '';
let repo = '';
let tree = '';

beforeEach(() => {
  scratch = scratchDirectory('commit');
  repo = join(scratch, 'repo');
  tree = makeFiles(join(scratch, 'tree'), 6);
  sealtreeOk(['init', `--repo=${repo}`, '--mode=bare-user']);
});
afterEach(() => removeDirectory(scratch));

const commit = (args: readonly string[], options: RunOptions = {}) =>
  sealtree(['commit', `--repo=${repo}`, '--branch=main', '--timestamp=@1', ...args], options);
const committed = (args: readonly string[], options: RunOptions = {}) =>
  sealtreeOk(['commit', `--repo=${repo}`, '--branch=main', '--timestamp=@1', ...args], options).trim();
const opened = () => Repo.open(utf8ByteString(repo));

function expectUntouched(): void {
  expect(readdirSync(join(repo, 'objects'))).toEqual([]);
  expect(readdirSync(join(repo, 'tmp'))).toEqual(['cache']);
  expect(readdirSync(join(repo, 'refs/heads'))).toEqual([]);
}

describe('the composefs digest', () => {
  const keysOf = (checksum: string) =>
    opened()
      .commit(checksum)
      .metadata.map(([key]) => key as string)
      .filter((key) => key.startsWith('ostree.composefs'))
      .sort();

  it('stands under both keys, or under that of ostree alone', () => {
    const both = committed(['--generate-composefs-metadata', tree]);
    expect(keysOf(both)).toEqual(['ostree.composefs.digest.v0', 'ostree.composefs.v0']);
    const one = committed([
      '--generate-composefs-metadata',
      '--composefs-key=digest.v0',
      '--parent=none',
      tree,
    ]);
    expect(keysOf(one)).toEqual(['ostree.composefs.digest.v0']);
    expect(composefsDigest(opened().commit(one))).toBe(composefsDigest(opened().commit(both)));
    const asOstree = committed(['--generate-composefs-metadata', '--parent=none', tree], {
      program: 'ostree',
    });
    expect(asOstree).toBe(one);
    expect(commit(['--composefs-key=v1', '--generate-composefs-metadata', tree]).stderr).toBe(
      "error: --composefs-key: expected both or digest.v0, not 'v1'\n",
    );
  });

  it.each(['ostree.composefs.digest.v0', 'ostree.composefs.v0'])('cannot be given as %s', (key) => {
    const message = `error: ${key}: only a computed digest may stand there, not a given or kept one\n`;
    for (const option of [`--add-metadata-string=${key}=x`, `--add-metadata=${key}=[byte 1, 2]`]) {
      for (const program of ['sealtree', 'ostree'] as const) {
        expect(commit([option, tree], { program })).toMatchObject({ status: 1, stderr: message });
      }
    }
    expectUntouched();
    committed(['--generate-composefs-metadata', tree]);
    expect(commit([`--keep-metadata=${key}`, tree])).toMatchObject({ status: 1, stderr: message });
  });
});

describe('signing', () => {
  const verify = (checksum: string, file: string) =>
    sealtree(['sign', `--repo=${repo}`, '--verify', `--keys-file=${file}`, checksum]);
  let secret = '';
  let publicFile = '';
  beforeEach(() => {
    [secret, publicFile] = [join(scratch, 'key.secret'), join(scratch, 'key.public')];
    sealtreeOk(['keys', 'generate', `--secret=${secret}`, `--public=${publicFile}`]);
  });

  it('takes keys from arguments, files and a descriptor, one signature each', () => {
    const fd = openSync(secret, 'r');
    const key = readFileSync(secret, 'utf8').trim();
    const checksum = committed([`--sign=${key}`, `--sign-from-file=${secret}`, '--sign-fd=3', tree], {
      descriptors: [fd],
    });
    closeSync(fd);
    expect(verify(checksum, publicFile).status).toBe(0);
    const [entry] = opened().commitmeta(checksum) ?? [];
    expect(entry?.[0]).toBe('ostree.sign.ed25519');
    const bytes = expect.objectContaining({ length: 64 });
    expect(entry?.[1]).toEqual({ type: 'aay', value: [bytes, bytes, bytes] });
  });

  it('with a transient key leaves only the public half, which verifies', () => {
    const file = join(scratch, 'transient');
    const checksum = committed([`--sign-transient=${file}`, tree]);
    expect(verify(checksum, file).status).toBe(0);
    expect(readFileSync(file, 'utf8')).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(readdirSync(scratch).sort()).toEqual(['key.public', 'key.secret', 'repo', 'transient', 'tree']);
  });

  it('bare makes such a key in the current directory, but not as ostree', () => {
    const file = join(scratch, 'initramfs-root-binding.key');
    for (const args of [
      ['--sign', '--orphan', tree],
      [tree, '--sign'],
    ]) {
      const checksum = committed(args, { cwd: scratch });
      expect(verify(checksum, file).status).toBe(0);
      rmSync(file);
    }
    const refused = commit([tree, '--sign'], { cwd: scratch, program: 'ostree' });
    expect(refused).toMatchObject({ status: 1 });
    expect(refused.stderr).toContain('error: Missing argument for --sign\n');
    expect(existsSync(file)).toBe(false);
  });

  it('that fails leaves no commit and no key behind', () => {
    const file = join(scratch, 'transient');
    writeFileSync(join(scratch, 'short'), 'AAAA\n');
    const failing = [
      ['--sign=AAAA'],
      [`--sign-from-file=${join(scratch, 'short')}`],
      [`--sign-from-file=${join(scratch, 'missing')}`, `--sign-transient=${file}`],
      [`--sign-transient=${join(scratch, 'missing/key')}`],
      ['--sign-fd=77'],
      ['--sign-type=spki', `--sign-transient=${file}`],
    ];
    for (const args of failing) {
      const refused = commit([...args, tree]);
      expect(refused.status, args.join(' ')).toBe(1);
      expect(refused.stderr.split('\n'), refused.stderr).toHaveLength(2);
      expect(existsSync(file)).toBe(false);
      expectUntouched();
    }
  });
});

describe('a tree', () => {
  it('of 1,000 directories in each other is committed, and consumed', () => {
    const deep = makeDeepTree(join(scratch, 'deep'), 1000);
    const checksum = committed(['--generate-composefs-metadata', '--consume', deep]);
    expect(existsSync(deep)).toBe(false);
    expect(sealtreeOk(['ls', `--repo=${repo}`, '-R', checksum]).split('\n')).toHaveLength(1003);
  });

  it('beyond PATH_MAX, of names of 255 bytes, is committed, and consumed', () => {
    let inner = join(scratch, 'long');
    mkdirSync(inner);
    const cwd = process.cwd();
    for (let depth = 0; depth < 30; depth++) {
      process.chdir(inner);
      inner = 'n'.repeat(255);
      mkdirSync(inner);
    }
    writeFileSync(join(inner, 'f'), 'far away\n');
    symlinkSync('target', join(inner, 'l'));
    process.chdir(cwd);
    const checksum = committed(['--generate-composefs-metadata', '--consume', join(scratch, 'long')]);
    expect(existsSync(join(scratch, 'long'))).toBe(false);
    expect(sealtreeOk(['ls', `--repo=${repo}`, '-R', checksum]).split('\n')).toHaveLength(34);
  });

  it('of 70,000 entries in one directory is committed', () => {
    const wide = makeWideTree(join(scratch, 'wide'), 70_000);
    const checksum = committed(['--generate-composefs-metadata', wide]);
    expect(
      opened().dirtree(opened().dirtree(opened().commit(checksum).rootDirtree).dirs[0]?.dirtree as string)
        .files,
    ).toHaveLength(70_000);
  });

  it('is consumed with what was passed over, but not what came since', () => {
    writeFileSync(join(scratch, 'skip'), '/folder-0\n/folder-1/inner-1/file-1\n');
    committed(['--consume', `--skip-list=${join(scratch, 'skip')}`, tree]);
    expect(existsSync(tree)).toBe(false);
    const here = makeFiles(join(scratch, 'here'), 3);
    committed(['--consume', '.'], { cwd: here });
    expect(readdirSync(here)).toEqual([]);
  });

  it('is not touched where the commit fails', () => {
    writeFileSync(join(scratch, 'skip'), '/missing\n');
    expect(commit(['--consume', `--skip-list=${join(scratch, 'skip')}`, tree]).status).toBe(1);
    expect(existsSync(join(tree, 'folder-0'))).toBe(true);
    expectUntouched();
  });

  it('with links to objects of the repository is what these objects say', () => {
    const file = join(tree, 'program');
    writeFileSync(file, 'program');
    chmodSync(file, 0o4711);
    const first = committed(['--owner-uid=7', '--owner-gid=8', tree]);
    const root = opened().dirtree(opened().commit(first).rootDirtree);
    const { checksum } = root.files[0] as { checksum: string };
    // A checkout for another user: the inode of the object, whose owner and mode are not those of the file.
    const checkout = join(scratch, 'checkout');
    mkdirSync(checkout);
    linkSync(
      join(repo, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.file`),
      join(checkout, 'program'),
    );
    const rootOf = (args: string[]) => {
      const made = committed([...args, '--parent=none', checkout]);
      return opened().dirtree(opened().commit(made).rootDirtree).files[0]?.checksum;
    };
    expect(rootOf([])).not.toBe(checksum);
    expect(rootOf(['--link-checkout-speedup'])).toBe(checksum);
    expect(rootOf(['-I'])).toBe(checksum);
    expect(rootOf(['-I', '--owner-uid=0'])).toBe(checksum);
    const changed = rootOf(['--link-checkout-speedup', '--owner-uid=0']) as string;
    expect(opened().file(changed).header).toMatchObject({ uid: 0, gid: 8, mode: 0o104711 });
    expect(opened().file(checksum).header).toMatchObject({ uid: 7, gid: 8, mode: 0o104711 });
    const table = committed(['-I', '--table-output', checkout]);
    expect(table).toContain('Content Cache Hits: 1\n');
  });

  it('is not looked for behind a symlink', () => {
    const outside = makeFiles(join(scratch, 'outside'), 1);
    symlinkSync(outside, join(scratch, 'link'));
    expect(commit([join(scratch, 'link')])).toMatchObject({ status: 1 });
    expectUntouched();
  });
});

describe('an object that is there', () => {
  it('is not written again', () => {
    committed([tree]);
    const inodes = () =>
      readdirSync(join(repo, 'objects'), { recursive: true, encoding: 'utf8' })
        .map((name) => [name, statSync(join(repo, 'objects', name)).ino] as const)
        .filter(([name]) => name.includes('.file') || name.includes('.dir'));
    const before = inodes();
    committed(['-s', 'again', tree]);
    expect(inodes()).toEqual(before);
    const table = committed(['--table-output', '--parent=none', tree]);
    expect(table).toContain('\nContent Total: 6\nContent Written: 0\n');
  });
});
