/** What is remembered of files, and when it is not believed: by the clock, by its own hash, by bounds. */
import { hash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cacheProblem, listCacheFiles, writeCacheFile } from '../../src/cache/cache-file.ts';
import { ObjectFacts } from '../../src/cache/object-facts.ts';
import { SourceCache } from '../../src/cache/source-cache.ts';
import { byteString, utf8ByteString } from '../../src/core/bytes/byte-string.ts';
import type { ComposefsFile } from '../../src/core/ostree/composefs-tree.ts';
import { type FileStatus, IDENTITY_WORDS, packIdentity } from '../../src/node/syscalls.ts';
import { initRepository } from '../../src/repo/init.ts';
import { Repo } from '../../src/repo/repo.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

/** 2026-01-01, in seconds. */
const NOW = 1_767_225_600;
const DEVICE = 0x811;

let scratch = '';
let repo: Repo;

beforeEach(() => {
  scratch = scratchDirectory('source-cache');
  const path = utf8ByteString(join(scratch, 'repo'));
  initRepository(path, { mode: 'archive' });
  repo = Repo.open(path);
  vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 });
});
afterEach(() => {
  vi.useRealTimers();
  removeDirectory(scratch);
});

const checksumOf = (text: string) => hash('sha256', text, 'hex');

function identityOf(inode: number, changes: Partial<FileStatus> = {}): Uint32Array {
  const identity = new Uint32Array(IDENTITY_WORDS);
  const times = { mtimeSec: NOW - 100, mtimeNsec: 5, ctimeSec: NOW - 100, ctimeNsec: 6 };
  const status = {
    mode: 0o100644,
    nlink: 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: 10,
    ino: BigInt(inode),
    dev: DEVICE,
  };
  packIdentity({ ...status, ...times, ...changes }, identity, 0);
  return identity;
}

function open(options: unknown = {}, inode = 2): SourceCache {
  const identity = identityOf(inode, { mode: 0o040755 });
  const cache = SourceCache.open(repo, { path: utf8ByteString(scratch), identity, xattrs: [], options });
  if (cache === undefined) throw new Error('the scratch directory is on a network file system');
  return cache;
}

const found = (cache: SourceCache, identity: Uint32Array) => {
  const record = cache.find(identity);
  return record < 0 ? undefined : cache.checksum(record).toString('hex');
};

function remember(...identities: Uint32Array[]): void {
  const cache = open();
  for (const [i, identity] of identities.entries()) cache.add(identity, 0, checksumOf(`${i}`));
  cache.save();
}

describe('a file', () => {
  it('is known by everything that shows a change', () => {
    remember(identityOf(7), identityOf(8));
    const cache = open();
    expect(cache.size).toBe(2);
    expect(found(cache, identityOf(8))).toBe(checksumOf('1'));
    expect(found(cache, identityOf(7))).toBe(checksumOf('0'));
    const changes: Partial<FileStatus>[] = [
      { mode: 0o100645 },
      { uid: 1 },
      { gid: 1 },
      { size: 11 },
      { size: 10 + 2 ** 32 },
      { mtimeSec: NOW - 101 },
      { mtimeNsec: 6 },
      { ctimeSec: NOW - 99 },
      { ctimeNsec: 7 },
      { ino: 7n + (1n << 32n) },
      { dev: DEVICE + 1 },
    ];
    for (const change of changes)
      expect(found(cache, identityOf(7, change)), Object.keys(change).join()).toBeUndefined();
  });

  it('that was changed within 2.5 seconds, or in the future, is not remembered', () => {
    const times = [-100, -3, -2, 0, 1, 1e6].map((seconds, i) => identityOf(i, { ctimeSec: NOW + seconds }));
    remember(...times, identityOf(50, { ctimeSec: -5 }));
    vi.setSystemTime((NOW + 1e7) * 1000);
    const cache = open();
    expect(times.map((identity) => found(cache, identity) !== undefined)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
    expect(found(cache, identityOf(50, { ctimeSec: -5 }))).toBeDefined();
  });

  it('is known after the clock went on, not after it was set back behind the cache', () => {
    remember(identityOf(7));
    vi.setSystemTime((NOW + 86_400) * 1000);
    expect(found(open(), identityOf(7))).toBeDefined();
    vi.setSystemTime((NOW - 86_400) * 1000);
    expect(found(open(), identityOf(7))).toBeUndefined();
    expect(listCacheFiles(repo).map((file) => cacheProblem(repo, file))).toEqual(['from the future']);
  });

  it('below another file system is not remembered', () => {
    remember(identityOf(7, { dev: DEVICE + 1 }), identityOf(8));
    expect(open().size).toBe(1);
  });

  it('that was not seen again is forgotten, one with many names is there once', () => {
    remember(identityOf(7), identityOf(8), identityOf(7), identityOf(9));
    const cache = open();
    expect(cache.size).toBe(3);
    const record = cache.find(identityOf(9));
    cache.keep(record);
    cache.keep(record);
    cache.add(identityOf(8, { ctimeNsec: 9 }), 0, checksumOf('new'));
    cache.save();
    const next = open();
    expect(next.size).toBe(2);
    expect(found(next, identityOf(7))).toBeUndefined();
    expect(found(next, identityOf(8, { ctimeNsec: 9 }))).toBe(checksumOf('new'));
  });

  it('is known for the same tree and options only', () => {
    remember(identityOf(7));
    expect(open({ uid: 0 }).size).toBe(0);
    expect(open({}, 3).size).toBe(0);
    expect(open().size).toBe(1);
  });
});

it('remembers the 32 trees that were used last', () => {
  for (let tree = 100; tree < 140; tree++) {
    vi.setSystemTime((NOW + tree) * 1000);
    const cache = open({}, tree);
    cache.add(identityOf(7), 0, checksumOf('x'));
    cache.save();
  }
  expect(listCacheFiles(repo)).toHaveLength(32);
});

describe('a file of the cache', () => {
  const path = () => join(scratch, 'repo/tmp/cache/sealtree');
  const file = (text: string): ComposefsFile => ({
    header: {
      uid: 1,
      gid: 2,
      mode: text.length % 3 === 0 ? 0o120777 : 0o100640,
      rdev: 0,
      symlinkTarget: byteString(text.length % 3 === 0 ? `target ${text}` : ''),
      xattrs: text.length % 2 === 0 ? [[byteString('user.a'), byteString(text)]] : [],
    },
    size: text.length % 3 === 0 ? 0 : 2 ** 33 + text.length,
    verity: text.length % 3 === 0 ? undefined : checksumOf(`verity ${text}`),
  });

  it('gives back what was added', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ unit: 'binary-ascii', maxLength: 20 }), { maxLength: 30 }),
        (texts) => {
          const facts = ObjectFacts.open(repo);
          for (const text of texts) facts.add(checksumOf(text), file(text));
          facts.save(() => true);
          const read = ObjectFacts.open(repo);
          for (const text of texts) expect(read.find(checksumOf(text))).toEqual(file(text));
          expect(read.find(checksumOf('no such text, being too long'))).toBeUndefined();
        },
      ),
      { numRuns: 30 },
    );
  });

  it('is not believed with any byte changed, cut or added', () => {
    remember(identityOf(7), identityOf(8));
    const name = readdirSync(path())[0] as string;
    const whole = readFileSync(join(path(), name));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(2), (at, bits, how) => {
        const data =
          how === 0
            ? Buffer.from(whole)
            : how === 1
              ? whole.subarray(0, at)
              : Buffer.concat([whole, whole.subarray(at)]);
        if (how === 0) data[at] = (data[at] as number) ^ bits;
        writeFileSync(join(path(), name), data);
        expect(open().size).toBe(0);
      }),
    );
    writeFileSync(join(path(), name), whole);
    expect(open().size).toBe(2);
  });

  it('that somebody made up ends in no failure', () => {
    mkdirSync(path(), { recursive: true });
    const words = fc.array(
      fc.oneof(
        fc.nat(3),
        fc.constantFrom(0o100644, 0o120777, 0xffffffff),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(fc.nat(4), words, (count, payload) => {
        writeCacheFile(repo, byteString('objects'), [Uint32Array.of(count, ...payload)]);
        const facts = ObjectFacts.open(repo);
        const first = Buffer.from(Uint32Array.from(payload).buffer, 0, 32 <= payload.length * 4 ? 32 : 0);
        if (first.length === 32) facts.find(first.toString('hex'));
        expect(facts.find(checksumOf('x'))).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });
});
