/** Every object of every golden repository, against the codecs: test/vectors/ostree/ORIGIN.md. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type ByteString, byteStringFrom, utf8ByteString } from '../../../src/core/bytes/byte-string.ts';
import { bytesFromHex, hexOf } from '../../../src/core/bytes/hex.ts';
import { writeDump } from '../../../src/core/dumpfile/write.ts';
import { writeImage } from '../../../src/core/erofs/writer.ts';
import { byteswapped } from '../../../src/core/gvariant/byteswap.ts';
import { decodeVariant } from '../../../src/core/gvariant/decode.ts';
import { printVariant } from '../../../src/core/gvariant/text-print.ts';
import { portableHash } from '../../../src/core/hash.ts';
import { COMMIT_TYPE, decodeCommit, encodeCommit } from '../../../src/core/ostree/commit.ts';
import {
  decodeCommitmeta,
  encodeCommitmeta,
  signatures,
  withSignature,
} from '../../../src/core/ostree/commitmeta.ts';
import { type ComposefsReader, composefsTree } from '../../../src/core/ostree/composefs-tree.ts';
import { decodeDirmeta, encodeDirmeta } from '../../../src/core/ostree/dirmeta.ts';
import { decodeDirtree, encodeDirtree } from '../../../src/core/ostree/dirtree.ts';
import {
  decodeArchiveHeader,
  decodeBareUserMeta,
  encodeArchiveHeader,
  encodeBareUserMeta,
  encodeFileHeader,
} from '../../../src/core/ostree/file-header.ts';
import { composefsDigest, inDictOrder } from '../../../src/core/ostree/metadata.ts';
import { objectPath, parseObjectPath } from '../../../src/core/ostree/objects.ts';
import { VerityHash, verityDigest } from '../../../src/core/verity/digest.ts';
import { GOLDEN_TREES, goldenCommits, goldenObjects, goldenTree } from '../../golden-repo.ts';
import type { TarEntry } from '../../tar.ts';

const ED25519_KEY = utf8ByteString('ostree.sign.ed25519');

const sha256 = (...parts: Uint8Array[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

/** Decodes an object, encodes it again; returns the checksum of what a reader would find in it. */
function reencode(
  name: string,
  entry: TarEntry,
): { encoded: Uint8Array; found: Uint8Array; checksum: string } {
  const extension = name.slice(65);
  const { data } = entry;
  switch (extension) {
    case 'commit':
      return same(encodeCommit(decodeCommit(data, name)), data);
    case 'dirtree':
      return same(encodeDirtree(decodeDirtree(data, name)), data);
    case 'dirmeta':
      return same(encodeDirmeta(decodeDirmeta(data, name)), data);
    case 'commitmeta':
      return {
        encoded: encodeCommitmeta(decodeCommitmeta(data, name)),
        found: data,
        checksum: name.slice(0, 64),
      };
    case 'filez': {
      const { header, size, length } = decodeArchiveHeader(data, name);
      const content = inflated(data.subarray(length));
      expect(Number(size)).toBe(content.length);
      return {
        encoded: encodeArchiveHeader(header, Number(size)),
        found: data.subarray(0, length),
        checksum: sha256(encodeFileHeader(header), content),
      };
    }
    default: {
      const meta = entry.xattrs.get('user.ostreemeta') as Uint8Array;
      const header = decodeBareUserMeta(meta, name);
      const isLink = (header.mode & 0o170000) === 0o120000;
      const symlinkTarget = isLink ? byteStringFrom(data, 0, data.length - 1) : utf8ByteString('');
      return {
        encoded: encodeBareUserMeta(header),
        found: meta,
        checksum: sha256(encodeFileHeader({ ...header, symlinkTarget }), isLink ? new Uint8Array(0) : data),
      };
    }
  }
}

function same(encoded: Uint8Array, found: Uint8Array) {
  return { encoded, found, checksum: sha256(encoded) };
}

describe.each(GOLDEN_TREES)('golden tree %s', (tree) => {
  it.each(['archive', 'bare-user'])('gives back every object of its %s repository', (mode) => {
    const objects = goldenObjects(tree, mode);
    expect(objects.size).toBeGreaterThan(5);
    for (const [name, entry] of objects) {
      const { encoded, found, checksum } = reencode(name, entry);
      expect(hexOf(encoded), name).toBe(hexOf(found));
      expect(checksum, name).toBe(name.slice(0, 64));
    }
  });

  it('gives its objects the paths that they have', () => {
    for (const name of goldenObjects(tree, 'archive').keys()) {
      const [directory, file] = [name.slice(0, 2), name.slice(2)] as [ByteString, ByteString];
      const object = parseObjectPath(directory, file, { archive: true });
      expect(object).toBeDefined();
      if (object === undefined) continue;
      expect(objectPath(object.checksum, object.type, { archive: true })).toBe(`${directory}/${file}`);
    }
  });

  it('has the commits that the real tool shows', () => {
    for (const [checksum, golden] of goldenCommits(tree)) {
      const data = bytesFromHex(golden.commit_hex);
      const commit = decodeCommit(data, checksum);
      expect([commit.rootDirtree, commit.rootDirmeta]).toEqual([golden.root_dirtree, golden.root_dirmeta]);
      expect(composefsDigest(commit)).toBe(golden.composefs_digest_v0 ?? undefined);
      const raw = byteswapped(COMMIT_TYPE, decodeVariant(COMMIT_TYPE, data, checksum));
      const shown = printVariant(COMMIT_TYPE, raw, { annotate: true });
      expect(utf8ByteString(golden.show_raw)).toContain(`commit ${checksum}\n${shown}\n`);
    }
  });

  it('has the composefs images of its commits', () => {
    const reader = readerOf(goldenObjects(tree, 'archive'));
    for (const [checksum, golden] of goldenCommits(tree)) {
      const root = composefsTree(reader, golden.root_dirtree, golden.root_dirmeta);
      const chunks: Uint8Array[] = [];
      const verity = new VerityHash(portableHash);
      const { size, version } = writeImage(root, { minVersion: 0, maxVersion: 1 }, (chunk) => {
        chunks.push(chunk.slice());
        verity.update(chunk);
      });
      const image = { size, sha256: sha256(...chunks), fsverity: hexOf(verity.digest()) };
      if (golden.cfs_image !== undefined) expect(image, checksum).toEqual(golden.cfs_image);
      if (golden.composefs_digest_v0 !== null)
        expect(image.fsverity, checksum).toBe(golden.composefs_digest_v0);
      expect(version).toBe(0);
    }
  });

  it.each(['plain', 'canon', 'owned'])('has the dump of its image (%s)', (variant) => {
    const objects = goldenObjects(tree, 'archive');
    const checksum = goldenTree(tree).variants[variant]?.by_mode.archive as string;
    const { rootDirtree, rootDirmeta } = decodeCommit(dataOf(objects, `${checksum}.commit`), checksum);
    const lines: string[] = [];
    writeDump(composefsTree(readerOf(objects), rootDirtree, rootDirmeta), (text) => lines.push(text));
    const folder = new URL(`../../vectors/ostree/${tree}/`, import.meta.url);
    const expected = readFileSync(new URL(`${variant}.cfs.dump`, folder), 'latin1');
    expect(withoutSizes(lines.join(''))).toEqual(withoutSizes(expected));
  });

  it('signs again as the real tool did', () => {
    for (const [checksum, { commitmeta_hex }] of goldenCommits(tree)) {
      if (commitmeta_hex === undefined) continue;
      const entries = decodeCommitmeta(bytesFromHex(commitmeta_hex), checksum);
      const all = signatures(entries, ED25519_KEY);
      expect(all.every((signature) => signature.length === 64)).toBe(true);
      let again: ReturnType<typeof decodeCommitmeta> = [];
      for (const signature of all) again = withSignature(again, ED25519_KEY, signature);
      expect(hexOf(encodeCommitmeta(again))).toBe(commitmeta_hex);
    }
  });
});

function dataOf(objects: Map<string, TarEntry>, name: string): Uint8Array {
  return (objects.get(name) as TarEntry).data;
}

/** Reads the objects of an archive repository, and computes their fs-verity digests. */
function readerOf(objects: Map<string, TarEntry>): ComposefsReader {
  return {
    dirtree: (checksum) => decodeDirtree(dataOf(objects, `${checksum}.dirtree`), checksum),
    dirmeta: (checksum) => decodeDirmeta(dataOf(objects, `${checksum}.dirmeta`), checksum),
    file: (checksum) => {
      const data = dataOf(objects, `${checksum}.filez`);
      const { header, length } = decodeArchiveHeader(data, checksum);
      const content = inflated(data.subarray(length));
      return { header, size: content.length, verity: hexOf(verityDigest(portableHash, content)) };
    },
  };
}

/** A symbolic link has nothing behind its header, not even a stream of no bytes. */
function inflated(data: Uint8Array): Uint8Array {
  return data.length === 0 ? data : inflateRawSync(data);
}

/** Size and link count of a directory are the image's own; a tree has not got them. */
function withoutSizes(dump: string): string[] {
  return dump
    .split('\n')
    .map((line) => line.replace(/^(\S+) \d+ (4\d{4}) \d+ /, '$1 - $2 - '))
    .sort();
}

describe('order of a dictionary', () => {
  const vectors = JSON.parse(
    readFileSync(new URL('../../vectors/ostree/hashorder/vectors.json', import.meta.url), 'utf8'),
  ) as { args: string[]; order: string[] }[];

  it('is that of 124 commits of the real tool', () => {
    expect(vectors.length).toBe(124);
    for (const { args, order } of vectors) {
      const keys = [...args, 'ostree.ref-binding', 'ostree.composefs.digest.v0'];
      const entries = keys.map((key) => [utf8ByteString(key), 0] as const);
      expect(inDictOrder(entries).map(([key]) => key)).toEqual(order.map(utf8ByteString));
    }
  });

  it('keeps the place of a key whose value is replaced', () => {
    const key = (text: string) => utf8ByteString(text);
    const once = inDictOrder([[key('a'), 1] as const, [key('b'), 2] as const]);
    const twice = inDictOrder([[key('a'), 1] as const, [key('b'), 2] as const, [key('a'), 3] as const]);
    expect(twice.map(([name]) => name)).toEqual(once.map(([name]) => name));
    expect(new Map(twice).get(key('a'))).toBe(3);
  });
});
