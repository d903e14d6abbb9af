/** Expected values: test/vectors/composefs, made by mkcomposefs 1.0.8. */
import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { writeImage } from '../../../src/core/erofs/writer.ts';
import { makeInode } from '../../../src/core/fs/file-tree.ts';
import { S_IFDIR, S_IFREG } from '../../../src/core/fs/mode.ts';
import { dumpOf, dumpText, imageOf, sha256, tableRows, treeOf, versionsOf } from '../../composefs-vectors.ts';

describe('the image of', () => {
  it.each(tableRows('goldens.tsv'))(
    '%s in version %s is what mkcomposefs writes',
    (name, version, size, hash) => {
      const image = imageOf(treeOf(dumpText(name as string)), versionsOf(version as string));
      expect([image.length, sha256(image)]).toEqual([Number(size), hash]);
    },
  );
});

describe('an input at the edge:', () => {
  // e39, e40: mkcomposefs writes bytes of its stack; e56: it never ends.
  const rows = tableRows('errors/errors.tsv').filter(([name]) => !/^e(39|40|56)/.test(name as string));

  it.each(rows.filter(([, , status]) => status === '0'))(
    '%s in version %s becomes the image that mkcomposefs writes',
    (name, version, _status, size, hash) => {
      const image = imageOf(treeOf(dumpText(`errors/${name}`)), versionsOf(version as string));
      expect([image.length, sha256(image)]).toEqual([Number(size), hash]);
    },
  );

  it.each(rows.filter(([, , status]) => status === '1'))(
    '%s in version %s is refused in the words of mkcomposefs',
    (name, version, _status, _size, _hash, _verity, message) => {
      const words = (message as string).replace(/^mkcomposefs: (cannot write file: )?/, '').replace(/ $/, '');
      const chunks: Uint8Array[] = [];
      expect(() =>
        writeImage(treeOf(dumpText(`errors/${name}`)), versionsOf(version as string), (chunk) =>
          chunks.push(chunk),
        ),
      ).toThrow(expect.objectContaining({ message: words }));
      expect(chunks).toEqual([]);
    },
  );

  it.each([
    ['errors/e39-digest-short', 'Invalid digest abcd'],
    ['errors/e40-digest-nothex', 'Invalid digest zz'],
    ['errors/e56-hardlink-cycle-tail-HANGS', 'Too many levels of symbolic links'],
  ])('%s is refused, which mkcomposefs does not do', (name, message) => {
    expect(() => imageOf(treeOf(dumpText(name)))).toThrow(message);
  });
});

describe('writing an image', () => {
  it('leaves the tree as it was', () => {
    const text = dumpText('17-whiteout-xattr-clash');
    const tree = treeOf(text);
    const before = dumpOf(tree);
    imageOf(tree);
    expect(dumpOf(tree)).toBe(before);
  });

  it('refuses versions that do not exist', () => {
    const tree = treeOf(dumpText('01-empty-root'));
    expect(() => imageOf(tree, { minVersion: 2, maxVersion: 2 })).toThrow('Invalid argument');
    expect(() => imageOf(tree, { minVersion: 0, maxVersion: -1 })).toThrow('Invalid argument');
  });

  it('refuses a root that is no directory, as mkcomposefs does for a source that is a file', () => {
    expect(() => imageOf(makeInode(S_IFREG | 0o644))).toThrow('Not a directory');
  });

  it('refuses a hard link to an inode that the tree does not hold', () => {
    const root = makeInode(S_IFDIR | 0o755);
    root.children?.set(byteString('a'), { linkTo: makeInode(S_IFREG) });
    expect(() => imageOf(root)).toThrow('Invalid argument');
  });

  it('names the fault that a walk in depth meets first', () => {
    // mkcomposefs 1.0.8 says the same of both orders.
    const large = (path: string) => `${path} 9007199254740993 100644 1 0 0 0 0.0 - - -\n`;
    const clash = (path: string) =>
      `${path} 0 40755 2 0 0 0 0.0 - - - trusted.overlay.whiteouts=${'x'.repeat(300)} user.a=b\n` +
      `${path}/gone 0 20644 1 0 0 0 0.0 - - -\n`;
    const root = '/ 0 40755 2 0 0 0 0.0 - - -\n';
    expect(() => imageOf(treeOf(root + clash('/a') + large('/b')))).toThrow('Numerical result out of range');
    expect(() =>
      imageOf(treeOf(`${root}/a 0 40755 2 0 0 0 0.0 - - -\n${large('/a/z')}${clash('/b')}`)),
    ).toThrow('File too large');
  });

  it('hands out chunks that later ones do not change', () => {
    const chunks: { chunk: Uint8Array; hash: string }[] = [];
    writeImage(treeOf(dumpText('43-many-inodes')), undefined, (chunk) =>
      chunks.push({ chunk, hash: sha256(chunk) }),
    );
    for (const { chunk, hash } of chunks) expect(sha256(chunk)).toBe(hash);
  });
});
