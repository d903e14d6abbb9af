/** What is expected of dump files is what mkcomposefs and composefs-info 1.0.8 do with them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ByteString, byteString } from '../../../src/core/bytes/byte-string.ts';
import { escapeField, unescapeField } from '../../../src/core/dumpfile/escape.ts';
import { asSigned, lowWord, parseUnsigned } from '../../../src/core/dumpfile/integer.ts';
import { readDump } from '../../../src/core/dumpfile/read.ts';
import type { Inode } from '../../../src/core/fs/file-tree.ts';
import { DUMP_NAMES, dumpOf, dumpText, treeOf } from '../../composefs-vectors.ts';

const bytes = fc.uint8Array({ maxLength: 40 }).map((data) => byteString(String.fromCharCode(...data)));

describe('escaping', () => {
  it('is undone by unescaping, whatever the bytes are', () => {
    fc.assert(
      fc.property(bytes, fc.boolean(), fc.boolean(), (text, equal, loneDash) => {
        const escaped = escapeField(text, { equal, loneDash });
        expect(unescapeField(escaped)).toBe(text);
        expect(escaped).toMatch(/^[!-~]*$/);
        if (equal) expect(escaped).not.toContain('=');
        if (loneDash) expect(escaped).not.toBe('-');
      }),
    );
  });

  it.each([
    ['a b\\', {}, 'a\\x20b\\\\'],
    ['a b', { keepSpace: true }, 'a b'],
    ['\n\r\t\x00\x7f\xff', {}, '\\n\\r\\t\\x00\\x7f\\xff'],
    ['=', {}, '='],
    ['=', { equal: true }, '\\x3d'],
    ['-', {}, '-'],
    ['-', { loneDash: true }, '\\x2d'],
    ['--', { loneDash: true }, '--'],
  ])('%j with %j', (text, options, escaped) => {
    expect(escapeField(byteString(text), options)).toBe(escaped);
  });
});

describe('integers', () => {
  // As strtoull(3) of glibc reads them.
  it.each<[string, 8 | 10, number | bigint]>([
    ['007', 10, 7],
    ['+1', 10, 1],
    ['\t\v\f\r12', 10, 12],
    ['-1', 10, 0xffff_ffff_ffff_ffffn],
    ['18446744073709551616', 10, 0xffff_ffff_ffff_ffffn],
    ['-18446744073709551616', 10, 0xffff_ffff_ffff_ffffn],
    ['9007199254740992', 10, 2 ** 53],
    ['9007199254740993', 10, 9007199254740993n],
    ['0100644', 8, 0o100644],
    ['000000000000000000000000000000000000001', 10, 1],
  ])('%j in base %i', (text, radix, value) => {
    expect(parseUnsigned(byteString(text), radix)).toBe(value);
  });

  it.each(['', ' ', '1k', '0x10', '1 ', '--1', '8'])('%j is refused in base 8', (text) => {
    expect(() => parseUnsigned(byteString(text), 8)).toThrow(`Invalid integer ${text}`);
  });

  it('are cut to 32 bits and turned signed as C casts them', () => {
    expect(lowWord(2 ** 32 + 5)).toBe(5);
    expect(lowWord(0xffff_ffff_ffff_ffffn)).toBe(0xffffffff);
    expect(asSigned(0xffff_ffff_ffff_ffffn)).toBe(-1);
    expect(asSigned(1n << 63n)).toBe(-(1n << 63n));
    expect(asSigned(2 ** 53)).toBe(1n << 53n);
  });
});

describe('reading a dump file', () => {
  it.each(DUMP_NAMES)('%s in pieces of any size gives the same tree', (name) => {
    const text = dumpText(name);
    const whole = dumpOf(treeOf(text));
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 6 }), (cuts) => {
        expect(dumpOf(readDump(pieces(text, cuts)))).toBe(whole);
      }),
      { numRuns: text.length > 50_000 ? 3 : 20 },
    );
  });

  it('takes lines one byte at a time', () => {
    const text = dumpText('42-dump-syntax');
    expect(dumpOf(readDump([...text].map(byteString)))).toBe(dumpOf(treeOf(text)));
  });

  it('says in which line something is wrong', () => {
    const text = `${dumpText('18-hardlinks')}/nowhere/a 0 100644 1 0 0 0 0.0 - - -\n`;
    const line = text.split('\n').length - 1;
    expect(() => treeOf(text)).toThrow(expect.objectContaining({ detail: { line } }));
  });

  const root = '/ 4096 40755 2 0 0 0 0.0 - - -\n';

  // With CFS_PARSE_STRICT set, mkcomposefs prints these.
  it.each([
    ['/f 0 100644 1 0 0 5 0.0 - - -\n', 'Non-zero devnum on non-device'],
    ['/f 0 100644 1 0 0 4294967296 0.0 - - -\n', 'Non-zero devnum on non-device'],
    ['/l 3 120777 1 0 0 0 0.0 target - -\n', 'Invalid symlink size 6, must match size 3'],
    ['/l 6 120777 1 0 0 0 0.0 target abcdef -\n', 'Symlink cannot have content'],
    ['/f 0 100644 1 0 0 0 0.0 - - -', 'Missing trailing newline'],
  ])('strictly refuses %j', (line, message) => {
    expect(() => readDump([byteString(root + line)], { strict: true })).toThrow(message);
    expect(() => readDump([byteString(root + line)])).not.toThrow();
  });

  it('takes devices whose number is not zero strictly', () => {
    const line = '/c 0 20644 1 0 0 5 0.0 - - -\n/b 0 60644 1 0 0 5 0.0 - - -\n';
    expect(() => readDump([byteString(root + line)], { strict: true })).not.toThrow();
  });

  it('finds parents by any spelling of their path', () => {
    const text =
      `${root}/a\\x62c 0 40755 2 0 0 0 0.0 - - -\n/abc/d 0 40755 2 0 0 0 0.0 - - -\n` +
      '//abc///d/e 0 100644 1 0 0 0 0.0 - - -\nabc/d/f 0 100644 1 0 0 0 0.0 - - -\n' +
      '/ab\\x63/d/g\\x00/h 0 100644 1 0 0 0 0.0 - - -\n';
    expect(
      dumpOf(treeOf(text))
        .split('\n')
        .map((line) => line.split(' ')[0]),
    ).toEqual(['/', '/abc', '/abc/d', '/abc/d/e', '/abc/d/f', '/abc/d/g', '']);
  });

  it('makes no directory of a file or of a hard link to one', () => {
    const text = `${root}/d 0 40755 2 0 0 0 0.0 - - -\n/l 0 @100644 1 0 0 0 0.0 /d - -\n`;
    expect(() => treeOf(`${text}/l/f 0 100644 1 0 0 0 0.0 - - -\n`)).toThrow(
      'Parent must be a directory for /l/f',
    );
    expect(() => treeOf(`${text}/l/f/g 0 100644 1 0 0 0 0.0 - - -\n`)).toThrow(
      'Parent directory missing for /l/f/g',
    );
  });

  it('keeps inodes apart whose lines end alike', () => {
    const tree = treeOf(
      `${root}/a 0 100644 1 0 0 0 0.0 - - - user.x=1 user.y=2\n/b 0 100644 1 0 0 0 0.0 - - - user.x=1 user.y=2\n`,
    );
    const [a, b] = [...(tree.children ?? []).values()] as Inode[];
    expect(a).toEqual(b);
    expect(a).not.toBe(b);
  });

  it('refuses xattrs that cost more than libcomposefs has room for', () => {
    // 12 + 7 + 6 + 32742 = 32767; spec of LCFS_INODE_EXTERNAL_XATTR_MAX.
    const line = (length: number) => `${root}/f 0 100644 1 0 0 0 0.0 - - - user.x=${'v'.repeat(length)}\n`;
    expect(() => treeOf(line(32742))).not.toThrow();
    expect(() => treeOf(line(32743))).toThrow("Can't set xattr");
  });
});

describe('writing a dump file', () => {
  it('refuses a hard link that leads nowhere in the tree', () => {
    const tree = treeOf('/ 0 40755 2 0 0 0 0.0 - - -\n/f 0 100644 1 0 0 0 0.0 - - -\n');
    const other = treeOf('/ 0 40755 2 0 0 0 0.0 - - -\n');
    tree.children?.set(byteString('l'), { linkTo: other });
    expect(() => dumpOf(tree)).toThrow('hard link /l does not lead to an inode of the tree');
  });
});

function pieces(text: ByteString, cuts: readonly number[]): ByteString[] {
  const at = [0, ...[...cuts].sort((a, b) => a - b), text.length];
  return at.slice(1).map((end, index) => byteString(text.slice(at[index], end)));
}
