/** Checksum and fs-verity digest by one reading, against node:crypto and the core. @module */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hexOf } from '../../src/core/bytes/hex.ts';
import { verityDigest } from '../../src/core/verity/digest.ts';
import { makeContentHash, paddedSize } from '../../src/node/content-hash.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { useNative } from '../../src/node/native.ts';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { WAYS } from '../native-part.ts';

describe.each(WAYS)('a content hash $way', ({ part }) => {
  beforeAll(() => useNative(part()));
  afterAll(() => useNative(undefined));

  const checksum = (head: Uint8Array, content: Uint8Array) =>
    createHash('sha256').update(head).update(content).digest('hex');
  const verity = (content: Uint8Array) => hexOf(verityDigest(opensslHash, content));

  it('is right for content that comes at once', () => {
    const hash = makeContentHash();
    fc.assert(
      fc.property(fc.nat(200), fc.nat(3 * 4096 + 100), fc.boolean(), (headSize, size, wantsVerity) => {
        const head = vectorBytes(headSize);
        const content = vectorBytes(size).map((byte) => byte ^ 0x5a);
        // Behind the content is what was there before.
        const buffer = new Uint8Array(7 + paddedSize(size)).fill(0xff);
        buffer.set(content, 7);
        hash.begin(head, wantsVerity);
        hash.add(buffer, 7, size);
        expect(hash.end()).toEqual({
          checksum: checksum(head, content),
          verity: wantsVerity ? verity(content) : undefined,
        });
      }),
      { numRuns: 300 },
    );
  });

  it.each([1, 64, 128, 129, 300])('is right for content that comes in pieces of %d blocks', (blocks) => {
    const content = vectorBytes(1_300_000);
    const head = vectorBytes(61);
    const hash = makeContentHash();
    hash.begin(head, true);
    const buffer = new Uint8Array(blocks * 4096);
    for (let at = 0; at < content.length; at += buffer.length) {
      const piece = content.subarray(at, at + buffer.length);
      buffer.set(piece);
      hash.add(buffer, 0, piece.length);
    }
    expect(hash.end()).toEqual({ checksum: checksum(head, content), verity: verity(content) });
  });

  it('has the digest of an empty file for no content', () => {
    const hash = makeContentHash();
    hash.begin(vectorBytes(3), true);
    expect(hash.end()).toEqual({
      checksum: checksum(vectorBytes(3), new Uint8Array(0)),
      verity: verity(new Uint8Array(0)),
    });
  });
});

it('writes nowhere but into its buffer', () => {
  useNative(WAYS[0]?.part());
  const hash = makeContentHash();
  hash.begin(new Uint8Array(0), true);
  expect(() => hash.add(new Uint8Array(8191), 0, 5000)).toThrow(RangeError);
  expect(() => hash.add(new Uint8Array(4096), 1, 4096)).toThrow();
  expect(() => hash.add(new Uint8Array(4096), -1, 10)).toThrow();
  hash.add(new Uint8Array(4096), 0, 10);
  expect(() => hash.add(new Uint8Array(4096), 0, 10)).toThrow(RangeError);
  useNative(undefined);
});
