/** The cache of `sealtree commit`: what it makes faster it must not make different. */
import {
  appendFileSync,
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usablePayload, writeCacheFile } from '../../src/cache/cache-file.ts';
import { byteString, utf8ByteString } from '../../src/core/bytes/byte-string.ts';
import { expectSuccess, link, run, sealtree, sealtreeOk, startSealtree } from '../run.ts';
import { makeFiles, pattern, removeDirectory, scratchDirectory } from '../trees.ts';

/** Longer than a file must be left alone before it is remembered: src/cache/source-cache.ts. */
const SETTLED = 2_700;

let scratch = '';
let tree = '';
let counter = 0;

beforeAll(async () => {
  scratch = scratchDirectory('commit-cache');
  tree = makeFiles(join(scratch, 'tree'), 60);
  symlinkSync('folder-1', join(tree, 'link'));
  linkSync(join(tree, 'folder-1', 'inner-1', 'file-1'), join(tree, 'folder-1', 'hard'));
  await setTimeout(SETTLED);
});
afterAll(() => removeDirectory(scratch));

function makeRepo(mode = 'bare-user'): string {
  const repo = join(scratch, `repo-${counter++}`);
  sealtreeOk(['init', `--repo=${repo}`, `--mode=${mode}`]);
  return repo;
}

const ARGS = ['--orphan', '--timestamp=@1', '--generate-composefs-metadata'];
const commit = (repo: string, ...args: string[]) =>
  sealtreeOk(['commit', `--repo=${repo}`, ...ARGS, ...args, tree]).trim();
/** What a commit of the tree is, by a repository that remembers nothing. */
const fresh = (...args: string[]) => commit(makeRepo(), '--no-cache', ...args);
const folder = (repo: string) => join(repo, 'tmp/cache/sealtree');
const cacheFiles = (repo: string) => (existsSync(folder(repo)) ? readdirSync(folder(repo)).sort() : []);
const sourceFile = (repo: string) => cacheFiles(repo).find((name) => name.startsWith('source-')) as string;
const statistics = (repo: string) => JSON.parse(sealtreeOk(['cache', 'stats', `--repo=${repo}`, '--json']));

/** Changes a file of the cache as someone would who can write to it. */
function forge(repo: string, name: string, edit: (words: Uint32Array) => void): void {
  const at = { path: utf8ByteString(repo) };
  const words = Uint32Array.from(usablePayload(at, byteString(name)) as Uint32Array);
  edit(words);
  writeCacheFile(at, byteString(name), [words]);
}

describe('a repeated commit', () => {
  for (const mode of ['bare-user', 'archive', 'bare-user-only'] as const) {
    it(`to ${mode} is the same with the cache and without`, () => {
      const repo = makeRepo(mode);
      const first = commit(repo);
      expect(cacheFiles(repo)).toEqual(['images', 'objects', expect.stringMatching(/^source-[0-9a-f]{32}$/)]);
      expect(commit(repo)).toBe(first);
      rmSync(join(folder(repo), 'images'));
      expect(commit(repo)).toBe(first);
      rmSync(join(folder(repo), 'objects'));
      rmSync(join(folder(repo), 'images'));
      expect(commit(repo)).toBe(first);
      expect(commit(repo, '--no-cache')).toBe(first);
      expect(sealtreeOk(['fsck', `--repo=${repo}`])).toContain('no errors found');
    });
  }

  it('reads no file that it knows', () => {
    const repo = makeRepo();
    const first = commit(repo);
    // The proof is a lie: the checksums of two files, exchanged, are believed.
    forge(repo, sourceFile(repo), (words) => {
      const files: number[] = [];
      for (let at = 0; at < words.length; at += 22) if ((words[at + 1] as number) >> 12 === 8) files.push(at);
      const [a, b] = [files.at(0) as number, files.at(-1) as number];
      const kept = words.slice(a + 14, a + 22);
      words.copyWithin(a + 14, b + 14, b + 22);
      words.set(kept, b + 14);
    });
    expect(commit(repo)).not.toBe(first);
    expect(commit(repo, '--no-cache')).toBe(first);
  });

  it('counts all objects as the first does', () => {
    const repo = makeRepo();
    const counts = () =>
      sealtreeOk(['commit', `--repo=${repo}`, ...ARGS, '--table-output', tree])
        .split('\n')
        .slice(1);
    const [metadata, , content] = counts();
    expect(counts()).toEqual(expect.arrayContaining([metadata, content, 'Content Written: 0']));
  });

  it('knows trees and options apart', () => {
    const repo = makeRepo();
    const plain = commit(repo);
    const owned = commit(repo, '--owner-uid=7');
    expect(owned).toBe(fresh('--owner-uid=7'));
    expect(commit(repo, '--owner-uid=7')).toBe(owned);
    expect(commit(repo)).toBe(plain);
    expect(cacheFiles(repo).filter((name) => name.startsWith('source-'))).toHaveLength(2);
  });

  it('does what a statoverride says, and forgets it', () => {
    const repo = makeRepo();
    const rules = join(scratch, 'statoverride');
    writeFileSync(rules, '=384 /folder-1/inner-1/file-1\n+64 /folder-2\n');
    const plain = commit(repo);
    const changed = fresh(`--statoverride=${rules}`);
    expect(changed).not.toBe(plain);
    expect(commit(repo, `--statoverride=${rules}`)).toBe(changed);
    expect(commit(repo)).toBe(plain);
    expect(commit(repo, `--statoverride=${rules}`)).toBe(changed);
  });

  it('writes objects again that are gone', () => {
    const repo = makeRepo();
    const first = commit(repo);
    for (const name of readdirSync(join(repo, 'objects')))
      rmSync(join(repo, 'objects', name), { recursive: true });
    expect(commit(repo)).toBe(first);
    expect(sealtreeOk(['fsck', `--repo=${repo}`])).toContain('no errors found');
  });

  it('takes files of an earlier commit from the cache', () => {
    const repo = makeRepo('archive');
    sealtreeOk(['commit', `--repo=${repo}`, '--branch=base', ...ARGS.slice(1), tree]);
    const overlay = makeFiles(join(scratch, `overlay-${counter++}`), 3, 99);
    const args = [`--tree=ref=base`, `--tree=dir=${overlay}`];
    const layered = () => sealtreeOk(['commit', `--repo=${repo}`, ...ARGS, ...args]).trim();
    const first = layered();
    expect(layered()).toBe(first);
    sealtreeOk(['cache', 'clear', `--repo=${repo}`]);
    expect(layered()).toBe(first);
  });
});

describe('a first commit', () => {
  it('is the same with any number of threads, with the native part and without', () => {
    const large = join(scratch, `large-${counter++}`);
    makeFiles(large, 20);
    // Enough for threads to be started, one file too large for a buffer, all sizes around a block.
    writeFileSync(join(large, 'streamed'), pattern(9_000_001, 1));
    const content = pattern(250_000, 2);
    for (let i = 0; i < 75; i++) writeFileSync(join(large, `file-${i}`), content.subarray(i * 64));
    for (const size of [1, 4095, 4096, 4097, 8192, 12_289])
      writeFileSync(join(large, `size-${size}`), pattern(size, size));
    const by = (mode: string, prefix: string[], env: Record<string, string> = {}) => {
      const repo = makeRepo(mode);
      const args = ['commit', `--repo=${repo}`, ...ARGS, large];
      return expectSuccess(run([...prefix, link(), ...args], { env }), args).trim();
    };
    const [alone, portable] = [['taskset', '-c', '0'], { SEALTREE_NATIVE: '0' }];
    const expected = by('bare-user', []);
    expect(by('bare-user', alone)).toBe(expected);
    expect(by('bare-user', [], portable)).toBe(expected);
    expect(by('archive', alone, portable)).toBe(expected);
    expect(by('archive', [])).toBe(expected);
  }, 180_000);
});

describe('a change', () => {
  /** A file of a tree of its own, which a repository has and remembers. */
  async function remembered() {
    const repo = makeRepo();
    const own = makeFiles(join(scratch, `own-${counter++}`), 4);
    const file = join(own, 'folder-1', 'inner-1', 'file-1');
    await setTimeout(SETTLED);
    const at = (...args: string[]) => sealtreeOk(['commit', `--repo=${repo}`, ...ARGS, ...args, own]).trim();
    const first = at();
    expect(at()).toBe(first);
    const expectSeen = () => {
      const changed = at();
      expect(changed).not.toBe(first);
      expect(changed).toBe(at('--no-cache'));
    };
    return { repo, own, file, at, expectSeen };
  }

  it('in place, of the same size, with the modification time put back', async () => {
    const { file, expectSeen } = await remembered();
    const { atime, mtime, size } = statSync(file);
    writeFileSync(file, pattern(size, 12345), { flag: 'r+' });
    utimesSync(file, atime, mtime);
    expectSeen();
  });

  it('by another file of the same size and times under its name', async () => {
    const { file, expectSeen } = await remembered();
    const { atime, mtime, size } = statSync(file);
    writeFileSync(`${file}.new`, pattern(size, 54321));
    utimesSync(`${file}.new`, atime, mtime);
    renameSync(`${file}.new`, file);
    expectSeen();
  });

  it('of a mode, of a name, of a directory', async () => {
    const { own, file, expectSeen } = await remembered();
    chmodSync(file, 0o600);
    expectSeen();
    renameSync(file, `${file}-renamed`);
    expectSeen();
    chmodSync(join(own, 'folder-1'), 0o700);
    expectSeen();
    rmSync(join(own, 'folder-2'), { recursive: true });
    expectSeen();
  });

  it('right after the last commit, again and again', () => {
    const repo = makeRepo();
    const own = makeFiles(join(scratch, `own-${counter++}`), 4);
    const file = join(own, 'folder-1', 'inner-1', 'file-1');
    const { atime, mtime, size } = statSync(file);
    const seen = new Set<string>();
    for (let round = 0; round < 6; round++) {
      // Through a descriptor that is open all the time, as a program does that edits in place.
      const fd = openSync(file, 'r+');
      writeSync(fd, pattern(size, round), 0, size, 0);
      closeSync(fd);
      utimesSync(file, atime, mtime);
      seen.add(sealtreeOk(['commit', `--repo=${repo}`, ...ARGS, own]).trim());
    }
    expect(seen.size).toBe(6);
  });
});

describe('a cache that is not what it was', () => {
  const damages: Record<string, (path: string) => void> = {
    'is empty': (path) => truncateSync(path),
    'is cut': (path) => truncateSync(path, statSync(path).size - 4),
    'is longer': (path) => appendFileSync(path, 'more'),
    'has a flipped bit': (path) => {
      const data = readFileSync(path);
      data[data.length - 20] = (data[data.length - 20] as number) ^ 1;
      writeFileSync(path, data);
    },
    'is of another format': (path) => {
      const data = readFileSync(path);
      data[8] = 200;
      writeFileSync(path, data);
    },
    'is from the future': (path) => {
      const data = readFileSync(path);
      data.writeDoubleLE(Date.now() + 1e9, 16);
      writeFileSync(path, data);
    },
    'is a symlink to a directory': (path) => {
      rmSync(path);
      symlinkSync('/', path);
    },
    'has records that cannot be': (path) => {
      const name = path.split('/').at(-1) as string;
      forge(path.slice(0, path.indexOf('/tmp/cache/')), name, (words) => words.fill(0xfffffff0));
    },
  };
  for (const [how, damage] of Object.entries(damages)) {
    it(`${how} is passed over and made anew`, () => {
      const repo = makeRepo();
      const first = commit(repo);
      for (const name of cacheFiles(repo)) damage(join(folder(repo), name));
      expect(commit(repo)).toBe(first);
      expect(commit(repo)).toBe(first);
      expect(sealtreeOk(['fsck', `--repo=${repo}`])).toContain('no errors found');
    });
  }

  it('of another tree, or of another kind, is not taken for one', () => {
    const repo = makeRepo();
    const first = commit(repo);
    copyFileSync(join(folder(repo), 'objects'), join(folder(repo), sourceFile(repo)));
    copyFileSync(join(folder(repo), 'images'), join(folder(repo), 'objects'));
    rmSync(join(folder(repo), 'images'));
    expect(commit(repo)).toBe(first);
  });

  it('cannot be written: the commit is made all the same', () => {
    const repo = makeRepo();
    writeFileSync(folder(repo), 'in the way');
    expect(commit(repo)).toBe(fresh());
    expect(statistics(repo).files).toEqual([]);
  });
});

describe('fsck', () => {
  it('tells of a damaged file, and removes it with --delete', () => {
    const repo = makeRepo();
    commit(repo);
    truncateSync(join(folder(repo), 'objects'), 100);
    const { status, stderr } = sealtree(['fsck', `--repo=${repo}`]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'cache: objects is damaged and is not used\n' });
    expect(statistics(repo).files).toContainEqual(
      expect.objectContaining({ name: 'objects', problem: 'damaged' }),
    );
    sealtree(['fsck', `--repo=${repo}`, '--delete']);
    expect(cacheFiles(repo)).not.toContain('objects');
  });

  for (const mode of ['archive', 'bare-user'] as const) {
    it(`finds out what is not true of an object in ${mode}`, () => {
      const repo = makeRepo(mode);
      commit(repo);
      expect(sealtree(['fsck', `--repo=${repo}`]).status).toBe(0);
      forge(repo, 'objects', (words) => {
        // A digit of the fs-verity digest of the first regular file that has one.
        let at = 1;
        while (words[at + 8] === 0) at += 23;
        words[at + 8] = (words[at + 8] as number) ^ 1;
      });
      const { status, stderr } = sealtree(['fsck', `--repo=${repo}`]);
      expect(status).not.toBe(0);
      expect(stderr).toMatch(/^cache: [0-9a-f]{64}\.file is not what is remembered of it, it has \d+ bytes/);
      sealtree(['fsck', `--repo=${repo}`, '--delete']);
      expect(cacheFiles(repo)).toEqual([]);
      expect(sealtree(['fsck', `--repo=${repo}`]).status).toBe(0);
    });
  }
});

describe('cache clear', () => {
  it('forgets everything, and ostree does not know it', () => {
    const repo = makeRepo();
    commit(repo);
    expect(statistics(repo).files).toHaveLength(3);
    expect(sealtreeOk(['cache', 'stats', `--repo=${repo}`])).toMatch(/in 3 files\n$/);
    sealtreeOk(['cache', 'clear', `--repo=${repo}`]);
    expect(existsSync(folder(repo))).toBe(false);
    expect(statistics(repo)).toEqual({ path: folder(repo), size: 0, files: [] });
    expect(
      sealtree(['commit', `--repo=${repo}`, '--no-cache', tree], { program: 'ostree' }).stderr,
    ).toContain('Unknown option --no-cache');
  });

  it('while commits run disturbs none of them', async () => {
    const repo = makeRepo('archive');
    const expected = fresh();
    for (let round = 0; round < 3; round++) {
      const children = Array.from({ length: 3 }, () =>
        startSealtree(['commit', `--repo=${repo}`, ...ARGS, tree], { stdio: ['ignore', 'pipe', 'inherit'] }),
      );
      const outputs = children.map(
        (child) =>
          new Promise<string>((resolve) => {
            let text = '';
            child.stdout?.on('data', (data) => (text += data));
            child.on('close', () => resolve(text.trim()));
          }),
      );
      sealtreeOk(['cache', 'clear', `--repo=${repo}`]);
      expect(await Promise.all(outputs)).toEqual([expected, expected, expected]);
    }
    expect(commit(repo)).toBe(expected);
  });
});
