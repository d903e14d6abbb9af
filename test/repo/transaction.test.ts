import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { byteString, utf8ByteString } from '../../src/core/bytes/byte-string.ts';
import { encodeDirtree } from '../../src/core/ostree/dirtree.ts';
import { lockFile } from '../../src/node/syscalls.ts';
import { initRepository } from '../../src/repo/init.ts';
import { Repo } from '../../src/repo/repo.ts';
import type { RepoMode } from '../../src/repo/repo-mode.ts';
import { Transaction } from '../../src/repo/transaction.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const EMPTY_DIRTREE = encodeDirtree({ files: [], dirs: [] });
/** SHA-256 of the one NUL byte that an empty dirtree is; ostree has the same constant. */
const EMPTY_CHECKSUM = '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d';
const COMMIT = 'ab'.repeat(32);
const FILE = { uid: 0, gid: 0, mode: 0o100644, rdev: 0, symlinkTarget: byteString(''), xattrs: [] };

let scratch = '';
let path = '';

beforeEach(() => {
  scratch = scratchDirectory('transaction');
  path = join(scratch, 'repo');
});
afterEach(() => removeDirectory(scratch));

function open(mode: RepoMode = 'archive', config = ''): Repo {
  initRepository(utf8ByteString(path), { mode });
  if (config !== '') writeFileSync(join(path, 'config'), `[core]\nrepo_version=1\nmode=${mode}\n${config}\n`);
  return Repo.open(utf8ByteString(path));
}

function staging(): string[] {
  return readdirSync(join(path, 'tmp')).filter((name) => name !== 'cache');
}

describe('a transaction', () => {
  it('shows objects and refs when it is committed and not before', () => {
    const repo = open();
    const transaction = Transaction.begin(repo);
    expect(transaction.writeMetadata('dirtree', EMPTY_DIRTREE)).toBe(EMPTY_CHECKSUM);
    transaction.setRef(byteString('a/b'), COMMIT);
    expect(transaction.has(EMPTY_CHECKSUM, 'dirtree')).toBe(true);
    expect(repo.hasObject('dirtree', EMPTY_CHECKSUM)).toBe(false);
    expect(existsSync(join(path, 'refs/heads/a'))).toBe(false);
    expect(staging()).toHaveLength(2);

    transaction.commit();
    expect(repo.readObject('dirtree', EMPTY_CHECKSUM)).toEqual(EMPTY_DIRTREE);
    expect(readFileSync(join(path, 'refs/heads/a/b'), 'utf8')).toBe(`${COMMIT}\n`);
    expect(lstatSync(join(path, 'refs/heads/a/b')).mode).toBe(0o100644);
    expect(staging()).toEqual([]);
  });

  it('leaves nothing when it is aborted', async () => {
    const repo = open('bare-user-only');
    const transaction = Transaction.begin(repo);
    transaction.writeMetadata('dirtree', EMPTY_DIRTREE);
    await transaction.writeFile(FILE, 3, [Buffer.from('abc')]);
    transaction.writeCommitmeta(COMMIT, new Uint8Array(0));
    transaction.abort();
    transaction.abort();
    expect(staging()).toEqual([]);
    expect(readdirSync(join(path, 'objects'))).toEqual([]);
  });

  it('counts what it was asked for and what it wrote', async () => {
    const transaction = Transaction.begin(open('bare-user-only'));
    for (const content of ['one', 'two', 'one']) await transaction.writeFile(FILE, 3, [Buffer.from(content)]);
    transaction.writeMetadata('dirtree', EMPTY_DIRTREE);
    transaction.writeMetadata('dirtree', EMPTY_DIRTREE);
    expect(transaction.stats).toEqual({
      metadataTotal: 2,
      metadataWritten: 1,
      contentTotal: 3,
      contentWritten: 2,
      contentBytesWritten: 6,
    });
    transaction.abort();
  });

  it('keeps the inode of an object that is there, and replaces detached metadata', () => {
    const repo = open();
    const object = join(path, 'objects', EMPTY_CHECKSUM.slice(0, 2), `${EMPTY_CHECKSUM.slice(2)}.dirtree`);
    const meta = join(path, 'objects/ab', `${'ab'.repeat(31)}.commitmeta`);
    const [first, second] = [Transaction.begin(repo), Transaction.begin(repo)];
    for (const [transaction, byte] of [
      [first, 1],
      [second, 2],
    ] as const) {
      transaction.writeMetadata('dirtree', EMPTY_DIRTREE);
      transaction.writeCommitmeta(COMMIT, Uint8Array.of(byte));
    }
    first.commit();
    const { ino } = lstatSync(object);
    expect(readFileSync(meta)).toEqual(Buffer.of(1));
    second.commit();
    expect(lstatSync(object).ino).toBe(ino);
    expect(readFileSync(meta)).toEqual(Buffer.of(2));
    expect(staging()).toEqual([]);
  });

  it('refuses content that has not the announced size or checksum', async () => {
    const transaction = Transaction.begin(open('bare-user-only'));
    const write = (size: number, expected?: string) =>
      transaction.writeFile(FILE, size, [Buffer.from('abc')], expected);
    await expect(write(4)).rejects.toThrow('Writing content object: Unexpected EOF with 1/4 bytes remaining');
    await expect(write(2)).rejects.toThrow('Writing content object: More content than the 2 bytes');
    await expect(write(3, COMMIT)).rejects.toThrow(`checksum expected='${COMMIT}' actual='`);
    expect(readdirSync(transaction.store.stagingPath)).toEqual([]);
    transaction.abort();
  });

  it('streams content that is too large for memory to the same object', async () => {
    const size = 9 * 1024 * 1024;
    const pieces = function* () {
      for (let at = 0; at < size; at += 65536) yield Buffer.alloc(Math.min(65536, size - at), at / 65536);
    };
    const checksums = new Set<string>();
    for (const mode of ['archive', 'bare-user-only'] as const) {
      path = join(scratch, mode);
      const repo = open(mode);
      const transaction = Transaction.begin(repo);
      const checksum = await transaction.writeFile(FILE, size, pieces());
      transaction.commit();
      let length = 0;
      for (const piece of repo.file(checksum).content()) length += piece.length;
      expect(length).toBe(size);
      checksums.add(checksum);
    }
    expect(checksums.size).toBe(1);
  });
});

describe('the staging folders of dead processes', () => {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

  it('are taken over if they are of this boot, with the objects in them', () => {
    const repo = open();
    const stale = join(path, `tmp/staging-${bootId}-Abc123`);
    mkdirSync(join(stale, EMPTY_CHECKSUM.slice(0, 2)), { recursive: true });
    writeFileSync(
      join(stale, EMPTY_CHECKSUM.slice(0, 2), `${EMPTY_CHECKSUM.slice(2)}.dirtree`),
      EMPTY_DIRTREE,
    );
    writeFileSync(join(stale, 'tmp-0123'), 'half an object');
    const transaction = Transaction.begin(repo);
    expect(transaction.store.stagingPath).toBe(stale);
    expect(transaction.has(EMPTY_CHECKSUM, 'dirtree')).toBe(true);
    transaction.commit();
    expect(repo.hasObject('dirtree', EMPTY_CHECKSUM)).toBe(true);
    expect(staging()).toEqual([]);
  });

  it('are removed if they are of another boot, and left alone while somebody has their lock', () => {
    const repo = open();
    const [dead, alive] = ['11111111-aaaa', '22222222-bbbb'].map((name) =>
      join(path, `tmp/staging-${name}-X`),
    );
    for (const folder of [dead, alive]) mkdirSync(join(folder as string, 'ab'), { recursive: true });
    const fd = openSync(`${alive}-lock`, 'w+');
    lockFile(fd, 'exclusive');
    try {
      Transaction.begin(repo).commit();
      expect(existsSync(dead as string)).toBe(false);
      expect(existsSync(join(alive as string, 'ab'))).toBe(true);
    } finally {
      closeSync(fd);
    }
  });

  it('leave no lock behind, unless somebody has it', () => {
    const repo = open();
    const [dead, alive] = ['A', 'B'].map((name) => join(path, `tmp/staging-${bootId}-${name}-lock`));
    for (const file of [dead, alive]) writeFileSync(file as string, '');
    const fd = openSync(alive as string, 'r+');
    lockFile(fd, 'exclusive');
    Transaction.begin(repo).commit();
    expect([existsSync(dead as string), existsSync(alive as string)]).toEqual([false, true]);
    closeSync(fd);
  });

  it('go with other old files in tmp, by the age that the configuration says', () => {
    const repo = open('archive', 'tmp-expiry-secs=60');
    const [old, young] = [join(path, 'tmp/old'), join(path, 'tmp/young')];
    for (const file of [old, young]) writeFileSync(file, '');
    const then = Date.now() / 1000 - 90;
    utimesSync(old, then, then);
    Transaction.begin(repo).commit();
    expect([existsSync(old), existsSync(young)]).toEqual([false, true]);
  });
});

describe('the lock of a repository', () => {
  it('is shared by writers and waited for while somebody deletes', () => {
    const repo = open('archive', 'lock-timeout-secs=1');
    const transactions = [Transaction.begin(repo), Transaction.begin(repo)];
    expect(new Set(transactions.map(({ store }) => store.stagingPath)).size).toBe(2);
    const fd = openSync(join(path, '.lock'), 'r+');
    expect(lockFile(fd, 'exclusive')).toBe(false);
    for (const transaction of transactions) transaction.abort();
    expect(lockFile(fd, 'exclusive')).toBe(true);
    // The words of ostree 2026.4.
    const message = 'Locking repo shared failed: Resource temporarily unavailable';
    expect(() => Transaction.begin(repo)).toThrow(message);
    closeSync(fd);
    Transaction.begin(repo).abort();
  });

  it('is not taken where the configuration says so', () => {
    const repo = open('archive', 'locking=false');
    const fd = openSync(join(path, '.lock'), 'w+');
    lockFile(fd, 'exclusive');
    Transaction.begin(repo).commit();
    closeSync(fd);
  });
});

describe('free space', () => {
  it('that has to stay free is not written to', async () => {
    const transaction = Transaction.begin(open('bare-user-only', 'min-free-space-percent=99'));
    // The words of ostree 2026.4, a no-break space among them.
    await expect(transaction.writeFile(FILE, 3, [Buffer.from('abc')])).rejects.toThrow(
      /^Writing content object: min-free-space-percent '99%' would be exceeded, at least \d+\.\d\u00a0kB requested$/,
    );
    transaction.writeMetadata('dirtree', EMPTY_DIRTREE);
    transaction.abort();
  });

  it('can be given as a size', async () => {
    const transaction = Transaction.begin(open('bare-user-only', 'min-free-space-size=9999TB'));
    await expect(transaction.writeFile(FILE, 3, [Buffer.from('abc')])).rejects.toThrow(
      /min-free-space-size 10484711424MB would be exceeded/,
    );
    transaction.abort();
  });
});

describe('refs', () => {
  it("do not stand in each other's way", () => {
    const repo = open();
    const set = (ref: string, checksum: string | undefined) => {
      const transaction = Transaction.begin(repo);
      try {
        transaction.setRef(utf8ByteString(ref), checksum);
        transaction.commit();
      } finally {
        transaction.abort();
      }
    };
    set('a/b', COMMIT);
    set('origin:main', COMMIT);
    expect(readFileSync(join(path, 'refs/remotes/origin/main'), 'utf8')).toBe(`${COMMIT}\n`);
    // The words of ostree 2026.4.
    expect(() => set('a', COMMIT)).toThrow('Conflict: b exists under a when attempting write');
    expect(() => set(COMMIT, COMMIT)).toThrow(`Rev name '${COMMIT}' looks like a checksum`);
    expect(() => set('-x', COMMIT)).toThrow('Invalid refspec -x');
    set('a/b', undefined);
    expect(existsSync(join(path, 'refs/heads/a/b'))).toBe(false);
    set('a', COMMIT);
    expect(lstatSync(join(path, 'refs/heads/a')).isFile()).toBe(true);
    expect(staging()).toEqual([]);
  });
});

describe('a new repository', () => {
  it('has the folders, modes and configuration of ostree', () => {
    open('bare');
    expect(readFileSync(join(path, 'config'), 'utf8')).toBe('[core]\nrepo_version=1\nmode=bare\n');
    const folders = readdirSync(path, { recursive: true, encoding: 'utf8' }).sort();
    // `ostree init` of ostree 2026.4.
    expect(folders).toEqual([
      'config',
      'extensions',
      'objects',
      'refs',
      'refs/heads',
      'refs/mirrors',
      'refs/remotes',
      'state',
      'tmp',
      'tmp/cache',
    ]);
    for (const name of folders.filter((name) => name !== 'config'))
      expect(lstatSync(join(path, name)).mode & 0o7777).toBe(0o775 & ~process.umask());
    expect(lstatSync(join(path, 'config')).mode & 0o7777).toBe(0o644);
  });

  it('is not made twice', () => {
    open('bare');
    initRepository(utf8ByteString(path), { mode: 'archive' });
    expect(readFileSync(join(path, 'config'), 'utf8')).toContain('mode=bare\n');
  });
});
