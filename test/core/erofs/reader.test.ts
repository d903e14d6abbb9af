/** Expected values: test/vectors/composefs, printed by composefs-info 1.0.8 except where it errs. */
import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { memorySource } from '../../../src/core/erofs/image-source.ts';
import { readImage, readImageInfo } from '../../../src/core/erofs/reader.ts';
import { SealtreeError } from '../../../src/core/errors.ts';
import type { Inode } from '../../../src/core/fs/file-tree.ts';
import {
  DUMP_NAMES,
  dumpOf,
  dumpText,
  imageOf,
  infoText,
  OVER_READ,
  treeOf,
  versionsOf,
} from '../../composefs-vectors.ts';

const read = (image: Uint8Array): Inode => readImage(memorySource(image));

describe.each(['0', '1'])('an image in version %s', (version) => {
  it.each(DUMP_NAMES)('of %s reads as composefs-info prints it', (name) => {
    const image = imageOf(treeOf(dumpText(name)), versionsOf(version));
    const ours = dumpOf(read(image));
    const theirs = infoText(name, 'dump', version);
    if (!OVER_READ.has(name)) {
      expect(ours).toBe(theirs);
      return;
    }
    const backing = backingPaths(dumpText(name));
    const lines = ours.split('\n');
    for (const [index, line] of theirs.split('\n').entries()) {
      const fields = line.split(' ');
      const own = (lines[index] as string).split(' ');
      if (fields[8] !== own[8]) {
        // What it prints is the path and bytes of the next xattr; ours is the path that went in.
        expect((own[8] as string).length % 4).toBe(3);
        expect(fields[8]?.startsWith(own[8] as string)).toBe(true);
        expect(own[8]).toBe(backing.get(own[0] as string));
        fields[8] = own[8] as string;
      }
      expect(own).toEqual(fields);
    }
    expect(ours).not.toBe(theirs);
  });
});

describe('reading an image', () => {
  const image = imageOf(
    treeOf(
      '/ 0 40755 2 0 0 0 5.6 - - -\n/dir 0 40700 2 1 2 0 7.8 - - -\n/dir/f 5 100644 1 0 0 0 5.6 - hello -\n' +
        '/link 0 120777 1 0 0 0 5.6 dir/f - -\n/other 0 @100644 1 0 0 0 5.6 /dir/f - -\n',
    ),
  );

  it('tells what the headers say', () => {
    expect(readImageInfo(memorySource(image))).toMatchObject({ version: 0, hasAcl: false, inodeCount: 260 });
  });

  it('passes over names of the root that are filtered out', () => {
    const tree = readImage(memorySource(image), { filter: new Set([byteString('dir')]) });
    expect([...(tree.children as Map<string, unknown>).keys()]).toEqual(['dir']);
    expect(tree.children?.get(byteString('dir'))).toMatchObject({ mode: 0o40700, uid: 1, gid: 2 });
    expect(dumpOf(tree)).toContain('/dir/f 5 100644');
  });

  it('keeps a second name as a hard link', () => {
    const tree = read(image);
    const directory = tree.children?.get(byteString('dir')) as Inode;
    expect(tree.children?.get(byteString('other'))).toEqual({
      linkTo: directory.children?.get(byteString('f')),
    });
  });

  it('keeps an xattr of no suffix and no value at the end of an area, which composefs-info loses', () => {
    const line = '/ 4096 40755 2 0 0 0 0.0 - - - user.=\n';
    expect(read(imageOf(treeOf(line))).xattrs).toEqual([['user.', '']]);
  });

  it('reads in windows what is too large to be read at once', () => {
    const lengths: number[] = [];
    const whole = memorySource(image);
    const tail = image.length;
    const tree = readImage({
      size: 300 * 2 ** 20,
      read(at, length) {
        lengths.push(length);
        const data = new Uint8Array(length);
        if (at < tail) data.set(whole.read(at, Math.min(length, tail - at)));
        return data;
      },
    });
    expect(dumpOf(tree)).toBe(dumpOf(read(image)));
    expect(Math.max(...lengths)).toBeLessThanOrEqual(1 << 20);
  });
});

describe('a damaged image', () => {
  const dump =
    '/ 0 40755 2 0 0 0 0.0 - - - user.k=v\n/d 0 40755 2 0 0 0 0.0 - - -\n/d/e 0 40755 2 0 0 0 0.0 - - -\n' +
    '/f 5 100644 1 0 0 0 0.0 - hello -\n/l 0 120777 1 0 0 0 0.0 target - -\n/x 70000 100644 1 0 0 0 0.0 ab/cd - -\n';
  const good = imageOf(treeOf(dump));
  /** Inode numbers of directories are found by their place: the root is the inode at slot 36. */
  const root = 36 * 32;
  const changed = (change: (view: DataView, bytes: Uint8Array) => void): Uint8Array => {
    const bytes = good.slice();
    change(new DataView(bytes.buffer), bytes);
    return bytes;
  };
  const entriesAt = new DataView(good.buffer).getUint32(root + 16, true) * 4096;
  const entryOf = (name: string): number => {
    const view = new DataView(good.buffer);
    const count = view.getUint16(entriesAt + 8, true) / 12;
    for (let i = 0; i < count; i++) {
      const at = entriesAt + i * 12;
      const nameAt = entriesAt + view.getUint16(at + 8, true);
      if (Buffer.from(good.subarray(nameAt, nameAt + name.length)).toString() === name) return at;
    }
    throw new Error(name);
  };
  const nidOf = (name: string): number => new DataView(good.buffer).getUint32(entryOf(name), true);

  const tailOf = (name: string): number => {
    const at = nidOf(name) * 32;
    return at + 32 + 12 + (new DataView(good.buffer).getUint16(at + 2, true) - 1) * 4;
  };

  it.each<[string, Uint8Array, RegExp]>([
    [
      'that is too short',
      good.subarray(0, 4000),
      /^image at offset 0: expected at least 4096 bytes, found 4000$/,
    ],
    ['without magic number', changed((view) => view.setUint32(0, 1)), /^composefs magic number at offset 0/],
    [
      'of another header version',
      changed((view) => view.setUint32(4, 2, true)),
      /^composefs header version at offset 4: expected 0x1, found 0x2$/,
    ],
    ['without EROFS', changed((view) => view.setUint32(1024, 0)), /^EROFS magic number at offset 1024/],
    [
      'of other blocks',
      changed((view) => view.setUint8(1036, 9)),
      /^EROFS block size exponent at offset 1036/,
    ],
    ['whose root is outside', changed((view) => view.setUint16(1038, 65000, true)), /outside the image/],
    [
      'whose root is a file',
      changed((view) => view.setUint16(1038, nidOf('f'), true)),
      /^inode \d+, the root at offset \d+: expected a directory/,
    ],
    [
      'with an unknown type',
      changed((view) => view.setUint16(root + 4, 0o644, true)),
      /mode at offset 1152: expected a file type/,
    ],
    [
      'with an unknown layout',
      changed((view) => view.setUint16(root, 3 << 1, true)),
      /data layout at offset 1152/,
    ],
    [
      'with a directory larger than itself',
      changed((view) => view.setUint32(root + 8, 0x7fffffff, true)),
      /directory size at offset 1152: expected at most the \d+ bytes/,
    ],
    [
      'with entries outside',
      changed((view) => view.setUint32(root + 16, 0xffffff, true)),
      /directory entries: 4096 bytes at offset \d+ are outside the image/,
    ],
    [
      'with names before their records',
      changed((view) => view.setUint16(entriesAt + 8, 0, true)),
      /names behind records of 12 bytes/,
    ],
    [
      'with a name out of order',
      changed((_, bytes) =>
        bytes.set([0x7a], entriesAt + new DataView(bytes.buffer).getUint16(entryOf('d') + 8, true)),
      ),
      /expected ascending names/,
    ],
    [
      'with a slash in a name',
      changed((_, bytes) =>
        bytes.set([0x2f], entriesAt + new DataView(bytes.buffer).getUint16(entryOf('.') + 8, true)),
      ),
      /expected no slash|ascending/,
    ],
    [
      'with an inode outside',
      changed((view) => view.setUint32(entryOf('d') + 4, 1, true)),
      /'d' at offset \d+: expected an inode within the image/,
    ],
    [
      'with a directory that is not itself',
      changed((view) => view.setUint32(entryOf('.'), nidOf('d'), true)),
      /'\.' at offset/,
    ],
    [
      'with a type that is another one',
      changed((view) => view.setUint8(entryOf('f') + 10, 2)),
      /type of directory entry 'f'/,
    ],
    [
      'with a target that is too long',
      changed((view) => view.setUint32(nidOf('l') * 32 + 8, 5000, true)),
      /symlink target at offset \d+: expected 1 to 4095 bytes, found 5000/,
    ],
    [
      'with content that is too long',
      changed((view) => view.setUint32(nidOf('f') * 32 + 8, 5001, true)),
      /size of inline content at offset/,
    ],
    [
      'with content in a chunk',
      changed((view) => view.setUint32(tailOf('x'), 0, true)),
      /chunk address at offset \d+: expected no address/,
    ],
    [
      'with an xattr of an unknown kind',
      changed((_, bytes) => bytes.set([9], root + 32 + 12 + 1)),
      /prefix of name at offset \d+: expected 0 to 6, found 9/,
    ],
    [
      'with an xattr beyond its area',
      changed((view) => view.setUint16(root + 32 + 12 + 2, 60000, true)),
      /xattrs, entry at offset/,
    ],
    [
      'with more shared xattrs than fit',
      changed((_, bytes) => bytes.set([255], root + 32 + 4)),
      /room for 255 shared ones/,
    ],
  ])('%s is refused in one line', (_name, image, message) => {
    let error: unknown;
    try {
      read(image);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(SealtreeError);
    expect((error as SealtreeError).message).toMatch(message);
    expect((error as SealtreeError).message).not.toContain('\n');
    expect(error).toMatchObject({ code: 'malformed' });
  });

  it('whose directory names the root again is read without going round', () => {
    // As composefs-info does: it is one more name of the root.
    const image = changed((view) => view.setUint32(entryOf('d'), 36, true));
    const tree = read(image);
    expect(tree.children?.get(byteString('d'))).toEqual({ linkTo: tree });
  });

  it('whose inodes lie upon each other is refused before it takes memory', () => {
    // Every entry of the root is a fifo somewhere in one block, with a large area of xattrs.
    const image = changed((view, bytes) => {
      const count = view.getUint16(entriesAt + 8, true) / 12;
      for (let i = 0; i < count; i++) {
        const at = entriesAt + i * 12;
        if (at === entryOf('.') || at === entryOf('..')) continue;
        view.setUint32(at, 40 + i, true);
        view.setUint8(at + 10, 5);
      }
      for (let slot = 40; slot < 40 + count; slot++) {
        bytes.fill(0, slot * 32, slot * 32 + 32);
        view.setUint16(slot * 32 + 2, 200, true);
        view.setUint16(slot * 32 + 4, 0o010644, true);
      }
    });
    expect(() => read(image)).toThrow(/parts that overlap|xattrs/);
  });

  it('with any one byte changed is read or refused, never anything else', () => {
    const bytes = good.slice();
    for (let at = 0; at < bytes.length; at++) {
      const old = bytes[at] as number;
      bytes[at] = at % 2 === 0 ? old ^ (1 << (at % 8)) : ~old;
      try {
        dumpOf(read(bytes));
      } catch (error) {
        expect(error).toMatchObject({ name: 'SealtreeError', code: 'malformed' });
      }
      bytes[at] = old;
    }
  });
});

/** Backing paths of a dump file by path, of lines that escape nothing there. */
function backingPaths(dump: string): Map<string, string> {
  const lines = dump.split('\n').filter((line) => line !== '');
  return new Map(lines.map((line) => [line.split(' ')[0] as string, line.split(' ')[8] as string]));
}
