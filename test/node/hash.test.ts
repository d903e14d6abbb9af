/** OpenSSL's hashes in their several ways, against node:crypto. @module */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Hash } from '../../src/core/hash.ts';
import { blockHash, opensslHash } from '../../src/node/hash.ts';
import { useNative } from '../../src/node/native.ts';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { WAYS } from '../native-part.ts';

const NO_SALT = new Uint8Array(0);
const expected = (name: string, data: Uint8Array) => createHash(name).update(data).digest('hex');
const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');

const ways = WAYS.flatMap((way) => (['sha256', 'sha512'] as const).map((name) => ({ ...way, name })));

describe.each(ways)('the block hash $way with $name', ({ part, name }) => {
  let hash: Hash;
  beforeAll(() => {
    useNative(part());
    hash = blockHash();
  });
  afterAll(() => useNative(undefined));
  const length = name === 'sha256' ? 32 : 64;

  it.each([0, 1, 55, 56, 63, 64, 65, 256, 4096, 100_000])('digests %d bytes', (size) => {
    const data = vectorBytes(size);
    expect(hex(hash.digest(name, data))).toBe(expected(name, data));
    const target = new Uint8Array(length + 3);
    hash.digestInto(name, data, target, 2);
    expect(hex(target)).toBe(`0000${expected(name, data)}00`);
    expect(hash.create(name).update(data)).toBeDefined();
  });

  it.each([
    ...[0, 1, 2, 3, 4, 5, 8, 9, 17, 128].map((count) => [count, 4096] as const),
    ...[64, 100, 1024, 65536].map((size) => [5, size] as const),
  ])('digests %d blocks of %d bytes', (count, size) => {
    // Not at the beginning of its memory, on either side.
    const data = vectorBytes(count * size + 7).subarray(7);
    for (const salt of [NO_SALT, vectorBytes(32), vectorBytes(256), NO_SALT]) {
      const target = new Uint8Array(count * length + 5);
      if (hash.digestBlocksInto?.(name, data, size, target, 5, salt) !== true) {
        expect(name).not.toBe('sha256');
        continue;
      }
      const digests = Array.from({ length: count }, (_, i) =>
        expected(name, Buffer.concat([salt, data.subarray(i * size, (i + 1) * size)])),
      );
      expect(hex(target)).toBe(`0000000000${digests.join('')}`);
    }
  });
});

describe.each(WAYS)('the block hash $way', ({ part }) => {
  beforeAll(() => useNative(part()));
  afterAll(() => useNative(undefined));

  it('does not write beyond the place for its digests', () => {
    const hash = blockHash();
    const data = vectorBytes(8192);
    expect(() => hash.digestBlocksInto?.('sha256', data, 4096, new Uint8Array(63), 0, NO_SALT)).toThrow(
      RangeError,
    );
    expect(() => hash.digestInto('sha256', data, new Uint8Array(40), 9)).toThrow(RangeError);
  });

  it('is made of functions that are found', () => {
    expect(blockHash()).not.toBe(opensslHash);
  });
});
