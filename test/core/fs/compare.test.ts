import { describe, expect, it } from 'vitest';
import { compareImages } from '../../../src/core/erofs/compare-images.ts';
import { memorySource } from '../../../src/core/erofs/image-source.ts';
import { compareTrees, describeDifference } from '../../../src/core/fs/compare.ts';
import { imageOf, treeOf } from '../../composefs-vectors.ts';

const ROOT = '/ 0 40755 2 0 0 0 0.0 - - -\n';
const BIN = `${ROOT}/usr 0 40755 2 0 0 0 0.0 - - -\n/usr/bin 0 40755 2 0 0 0 0.0 - - -\n`;
const su = (line: string) => `${BIN}/usr/bin/su ${line}\n`;
const DIGEST = 'a1'.repeat(32);

const words = (a: string, b: string) => compareTrees(treeOf(a), treeOf(b)).map(describeDifference);

describe('two trees', () => {
  it('that are equal have no difference', () => {
    expect(words(su('9 104755 1 0 0 0 1.2 x/y - -'), su('9 104755 1 0 0 0 1.2 x/y - -'))).toEqual([]);
  });

  it.each([
    ['104755 1 0 0 0 0.0 - - -', '100755 1 0 0 0 0.0 - - -', ['mode is 755, expected 4755']],
    [
      '100755 1 1 2 0 0.0 - - -',
      '100755 1 3 4 0 0.0 - - -',
      ['uid is 3, expected 1', 'gid is 4, expected 2'],
    ],
    ['100755 1 0 0 0 1.2 - - -', '100755 1 0 0 0 1.3 - - -', ['mtime is 1.3, expected 1.2']],
    ['100755 2 0 0 0 0.0 - - -', '100755 1 0 0 0 0.0 - - -', ['nlink is 1, expected 2']],
    [
      `100755 1 0 0 0 0.0 p - ${DIGEST}`,
      '100755 1 0 0 0 0.0 - - -',
      ["backing file is none, expected 'p'", `digest is none, expected ${DIGEST}`],
    ],
    ['20755 1 0 0 259 0.0 - - -', '20755 1 0 0 260 0.0 - - -', ['rdev is 260, expected 259']],
    [
      '100755 1 0 0 0 0.0 - - - user.a=1',
      '100755 1 0 0 0 0.0 - - - user.b=\\x00',
      ["xattr user.a is none, expected '1'", "xattr user.b is '\\x00', expected none"],
    ],
  ])('%s and %s', (a, b, expected) => {
    expect(words(su(`0 ${a}`), su(`0 ${b}`))).toEqual(expected.map((text) => `/usr/bin/su: ${text}`));
  });

  it('differ in the target of a symlink, the content of a file, the type of an inode', () => {
    expect(words(`${ROOT}/l 0 120777 1 0 0 0 0.0 a - -\n`, `${ROOT}/l 0 120777 1 0 0 0 0.0 b - -\n`)).toEqual(
      ["/l: target is 'b', expected 'a'"],
    );
    expect(
      words(`${ROOT}/f 5 100644 1 0 0 0 0.0 - hello -\n`, `${ROOT}/f 5 100644 1 0 0 0 0.0 - hexlo -\n`),
    ).toEqual(["/f: content is 'xlo' from byte 2 on, expected 'llo' from byte 2 on"]);
    expect(words(`${ROOT}/f 0 100644 1 0 0 0 0.0 - - -\n`, `${ROOT}/f 0 40644 1 0 0 0 0.0 - - -\n`)).toEqual([
      '/f: is a directory, expected a regular file',
    ]);
  });

  it('differ in names, of which what is below is not listed', () => {
    expect(words(su('0 100755 1 0 0 0 0.0 - - -'), `${ROOT}/etc 0 40755 2 0 0 0 0.0 - - -\n`)).toEqual([
      '/etc: is a directory, expected nothing of that name',
      '/usr: is missing, expected a directory',
    ]);
  });

  it('differ in what is one inode, not in which name owns it', () => {
    const file = (name: string) => `/${name} 0 100644 1 0 0 0 0.0 - - -\n`;
    const link = (name: string, to: string) => `/${name} 0 @100644 1 0 0 0 0.0 /${to} - -\n`;
    expect(words(ROOT + file('a') + link('b', 'a'), ROOT + link('a', 'b') + file('b'))).toEqual([]);
    expect(words(ROOT + file('a') + link('b', 'a'), ROOT + file('a') + file('b'))).toEqual([
      "/b: hard link is none, expected '/a'",
    ]);
  });

  it('with a directory that has two names, or is below itself, are compared once', () => {
    const tree = `${su('0 100755 1 0 0 0 0.0 - - -')}/usr/bin/up 0 @100644 1 0 0 0 0.0 / - -\n`;
    expect(words(tree, tree)).toEqual([]);
  });

  it('are compared up to a limit', () => {
    const tree = (mode: string) =>
      ROOT + Array.from({ length: 300 }, (_, i) => `/f${i} 0 ${mode} 1 0 0 0 0.0 - - -\n`).join('');
    expect(compareTrees(treeOf(tree('100644')), treeOf(tree('100600')))).toHaveLength(100);
    expect(compareTrees(treeOf(tree('100644')), treeOf(tree('100600')), { limit: 1 })).toHaveLength(1);
  });
});

describe('two images', () => {
  const good = imageOf(treeOf(su('9 104755 1 0 0 0 0.0 x/y - -')));
  const compare = (found: Uint8Array) => compareImages(memorySource(good), memorySource(found));

  it('that are equal have no difference', () => {
    expect(compare(good.slice())).toEqual([]);
  });

  it('differ in their trees', () => {
    expect(compare(imageOf(treeOf(su('9 100755 1 0 0 0 0.0 x/y - -'))))).toEqual([
      '/usr/bin/su: mode is 755, expected 4755',
    ]);
  });

  it('differ in version, or only in bytes that say nothing', () => {
    const tree = treeOf(su('9 104755 1 0 0 0 0.0 x/y - -'));
    expect(compare(imageOf(tree, { minVersion: 1, maxVersion: 1 }))).toEqual([
      'image: format version is 1, expected 0',
    ]);
    const padded = good.slice();
    padded[500] = 1;
    expect(compare(padded)).toEqual(['image: differs at offset 500, though it holds the same tree']);
  });

  it('differ because one is damaged or cut off', () => {
    const damaged = good.slice();
    damaged[1024] = 0;
    expect(compare(damaged)).toEqual([
      'image is damaged: EROFS magic number at offset 1024: expected 0xe0f5e1e2, found 0xe0f5e100',
    ]);
    expect(compare(good.subarray(0, 8192))).toContain(`image: size is 8192, expected ${good.length}`);
  });
});
