/** What the codecs of ostree's objects refuse, and the small formats around them. */
import { describe, expect, it } from 'vitest';
import { type ByteString, byteString, utf8ByteString } from '../../../src/core/bytes/byte-string.ts';
import { bytesFromHex, hexOf } from '../../../src/core/bytes/hex.ts';
import { malformed } from '../../../src/core/errors.ts';
import type { Xattr } from '../../../src/core/fs/file-tree.ts';
import { encodeVariant } from '../../../src/core/gvariant/encode.ts';
import type { Value, Variant } from '../../../src/core/gvariant/value.ts';
import { swap32 } from '../../../src/core/ostree/big-endian.ts';
import { COMMIT_TYPE, type Commit, decodeCommit, encodeCommit } from '../../../src/core/ostree/commit.ts';
import { decodeCommitmeta, signatures } from '../../../src/core/ostree/commitmeta.ts';
import { composefsTree } from '../../../src/core/ostree/composefs-tree.ts';
import { DIRMETA_TYPE, decodeDirmeta, encodeDirmeta } from '../../../src/core/ostree/dirmeta.ts';
import {
  DIRTREE_TYPE,
  type Dirtree,
  decodeDirtree,
  encodeDirtree,
} from '../../../src/core/ostree/dirtree.ts';
import {
  archiveHeaderLength,
  decodeArchiveHeader,
  decodeBareUserMeta,
  encodeArchiveHeader,
  encodeBareUserMeta,
} from '../../../src/core/ostree/file-header.ts';
import {
  COMPOSEFS_DIGEST_KEY,
  COMPOSEFS_KEY,
  composefsDigest,
  composefsValue,
  SIZES_KEY,
} from '../../../src/core/ostree/metadata.ts';
import { parseObjectPath, validateChecksum } from '../../../src/core/ostree/objects.ts';
import {
  formatRefspec,
  isRefSegment,
  parseRefspec,
  validateCollectionId,
  validateRef,
  validateRemoteName,
} from '../../../src/core/ostree/refs.ts';
import { objectSizes, sizesValue } from '../../../src/core/ostree/sizes.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const AA = new Uint8Array(32).fill(0xaa);
const text = byteString;
const EMPTY = text('');

const commit: Commit = {
  metadata: [],
  subject: EMPTY,
  body: EMPTY,
  timestamp: 0n,
  rootDirtree: A,
  rootDirmeta: B,
};

// Expected messages: what `ostree fsck` and `ostree ls` of release 2026.4 say of such objects, where they look.
describe('a dirtree', () => {
  const encode = (files: Value[], dirs: Value[] = []) => encodeVariant(DIRTREE_TYPE, [files, dirs]);
  const refused: [string, Uint8Array, RegExp][] = [
    ['is not one at all', new Uint8Array([1, 2, 3]), /^x: Not normal form \(offset /],
    ['has no bytes', new Uint8Array(0), /^x: Not normal form/],
    ['names its own directory', encode([[text('.'), AA]]), /^x: Invalid self-referential filename '\.'$/],
    ['names the directory above', encode([[text('..'), AA]]), /^x: Invalid path uplink filename '\.\.'$/],
    ['holds a path', encode([[text('a/b'), AA]]), /^x: Invalid \/ in filename a\/b$/],
    [
      'holds a path of a directory',
      encode([], [[text('/etc'), AA, AA]]),
      /^x: Invalid \/ in filename \/etc$/,
    ],
    ['has an empty name', encode([[EMPTY, AA]]), /^x: Invalid empty filename$/],
    [
      'has a short checksum',
      encode([[text('a'), AA.subarray(1)]]),
      /^x: Invalid checksum of length 31 expected 32$/,
    ],
    [
      'has a name twice',
      encode([
        [text('a'), AA],
        [text('a'), AA],
      ]),
      /^x: Duplicate filename a$/,
    ],
    [
      'is not sorted',
      encode([
        [text('b'), AA],
        [text('a'), AA],
      ]),
      /^x: Incorrectly sorted filename a, it stands after b$/,
    ],
    [
      'has a name as file and as directory',
      encode(
        [
          [text('a'), AA],
          [text('b'), AA],
          [text('d'), AA],
        ],
        [
          [text('c'), AA, AA],
          [text('d'), AA, AA],
        ],
      ),
      /^x: Duplicate filename d, as file and as directory$/,
    ],
  ];
  it.each(refused)('is refused if it %s', (_, data, message) => {
    expect(() => decodeDirtree(data, 'x')).toThrow(message);
  });

  it('is not made with a name that cannot be', () => {
    const withName = (name: ByteString): Dirtree => ({ files: [{ name, checksum: A }], dirs: [] });
    // Expected: `ostree commit` of release 2026.4.
    expect(() => encodeDirtree(withName(text('\xff')))).toThrow('Invalid UTF-8 in filename \\xff');
    expect(() => encodeDirtree(withName(text('a/b')))).toThrow('Invalid / in filename a/b');
    expect(() => encodeDirtree({ files: [{ name: text('a'), checksum: 'abc' }], dirs: [] })).toThrow();
  });

  it('is sorted by bytes, not by characters', () => {
    // U+FF5E comes before U+1F600 in UTF-8, behind it in UTF-16.
    const names = ['😀', '～', 'a', 'Z'].map(utf8ByteString);
    const data = encodeDirtree({ files: names.map((name) => ({ name, checksum: A })), dirs: [] });
    expect(decodeDirtree(data, 'x').files.map(({ name }) => name)).toEqual(
      ['Z', 'a', '～', '😀'].map(utf8ByteString),
    );
  });
});

describe('a dirmeta', () => {
  const encode = (mode: number, xattrs: [string, string][]) =>
    encodeVariant(DIRMETA_TYPE, [
      0,
      0,
      swap32(mode),
      xattrs.map(([key, value]) => [
        Uint8Array.from(key, (char) => char.charCodeAt(0)),
        Uint8Array.from(value, (char) => char.charCodeAt(0)),
      ]),
    ]);
  const directory = 0o040755;
  const refused: [string, Uint8Array, RegExp][] = [
    ['is of a file', encode(0o100644, []), /^x: Invalid directory metadata mode 33188; not a directory$/],
    ['has other bits', encode(0o240755, []), /^x: Invalid mode 82413; invalid bits in mode$/],
    [
      'has an attribute without NUL',
      encode(directory, [['user.a', '']]),
      /^x: Invalid xattr name \(empty or missing NUL\) index=0$/,
    ],
    ['has an empty attribute name', encode(directory, [['\0', '']]), /index=0$/],
    [
      'has an attribute twice',
      encode(directory, [
        ['user.a\0', ''],
        ['user.a\0', ''],
      ]),
      /^x: Duplicate xattr name, index=1$/,
    ],
    [
      'has attributes out of order',
      encode(directory, [
        ['user.b\0', ''],
        ['user.a\0', ''],
      ]),
      /^x: Incorrectly sorted xattr name \(prev=user.b, cur=user.a\), index=1$/,
    ],
  ];
  it.each(refused)('is refused if it %s', (_, data, message) => {
    expect(() => decodeDirmeta(data, 'x')).toThrow(message);
  });

  it('keeps owners of 32 bits and sorts attributes', () => {
    const xattrs: Xattr[] = [
      [text('user.b'), text('2')],
      [text('user.a'), text('\0\xff')],
    ];
    const dirmeta = { uid: 0xfffffffe, gid: 0x80000001, mode: 0o041777, xattrs };
    const decoded = decodeDirmeta(encodeDirmeta(dirmeta), 'x');
    expect(decoded).toEqual({ ...dirmeta, xattrs: [xattrs[1], xattrs[0]] });
  });
});

describe('a file header', () => {
  const header = { uid: 0, gid: 0, mode: 0o100644, rdev: 0, symlinkTarget: EMPTY, xattrs: [] };

  it('of an archive is refused if it cannot be one', () => {
    const bytes = encodeArchiveHeader(header, 5);
    const decode = (data: Uint8Array) => () => decodeArchiveHeader(data, 'x');
    expect(decode(bytes.subarray(0, 4))).toThrow('x: Need more input');
    expect(decode(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0))).toThrow('x: File header size is zero');
    expect(decode(bytes.subarray(0, 20))).toThrow(/^x: File header size 26 exceeds size 20$/);
    expect(() => archiveHeaderLength(Uint8Array.of(0x7f, 0, 0, 0, 0, 0, 0, 0), 2 ** 40, 'x')).toThrow(
      /^x: File header size 2130706432 exceeds limit 134217728$/,
    );
    const other = (change: object) => encodeArchiveHeader({ ...header, ...change }, 5);
    expect(decode(other({ mode: 0o040755 }))).toThrow('x: Corrupted archive file; invalid mode 16877');
    expect(decode(other({ mode: 0o020644 }))).toThrow('x: Corrupted archive file; invalid mode 8612');
    expect(decode(other({ rdev: 5 }))).toThrow('x: Corrupted archive file; invalid rdev 5');
    expect(decode(other({ symlinkTarget: text('a') }))).toThrow(/a regular file has a symlink target$/);
  });

  it('of an archive says where the content begins, and any size of 64 bits', () => {
    const bytes = encodeArchiveHeader(header, Number.MAX_SAFE_INTEGER);
    const read = decodeArchiveHeader(Uint8Array.of(...bytes, 1, 2, 3));
    expect(read).toEqual({ header, size: BigInt(Number.MAX_SAFE_INTEGER), length: bytes.length });
  });

  it('in user.ostreemeta is refused if it is of no file', () => {
    expect(() => decodeBareUserMeta(encodeBareUserMeta({ ...header, mode: 0o040755 }), 'x')).toThrow(
      /invalid mode 16877$/,
    );
    expect(() => decodeBareUserMeta(new Uint8Array(11), 'x')).toThrow(/^x: Not normal form/);
  });
});

describe('a commit', () => {
  const encode = (change: (members: Value[]) => void) => {
    const members: Value[] = [[], new Uint8Array(0), [], EMPTY, EMPTY, 0n, AA, AA];
    change(members);
    return encodeVariant(COMMIT_TYPE, members);
  };
  const refused: [string, (members: Value[]) => void, string][] = [
    [
      'parent',
      (m) => (m[1] = AA.subarray(1)),
      'x: Invalid commit parent: Invalid checksum of length 31 expected 32',
    ],
    [
      'root dirtree',
      (m) => (m[6] = new Uint8Array(0)),
      'x: Invalid commit tree content checksum: Invalid checksum of length 0 expected 32',
    ],
    [
      'root dirmeta',
      (m) => (m[7] = new Uint8Array(33)),
      'x: Invalid commit tree metadata checksum: Invalid checksum of length 33 expected 32',
    ],
    ['metadata key', (m) => (m[0] = [[EMPTY, { type: 'y', value: 1 }]]), 'x: Empty metadata key'],
  ];
  it.each(refused)('is refused for its %s', (_, change, message) => {
    const data = encode(change);
    expect(() => decodeCommit(data, 'x')).toThrow(malformed(message));
  });

  it('keeps all it says', () => {
    const full: Commit = {
      metadata: [
        [text('b'), { type: 's', value: utf8ByteString('é') }],
        [text('a'), { type: 'u', value: 7 }],
      ],
      parent: B,
      subject: utf8ByteString('ü'),
      body: text('two\nlines'),
      timestamp: 0xfedcba9876543210n,
      rootDirtree: A,
      rootDirmeta: B,
    };
    expect(decodeCommit(encodeCommit(full), 'x')).toEqual(full);
  });
});

describe('the composefs digest of a commit', () => {
  const digest = 'ab'.repeat(32);
  const other = 'cd'.repeat(32);
  const of = (...metadata: [ByteString, Variant][]) => composefsDigest({ ...commit, metadata });

  it('stands under either key, or under both', () => {
    expect(of()).toBeUndefined();
    expect(of([COMPOSEFS_DIGEST_KEY, composefsValue(digest)])).toBe(digest);
    expect(of([COMPOSEFS_KEY, composefsValue(digest)])).toBe(digest);
    expect(of([COMPOSEFS_KEY, composefsValue(digest)], [COMPOSEFS_DIGEST_KEY, composefsValue(digest)])).toBe(
      digest,
    );
  });

  it('is refused if it says two things, or the wrong thing', () => {
    expect(() =>
      of([COMPOSEFS_KEY, composefsValue(digest)], [COMPOSEFS_DIGEST_KEY, composefsValue(other)]),
    ).toThrow(`ostree.composefs.digest.v0: digest is ${other}, but ostree.composefs.v0 says ${digest}`);
    expect(() =>
      of([COMPOSEFS_KEY, composefsValue(digest)], [COMPOSEFS_KEY, composefsValue(digest)]),
    ).toThrow(/stands twice/);
    expect(() => of([COMPOSEFS_KEY, { type: 's', value: text(digest) }])).toThrow(/type is s, expected ay$/);
    expect(() => of([COMPOSEFS_KEY, { type: 'ay', value: new Uint8Array(31) }])).toThrow(
      /Expected composefs fs-verity in metadata has the wrong size: 31 bytes, expected 32$/,
    );
  });
});

describe('commitmeta', () => {
  it('may be empty, and its signatures must be of their type', () => {
    expect(decodeCommitmeta(new Uint8Array(0), 'x')).toEqual([]);
    const key = text('ostree.sign.ed25519');
    expect(signatures([], key)).toEqual([]);
    expect(() => signatures([[key, { type: 'ay', value: AA }]], key)).toThrow(
      'ostree.sign.ed25519: type is ay, expected aay',
    );
  });
});

describe('the composefs tree', () => {
  const dirmeta = { uid: 1, gid: 2, mode: 0o040700, xattrs: [] };
  const file = (mode: number, size: number, target = '') => ({
    header: { uid: 3, gid: 4, mode, rdev: 0, symlinkTarget: text(target), xattrs: [] },
    size,
    verity: B,
  });

  it('has directories for a root file system, unless something of that name is there', () => {
    const tree = composefsTree(
      {
        dirtree: () => ({ files: [{ name: text('usr'), checksum: A }], dirs: [] }),
        dirmeta: () => dirmeta,
        file: () => file(0o120777, 3, 'abc'),
      },
      A,
      B,
    );
    expect([...(tree.children?.keys() ?? [])].sort()).toEqual(['boot', 'etc', 'sysroot', 'usr', 'var']);
    expect(tree.children?.get(text('usr'))).toMatchObject({ mode: 0o120777, payload: 'abc', size: 3 });
    expect(tree.children?.get(text('var'))).toMatchObject({ mode: 0o040755, uid: 0, gid: 0 });
    expect(tree).toMatchObject({ mode: 0o040700, uid: 1, gid: 2, mtimeSec: 0 });
  });

  it('points files at the objects of a bare repository, empty ones at nothing', () => {
    const sizes: Record<string, number> = { [A]: 0, [B]: 1 };
    const tree = composefsTree(
      {
        dirtree: () => ({
          files: [
            { name: text('empty'), checksum: A },
            { name: text('one'), checksum: B },
          ],
          dirs: [],
        }),
        dirmeta: () => dirmeta,
        file: (checksum) => file(0o100644, sizes[checksum] as number),
      },
      A,
      B,
    );
    expect(tree.children?.get(text('empty'))).toMatchObject({
      size: 0,
      payload: undefined,
      digest: undefined,
    });
    expect(tree.children?.get(text('one'))).toMatchObject({
      size: 1,
      payload: `bb/${'b'.repeat(62)}.file`,
      digest: B,
      nlink: 1,
    });
  });

  it('is refused when a few objects unfold to too many inodes', () => {
    const names = Array.from({ length: 64 }, (_, i) => text(String(i)));
    const wide: Dirtree = { files: [], dirs: names.map((name) => ({ name, dirtree: A, dirmeta: B })) };
    const reader = {
      dirtree: () => wide,
      dirmeta: () => dirmeta,
      file: () => file(0o100644, 1),
    };
    expect(() => composefsTree(reader, A, B, { maxInodes: 10_000 })).toThrow(
      /^commit has more than 10000 files and directories$/,
    );
  });
});

describe('ostree.sizes', () => {
  // Expected: the value in commit 0fcbdd73… that ostree 2026.4 made of four objects and two directories.
  const entries = [
    '438802d990f25270d36f902bc9ce9d0737b88f9ae0b41ed59ec9e47c28523e0a230101',
    '446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c54880c0c03',
    '79dabdadd787b1a2fa05c6746bcfa388881d069562e0260bae0d17270f7644338e018e0102',
    'c420aa012ba73769d09862ba6329a441183300e76a09c27b43096e752dbfe83350b0ea0101',
    'ce8d4b7002b371eedd04da4ba3819b0601b328b297f67977ed4546b17c4f580c252502',
    'fbf7cf77a1b50d9f074cb6e9ef6ddb65b6532ea89e4f4ca1b07a05b4cd1be259270301',
  ];
  const value = (...hex: string[]): Variant => ({
    type: 'aay',
    value: hex.map((entry) => bytesFromHex(entry)),
  });

  const sizesFrom = (sizes: Variant) => objectSizes({ metadata: [[SIZES_KEY, sizes]] });

  it('has the bytes of the real tool', () => {
    const sizes = sizesFrom(value(...entries));
    expect(sizes.map(({ type, archived, unpacked }) => [type, archived, unpacked])).toEqual([
      ['file', 35n, 1n],
      ['dirmeta', 12n, 12n],
      ['dirtree', 142n, 142n],
      ['file', 80n, 30000n],
      ['dirtree', 37n, 37n],
      ['file', 39n, 3n],
    ]);
    const again = sizesValue([...sizes].reverse());
    expect((again.value as Uint8Array[]).map(hexOf)).toEqual(entries);
  });

  it('holds sizes of 64 bits, and old entries without a kind', () => {
    const large = { checksum: A, type: 'file', archived: 2n ** 64n - 1n, unpacked: 2n ** 56n } as const;
    expect(sizesFrom(sizesValue([large]))).toEqual([large]);
    expect(sizesFrom(value(`${A}0102`))).toEqual([{ checksum: A, type: 'file', archived: 1n, unpacked: 2n }]);
  });

  it('is refused if it is damaged', () => {
    expect(() => sizesFrom(value(`${A}01`))).toThrow(/33 bytes, expected at least 34$/);
    expect(() => sizesFrom(value(`${A}8080`))).toThrow('Unexpected EOF reading ostree.sizes varint');
    expect(() => sizesFrom(value(`${A}${'ff'.repeat(11)}`))).toThrow('Unexpected EOF reading');
    expect(() => sizesFrom(value(`${A}01020a`))).toThrow('Unexpected ostree.sizes object type 10');
    expect(() => sizesFrom({ type: 'ay', value: AA })).toThrow('No metadata key ostree.sizes in commit');
  });
});

// Expected: which of these `ostree commit --branch` of release 2026.4 takes, and what it says of the others.
describe('names of refs', () => {
  it.each(['a', 'a/é', 'a..b', '日本', '²', 'a‿b', '\u0301x', '٣', 'Ⅷ', '_a', 'x86_64/os-1.0'])(
    'take %s',
    (name) => {
      const ref = utf8ByteString(name);
      expect(() => validateRef(ref)).not.toThrow();
      expect(parseRefspec(ref)).toEqual({ remote: undefined, ref });
      expect(formatRefspec(parseRefspec(utf8ByteString(`r:${name}`)))).toBe(utf8ByteString(`r:${name}`));
    },
  );

  it.each(['-a', '.a', 'a/', '/a', 'a//b', 'a+b', 'a:b:c', '', 'a b', ':a', 'a:'])('refuse %j', (name) => {
    expect(() => parseRefspec(text(name))).toThrow(`Invalid refspec ${name}`);
    expect(() => validateRef(text(name))).toThrow(`Invalid ref name ${name}`);
  });

  it('are UTF-8', () => {
    expect(() => validateRef(text('\xff'))).toThrow('Invalid ref name: not valid UTF-8');
    expect(() => parseRefspec(text('\xff'))).toThrow('Invalid refspec \\xff');
    expect(isRefSegment(text('\xff'))).toBe(false);
  });

  it('lose a newline at the end of a refspec', () => {
    expect(parseRefspec(text('a\n'))).toEqual({ remote: undefined, ref: 'a' });
    expect(() => parseRefspec(text('a\nb'))).toThrow('Invalid refspec a\\x0ab');
  });

  it('are judged in time, however long', () => {
    expect(() => validateRef(text(`${'a'.repeat(200_000)}+`))).toThrow();
    expect(() => parseRefspec(text(`${'a/'.repeat(200_000)}+`))).toThrow();
  });

  it('of remotes and collections have their own rules', () => {
    expect(() => validateRemoteName(text('origin'))).not.toThrow();
    expect(() => validateRemoteName(text('a/b'))).toThrow('Invalid remote name a/b');
    expect(() => validateCollectionId(text('org.example.Os'))).not.toThrow();
    for (const id of ['org', '.org', 'org..a', 'org.1a', 'org.a-b', `a.${'b'.repeat(254)}`])
      expect(() => validateCollectionId(text(id))).toThrow(`Invalid collection ID ${id}`);
  });
});

describe('checksums', () => {
  it('are 64 lower-case hexadecimal digits', () => {
    expect(() => validateChecksum(text(A))).not.toThrow();
    expect(() => validateChecksum(text('abc'))).toThrow(malformed('Invalid rev abc'));
    expect(() => validateChecksum(text(`A${A.slice(1)}`))).toThrow(
      `Invalid character '65' in rev 'A${A.slice(1)}'`,
    );
    expect(() => validateChecksum(text('<html>\n'.repeat(1000)))).toThrow(
      /^Invalid rev <html> <html> .{0,60}$/,
    );
  });

  it('name the files of objects', () => {
    const parse = (file: string, archive = false) => parseObjectPath(text('aa'), text(file), { archive });
    const rest = 'a'.repeat(62);
    expect(parse(`${rest}.file`)).toEqual({ checksum: A, type: 'file' });
    expect(parse(`${rest}.filez`, true)).toEqual({ checksum: A, type: 'file' });
    expect(parse(`${rest}.tombstone-commit`)).toEqual({ checksum: A, type: 'tombstone-commit' });
    for (const name of [`${rest}.filez`, `${rest}.other`, `${rest}`, `${rest}a.file`, `${rest}.file\n`])
      expect(parse(name), name).toBeUndefined();
    expect(parse(`${rest}.file`, true)).toBeUndefined();
  });
});
