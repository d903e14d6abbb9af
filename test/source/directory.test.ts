/** Scans of directories against images that mkcomposefs made of the same directories. @module */
import { closeSync, constants, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../src/core/bytes/hex.ts';
import { writeImage } from '../../src/core/erofs/writer.ts';
import type { Inode } from '../../src/core/fs/file-tree.ts';
import { VerityHash, verityDigest } from '../../src/core/verity/digest.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { useNative } from '../../src/node/native.ts';
import { type ScanOptions, scanDirectory } from '../../src/source/directory.ts';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { WAYS } from '../native-part.ts';
import { requires } from '../requires.ts';
import { expectSuccess, run } from '../run.ts';
import { makeWideTree, removeDirectory, scratchDirectory } from '../trees.ts';
import { makeScanTree } from './scan-tree.ts';

/** Without workers, which are tested through the bundle. */
const here: ScanOptions = { threads: 1 };

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('scan');
});
afterAll(() => removeDirectory(scratch));

const rows = readFileSync(new URL('../vectors/dirscan/dirscan.tsv', import.meta.url), 'latin1')
  .trimEnd()
  .split('\n')
  .slice(1)
  .map(
    (line) =>
      line.split('\t') as [tree: string, options: string, size: string, sha256: string, verity: string],
  );

for (const { way, part } of WAYS) {
  requires({ root: true }).describe(`a scan ${way} makes the image of mkcomposefs 1.0.8`, () => {
    beforeAll(() => {
      useNative(part());
      makeScanTree(`${scratch}/plain`);
      makeScanTree(`${scratch}/wh`, { whiteout: true });
    });
    afterAll(() => {
      useNative(undefined);
      for (const name of ['plain', 'wh']) removeDirectory(`${scratch}/${name}`);
    });
    it.each(rows)('of %s with %s', async (tree, words, size, _sha256, verity) => {
      const options: ScanOptions = {
        ...here,
        useEpoch: words.includes('--use-epoch'),
        skipDevices: words.includes('--skip-devices'),
        xattrs: words.includes('--skip-xattrs') ? 'none' : words.includes('--user-xattrs') ? 'user' : 'all',
      };
      const versions = words.includes('--min-version=1')
        ? ({ minVersion: 1, maxVersion: 1 } as const)
        : words.includes('--max-version=0')
          ? ({ minVersion: 0, maxVersion: 0 } as const)
          : undefined;
      const hash = new VerityHash(opensslHash);
      const root = await scanDirectory(byteString(`${scratch}/${tree}`), options);
      const image = writeImage(root, versions, (chunk) => hash.update(chunk));
      expect([image.size, hexOf(hash.digest())]).toEqual([Number(size), verity]);
    });
  });
}

describe.each(WAYS)('a scan $way', ({ part }) => {
  beforeAll(() => useNative(part()));
  afterAll(() => {
    useNative(undefined);
    for (const name of ['bytes', 'wide', 'link']) removeDirectory(`${scratch}/${name}`);
  });

  it('takes names that are not UTF-8', async () => {
    const path = `${scratch}/bytes`;
    mkdirSync(path);
    writeFileSync(Buffer.from(`${path}/\xff\xfe`, 'latin1'), 'x');
    const root = await scanDirectory(byteString(path), here);
    expect([...(root.children as Map<string, Inode>).keys()]).toEqual(['\xff\xfe']);
  });

  it('takes more entries than the kernel tells at once', async () => {
    const path = `${makeWideTree(`${scratch}/wide`, 4000)}/wide`;
    const root = await scanDirectory(byteString(path), here);
    expect(root.children?.size).toBe(4000);
  });

  it('takes paths longer than PATH_MAX', async () => {
    const path = `${scratch}/long`;
    mkdirSync(path);
    makeLongPath(path, 60, 'd'.repeat(200));
    let inode: Inode = await scanDirectory(byteString(path), here);
    let depth = 0;
    for (let next = onlyChild(inode); next !== undefined; next = onlyChild(inode)) {
      inode = next;
      depth++;
    }
    expect([depth, inode.size, inode.digest]).toEqual([61, 100, hexOf(verityDigest(opensslHash, LONG))]);
    expectSuccess(run(['rm', '-rf', path]), ['rm']);
  });

  it('names what it cannot access', async () => {
    await expect(scanDirectory(byteString(`${scratch}/none`), here)).rejects.toThrow(
      `error accessing ${scratch}/none: No such file or directory`,
    );
  });

  it('takes a symlink for what it is', async () => {
    symlinkSync('bytes', `${scratch}/link`);
    const root = await scanDirectory(byteString(`${scratch}/link`), here);
    expect([root.mode & 0o170000, root.payload, root.children]).toEqual([0o120000, 'bytes', undefined]);
  });
});

const LONG = vectorBytes(100);

/** Makes `depth` directories in each other and a file in the last one, however long the path becomes. */
function makeLongPath(path: string, depth: number, name: string): void {
  let fd = openSync(path, constants.O_DIRECTORY);
  for (let i = 0; i < depth; i++) {
    mkdirSync(`/proc/self/fd/${fd}/${name}`);
    const next = openSync(`/proc/self/fd/${fd}/${name}`, constants.O_DIRECTORY);
    closeSync(fd);
    fd = next;
  }
  writeFileSync(`/proc/self/fd/${fd}/file`, LONG);
  closeSync(fd);
}

function onlyChild(inode: Inode): Inode | undefined {
  return inode.children?.values().next().value as Inode | undefined;
}
