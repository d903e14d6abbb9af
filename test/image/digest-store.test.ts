/** The digest store beside an image, as mkcomposefs --digest-store fills it. @module */
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../src/core/bytes/hex.ts';
import { verityDigest } from '../../src/core/verity/digest.ts';
import { fillDigestStore, objectPath, type StoredFile } from '../../src/image/digest-store.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { AT_FDCWD, statAt } from '../../src/node/syscalls.ts';
import type { PoolOptions } from '../../src/node/worker-pool.ts';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const workers = new URL('../../dist/', import.meta.url);
const here: PoolOptions = { threads: 1 };

let scratch: string;
let files: StoredFile[];
beforeAll(() => {
  scratch = scratchDirectory('store');
  files = [100, 5000, 70_000, 5000].map((size, i) => {
    writeFileSync(`${scratch}/${i}`, vectorBytes(size));
    return storedFile(`${i}`, hexOf(verityDigest(opensslHash, vectorBytes(size))));
  });
});
afterAll(() => removeDirectory(scratch));

describe.each<[string, PoolOptions]>([
  ['one thread', here],
  ['workers', { threads: 3, threshold: 0, workers }],
])('filled by %s', (name, options) => {
  it('has each content once, readable by all, and nothing else', async () => {
    const store = `${scratch}/parents made/${name}`;
    await fillDigestStore(byteString(store), files, options);
    const objects = [...new Set(files.map(({ digest }) => objectPath(digest) as string))].sort();
    expect(everyFile(store)).toEqual(objects);
    for (const { digest, path } of files) {
      expect(readFileSync(`${store}/${objectPath(digest)}`)).toEqual(readFileSync(path));
      expect(statSync(`${store}/${objectPath(digest)}`).mode & 0o7777).toBe(0o644);
    }
    const before = statSync(`${store}/${objects[0]}`, { bigint: true });
    await fillDigestStore(byteString(store), files, options);
    expect(statSync(`${store}/${objects[0]}`, { bigint: true })).toMatchObject({
      ino: before.ino,
      ctimeNs: before.ctimeNs,
    });
  });

  it('is left without anything when a file has changed since', async () => {
    const store = `${scratch}/changed ${name}`;
    const [first, second] = files as [StoredFile, StoredFile];
    const changed = { ...second, stamp: { ...second.stamp, size: 4999 } };
    await expect(fillDigestStore(byteString(store), [first, changed], options)).rejects.toThrow(
      `cannot fill store: ${scratch}/1: file changed while it was read: size is 5000, was 4999`,
    );
    expect(readdirSync(store)).toEqual([]);
  });
});

describe('filling a store', () => {
  // Words: mkcomposefs 1.0.8, which does not name the file.
  it.each(['0', '0/below'])('below the file %s is refused', async (name) => {
    await expect(fillDigestStore(byteString(`${scratch}/${name}`), files, here)).rejects.toThrow(
      `cannot fill store: ${scratch}/0: Not a directory`,
    );
  });

  it('where no directory can be made is refused', async () => {
    await expect(fillDigestStore(byteString('/proc/sealtree'), files, here)).rejects.toThrow(
      `cannot fill store: ${scratch}/0: No such file or directory`,
    );
  });

  it('follows no symlink that took the place of a file', async () => {
    symlinkSync('0', `${scratch}/link`);
    const link = storedFile('link', 'ff'.repeat(32));
    await expect(fillDigestStore(byteString(`${scratch}/links`), [link], here)).rejects.toThrow(
      `cannot fill store: ${scratch}/link: Too many levels of symbolic links`,
    );
    expect(everyFile(`${scratch}/links`)).toEqual([]);
  });

  it('goes through a symlink to the store', async () => {
    mkdirSync(`${scratch}/real`);
    symlinkSync('real', `${scratch}/alias`);
    await fillDigestStore(byteString(`${scratch}/alias`), files, here);
    expect(everyFile(`${scratch}/real`)).toHaveLength(3);
  });
});

function storedFile(name: string, digest: string): StoredFile {
  const path = byteString(`${scratch}/${name}`);
  return { digest, path, place: path, stamp: statAt(AT_FDCWD, path) };
}

function everyFile(store: string): string[] {
  return readdirSync(store, { recursive: true, encoding: 'latin1' })
    .filter((name) => statSync(`${store}/${name}`).isFile())
    .sort();
}
