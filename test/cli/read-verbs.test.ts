/**
 * What the verbs that read say of the golden repositories: outputs of the real ostree 2026.4
 * (test/vectors/ostree/ORIGIN.md).
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GOLDEN_TREES, goldenCommits, goldenTree, unpackGoldenRepo } from '../golden-repo.ts';
import { run, sealtree, sealtreeOk } from '../run.ts';
import { scratchDirectory } from '../trees.ts';

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('read-verbs');
});
afterAll(() => {
  // Node's rmSync cannot remove what lies deeper than a path may be long.
  run(['rm', '-rf', scratch]);
});

let count = 0;
function folder(): string {
  const path = join(scratch, String(count++));
  mkdirSync(path);
  return path;
}

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

describe.each(GOLDEN_TREES)('of the golden tree %s', (tree) => {
  for (const mode of ['archive', 'bare-user']) {
    it(`lists, shows, checks and makes images in ${mode}`, () => {
      const repo = unpackGoldenRepo(tree, mode, folder());
      const ostree = (...args: string[]) => sealtreeOk([...args, `--repo=${repo}`], { program: 'ostree' });
      const text = (value: string) => Buffer.from(value).toString('latin1');
      const byMode = Object.values(goldenTree(tree).variants).map((variant) => variant.by_mode[mode]);
      for (const [checksum, golden] of goldenCommits(tree)) {
        if (!byMode.includes(checksum)) continue;
        expect(ostree('ls', '-RCX', checksum).trimEnd()).toBe(text(golden.ls_RCX).trimEnd());
        expect(ostree('show', '--raw', checksum).trimEnd()).toBe(text(golden.show_raw).trimEnd());
        const image = golden.cfs_image;
        if (image === undefined) continue;
        const path = join(scratch, 'image.cfs');
        expect(ostree('checkout', '--composefs', checksum, path)).toBe('');
        expect({ size: statSync(path).size, sha256: sha256(readFileSync(path)) }).toEqual({
          size: image.size,
          sha256: image.sha256,
        });
        expect(statSync(path).mode & 0o777).toBe(0o644);
      }
      const verdict = ostree('fsck', '--quiet').split('\n').at(-2);
      expect(verdict).toMatch(/^object fsck of \d+ commits completed successfully - no errors found\.$/);
    });
  }
});

describe('fsck', () => {
  /** A repository and one of its file objects. */
  function withFile(): { repo: string; path: string; name: string } {
    const repo = unpackGoldenRepo('basic', 'archive', folder());
    for (const first of readdirSync(join(repo, 'objects'))) {
      for (const name of readdirSync(join(repo, 'objects', first))) {
        const path = join(repo, 'objects', first, name);
        if (name.endsWith('.filez') && lstatSync(path).size > 60) {
          return { repo, path, name: first + name.replace('.filez', '') };
        }
      }
    }
    throw new Error('no file object');
  }

  // Words of the real tool.
  it('names the object that is cut short, and the commits it belongs to', () => {
    const { repo, path, name } = withFile();
    truncateSync(path, lstatSync(path).size - 1);
    const ran = sealtree(['fsck', '-q', `--repo=${repo}`]);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toMatch(
      new RegExp(`^error: In commits [0-9a-f, ]+: fsck content object ${name}: Need more input\n$`),
    );
  });

  // The real tool passes such an object.
  it('finds a wrong size in the header of an archive object', () => {
    const { repo, path } = withFile();
    const data = readFileSync(path);
    data[15] = (data[15] as number) ^ 1;
    writeFileSync(path, data);
    const ran = sealtree(['fsck', '-q', `--repo=${repo}`]);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toMatch(
      /^objects\/..\/.{62}\.filez: header says \d+ bytes of content, it has \d+\nerror: Repository corruption encountered\n$/,
    );
    expect(
      sealtree(['checkout', '-U', '--disable-cache', 'plain', join(scratch, 'wrong'), `--repo=${repo}`])
        .status,
    ).toBe(1);
  });

  it('marks commits of which an object is missing, and says so the next time', () => {
    const { repo, path, name } = withFile();
    truncateSync(path, 20);
    const first = sealtree(['fsck', '--delete', '-q', `--repo=${repo}`]);
    expect(first.status).toBe(1);
    expect(first.stderr).toContain(name);
    expect(first.stderr).toMatch(/Marking commit as partial: [0-9a-f]{64}\n/);
    expect(existsSync(path)).toBe(false);
    const second = sealtree(['fsck', '-q', `--repo=${repo}`]);
    expect(second.stderr).toMatch(/^error: \d+ partial commits from fsck-detected corruption\n$/);
  });
});

describe('checkout', () => {
  it('refuses an image that is not the one that the commit names', () => {
    const repo = unpackGoldenRepo('basic', 'archive', folder());
    const variants = goldenTree('basic').variants;
    const commit = variants.composefs?.by_mode.archive as string;
    const path = join(scratch, 'refused.cfs');
    sealtreeOk(['checkout', '--composefs', commit, path, `--repo=${repo}`]);
    const dirmeta = readdirSync(join(repo, 'objects')).flatMap((first) =>
      readdirSync(join(repo, 'objects', first)).map((name) => join(repo, 'objects', first, name)),
    );
    const file = dirmeta.find((name) => name.endsWith('.filez') && lstatSync(name).size > 60) as string;
    truncateSync(file, lstatSync(file).size - 1);
    // What is known of an object is not read again: the image is the right one, and the kernel will refuse the file.
    const known = join(scratch, 'known.cfs');
    sealtreeOk(['checkout', '--composefs', commit, known, `--repo=${repo}`]);
    expect(readFileSync(known)).toEqual(readFileSync(path));
    sealtreeOk(['cache', 'clear', `--repo=${repo}`]);
    const ran = sealtree(['checkout', '--composefs', commit, join(scratch, 'damaged.cfs'), `--repo=${repo}`]);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toMatch(
      /^error: Checking out composefs: Processing [0-9a-f]{64}: .*Need more input\n$/,
    );
    expect(readdirSync(scratch).filter((name) => name.includes('damaged'))).toEqual([]);
  });

  it('does not take what is known of an object for the object', () => {
    const repo = unpackGoldenRepo('basic', 'archive', folder());
    const commit = goldenTree('basic').variants.composefs?.by_mode.archive as string;
    sealtreeOk(['checkout', '--composefs', commit, join(scratch, 'first.cfs'), `--repo=${repo}`]);
    const folders = readdirSync(join(repo, 'objects')).map((first) => join(repo, 'objects', first));
    const file = folders.flatMap((path) => readdirSync(path).map((name) => join(path, name)));
    rmSync(file.find((name) => name.endsWith('.filez')) as string);
    const ran = sealtree(['checkout', '--composefs', commit, join(scratch, 'second.cfs'), `--repo=${repo}`]);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toMatch(/Couldn't find file object '[0-9a-f]{64}'\n$/);
  });

  it('makes hard links with the mode of the repository, and copies elsewhere', () => {
    const repo = unpackGoldenRepo('basic', 'bare-user', folder());
    const commit = goldenTree('basic').variants.plain?.by_mode['bare-user'] as string;
    const [linked, copied] = [join(scratch, 'linked'), join(scratch, 'copied')];
    sealtreeOk(['checkout', '-U', '-H', commit, linked, `--repo=${repo}`]);
    sealtreeOk(['checkout', '-U', '-C', commit, copied, `--repo=${repo}`]);
    const files = readdirSync(linked, { recursive: true, encoding: 'utf8' });
    expect(readdirSync(copied, { recursive: true, encoding: 'utf8' }).sort()).toEqual(files.sort());
    for (const name of files) {
      const [a, b] = [lstatSync(join(linked, name)), lstatSync(join(copied, name))];
      expect(b.mode, name).toBe(a.mode);
      if (!a.isFile()) continue;
      expect(readFileSync(join(copied, name)).equals(readFileSync(join(linked, name)))).toBe(true);
      expect(a.nlink > 1, name).toBe(a.size > 0);
      expect(b.nlink, name).toBe(1);
    }
  });

  it('leaves nothing half done where it fails', () => {
    const repo = unpackGoldenRepo('basic', 'archive', folder());
    const commit = goldenTree('basic').variants.plain?.by_mode.archive as string;
    const out = join(scratch, 'twice');
    sealtreeOk(['checkout', '-U', commit, out, `--repo=${repo}`]);
    const again = sealtree(['checkout', '-U', commit, out, `--repo=${repo}`]);
    expect(again).toMatchObject({ status: 1, stderr: 'error: mkdirat: File exists\n' });
    expect(sealtree(['checkout', '-U', commit, join(scratch, 'no/where'), `--repo=${repo}`])).toMatchObject({
      status: 1,
      stderr: 'error: mkdirat: No such file or directory\n',
    });
  });
});

describe('a tree deeper than a path may be long', () => {
  it('is listed, compared, checked out and pulled', () => {
    const repo = join(folder(), 'repo');
    sealtreeOk(['init', `--repo=${repo}`, '--mode=bare-user-only']);
    // 300 directories with names of 30 bytes: a path of 9300 bytes.
    const tree = join(scratch, 'deep');
    mkdirSync(tree);
    const cwd = process.cwd();
    process.chdir(tree);
    try {
      for (let i = 0; i < 300; i++) {
        mkdirSync('d'.repeat(30));
        process.chdir('d'.repeat(30));
      }
      writeFileSync('file', 'deep\n');
    } finally {
      process.chdir(cwd);
    }
    sealtreeOk(['commit', '-b', 'deep', '--canonical-permissions', tree, `--repo=${repo}`]);
    expect(sealtreeOk(['ls', '-R', 'deep', `--repo=${repo}`]).split('\n').length).toBe(303);
    expect(sealtreeOk(['fsck', '-q', `--repo=${repo}`])).toContain('no errors found');
    const copy = join(folder(), 'copy');
    sealtreeOk(['init', `--repo=${copy}`, '--mode=archive']);
    expect(sealtreeOk(['pull-local', repo, `--repo=${copy}`])).toMatch(/^303 metadata, 1 content/);
    const out = join(scratch, 'deep-out');
    sealtreeOk(['checkout', '-U', 'deep', out, `--repo=${copy}`]);
    sealtreeOk(['commit', '-b', 'again', '--canonical-permissions', out, `--repo=${copy}`]);
    expect(sealtreeOk(['diff', 'deep', 'again', `--repo=${copy}`])).toBe('');
  });
});
