/** Reading repositories that the real ostree made (test/vectors/ostree/ORIGIN.md), whole and damaged. */
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { encodeFileHeader } from '../../src/core/ostree/file-header.ts';
import { checkObject } from '../../src/repo/check-object.ts';
import { findRev, listRefs } from '../../src/repo/refs.ts';
import { Repo } from '../../src/repo/repo.ts';
import { goldenCommits, goldenTree, unpackGoldenRepo } from '../golden-repo.ts';
import { requires } from '../requires.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const root = requires({ root: true });
let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('repo');
});
afterAll(() => removeDirectory(scratch));

let count = 0;
function open(tree: string, mode: string): Repo {
  const path = join(scratch, String(count++));
  mkdirSync(path);
  return Repo.open(byteString(unpackGoldenRepo(tree, mode, path)));
}

function newRepo(config: string): string {
  const path = join(scratch, String(count++));
  mkdirSync(join(path, 'objects'), { recursive: true });
  writeFileSync(join(path, 'config'), config);
  return path;
}

/** The checksum of a file object by what reading it gives. */
function readBack(repo: Repo, checksum: string): string {
  const { header, content } = repo.file(checksum);
  const hash = createHash('sha256').update(encodeFileHeader(header));
  for (const piece of content()) hash.update(piece);
  return hash.digest('hex');
}

function checkAll(repo: Repo): number {
  let objects = 0;
  repo.forEachObject((type, checksum) => {
    objects++;
    if (type === 'file') expect(readBack(repo, checksum)).toBe(checksum);
    if (type === 'commitmeta') repo.commitmeta(checksum);
    else expect(checkObject(repo, { type, checksum })).toBeUndefined();
  });
  return objects;
}

describe('a repository of the real tool', () => {
  for (const tree of ['basic', 'perms', 'xattrs', 'unicode', 'links', 'os']) {
    for (const mode of ['archive', 'bare-user']) {
      it(`reads back as ${tree} in ${mode}`, () => {
        const repo = open(tree, mode);
        expect(repo.mode).toBe(mode);
        expect(checkAll(repo)).toBeGreaterThan(10);
        const commits = goldenTree(tree).variants;
        for (const { by_mode } of Object.values(commits)) {
          if (by_mode[mode] !== undefined) expect(repo.commits()).toContain(by_mode[mode]);
        }
      });
    }
  }

  it('reads back in bare-user-only', () => {
    expect(checkAll(open('xattrs', 'bare-user-only'))).toBeGreaterThan(10);
  });

  root.it('reads back in bare, with owners and xattrs', () => {
    expect(checkAll(open('xattrs', 'bare'))).toBeGreaterThan(10);
  });

  it('says which xattrs are missing in bare-split-xattrs, which the real tool writes without them', () => {
    const repo = open('basic', 'bare-split-xattrs');
    let checksum = '';
    repo.forEachObject((type, name) => {
      if (type === 'file') checksum = name;
    });
    expect(() => readBack(repo, checksum)).toThrow(
      `Opening content object ${checksum}: openat(${checksum.slice(0, 2)}/${checksum.slice(2)}.file-xattrs-link): No such file or directory`,
    );
  });

  it('has refs, and revisions that resolve', () => {
    const repo = open('basic', 'archive');
    const refs = repo.refs();
    expect(refs.size).toBe(4);
    for (const [ref, checksum] of refs) {
      expect(repo.resolveRev(ref)).toBe(checksum);
      expect(repo.resolveRev(byteString(`${ref}\n`))).toBe(checksum);
      expect(repo.resolveRev(byteString(checksum.slice(0, 12)))).toBe(checksum);
    }
    const child = repo.commits().find((checksum) => repo.commit(checksum).parent !== undefined) as string;
    expect(repo.resolveRev(byteString(`${child}^`))).toBe(repo.commit(child).parent);
    expect(findRev(repo, byteString('no/such'))).toBeUndefined();
    expect(() => repo.resolveRev(byteString(''))).toThrow('Refspec  not unique');
    expect(() => repo.resolveRev(byteString('a b'))).toThrow('Invalid refspec a b');
    expect(() => repo.resolveRev(byteString('no/such^'))).toThrow("Refspec 'no/such' not found");
    expect(goldenCommits('basic').has(child)).toBe(true);
  });
});

describe('opening', () => {
  const message = (path: string) => {
    try {
      Repo.open(byteString(path));
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };

  // What `ostree --repo=… refs` of ostree 2026.4 says, but for the place in the key file.
  it('refuses what is no repository in the words of the real tool', () => {
    const none = join(scratch, 'none');
    expect(message(none)).toBe(`opening repo: opendir(${none}): No such file or directory`);
    const empty = join(scratch, 'empty');
    mkdirSync(empty);
    expect(message(empty)).toBe('opening repo: opendir(objects): No such file or directory');
    mkdirSync(join(empty, 'objects'));
    expect(message(empty)).toBe('opening repo: openat(config): No such file or directory');
    expect(message(newRepo('[core]\n'))).toMatch(
      /opening repo: .*Key file does not have key “repo_version” in group “core”/,
    );
    expect(message(newRepo('[core]\nrepo_version=2\n'))).toBe("opening repo: Invalid repository version '2'");
    expect(message(newRepo('[core]\nrepo_version=1\nmode=foo\n'))).toBe(
      "opening repo: Invalid mode 'foo' in repository configuration",
    );
    expect(message(newRepo('[core]\nrepo_version=1\nparent=/nonex\n'))).toBe(
      "opening repo: While checking parent repository '/nonex': opening repo: opendir(/nonex): No such file or directory",
    );
  });

  it('does not follow a circle of parents', () => {
    const path = newRepo('');
    writeFileSync(join(path, 'config'), `[core]\nrepo_version=1\nmode=bare-user-only\nparent=${path}\n`);
    expect(message(path)).toMatch(/core\.parent leads through more than 16 repositories$/);
  });

  it('finds objects and refs of the parent', () => {
    const parent = open('basic', 'archive');
    const path = newRepo(`[core]\nrepo_version=1\nmode=bare-user-only\nparent=${parent.path}\n`);
    for (const folder of ['heads', 'remotes']) mkdirSync(join(path, 'refs', folder), { recursive: true });
    const repo = Repo.open(byteString(path));
    const [ref, checksum] = [...parent.refs()][0] as [never, string];
    expect(repo.resolveRev(ref)).toBe(checksum);
    const { rootDirtree } = repo.commit(checksum);
    for (const file of repo.dirtree(rootDirtree).files)
      expect(readBack(repo, file.checksum)).toBe(file.checksum);
    expect(repo.commits()).toEqual(parent.commits());
  });
});

describe('a damaged repository', () => {
  it('names the object and both checksums when metadata is not what its name says', () => {
    const repo = open('basic', 'archive');
    const commit = repo.commits()[0] as string;
    const { rootDirtree } = repo.commit(commit);
    truncateSync(repo.objectFile('dirtree', rootDirtree), 0);
    expect(() => repo.dirtree(rootDirtree)).toThrow(
      `${repo.objectPath('dirtree', rootDirtree)}: Corrupted dirtree object; checksum expected='${rootDirtree}' actual='e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'`,
    );
    rmSync(repo.objectFile('dirtree', rootDirtree));
    expect(() => repo.dirtree(rootDirtree)).toThrow(`No such metadata object ${rootDirtree}.dirtree`);
  });

  it('does not wait for a pipe, nor read a symlink to somewhere else, in the place of an object', () => {
    const repo = open('basic', 'archive');
    let checksum = '';
    repo.forEachObject((type, name) => {
      if (type === 'file') checksum = name;
    });
    const path = repo.objectFile('file', checksum);
    rmSync(path);
    symlinkSync('/etc/passwd', path);
    expect(() => repo.file(checksum)).toThrow(/filez/);
    rmSync(path);
    mkdirSync(path);
    expect(() => repo.file(checksum)).toThrow(/filez.*not a regular file/);
  });

  it('passes over what cannot be a ref, and refuses what is no text', () => {
    const repo = open('basic', 'archive');
    const before = listRefs(repo).size;
    writeFileSync(`${repo.path}/refs/heads/.hidden`, 'x');
    writeFileSync(`${repo.path}/refs/heads/a b`, 'x');
    expect(listRefs(repo).size).toBe(before);
    writeFileSync(`${repo.path}/refs/heads/bad`, Uint8Array.of(0xff));
    expect(() => listRefs(repo)).toThrow('Listing refs: Invalid UTF-8');
    expect(() => repo.resolveRev(byteString('bad'))).toThrow("Couldn't open ref 'bad': Invalid UTF-8");
    writeFileSync(`${repo.path}/refs/heads/bad`, 'hello\n');
    expect(() => repo.resolveRev(byteString('bad'))).toThrow('Invalid rev hello');
  });
});
