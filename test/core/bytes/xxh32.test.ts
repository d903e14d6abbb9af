import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { xxh32 } from '../../../src/core/bytes/xxh32.ts';
import { nameFilterBit, splitXattrKey } from '../../../src/core/erofs/format.ts';
import { tableRows } from '../../composefs-vectors.ts';

describe('xxh32', () => {
  // github.com/Cyan4973/xxHash, tests/sanity_test_vectors.h and the documentation's examples.
  it.each([
    ['', 0, 0x02cc5d05],
    ['', 0x9e3779b1, 0x36b78ae7],
    ['abc', 0, 0x32d153ff],
    ['Nobody inspects the spammish repetition', 0, 0xe2293b2f],
  ])('of %j with seed %i', (text, seed, hash) => {
    expect(xxh32(byteString(text), seed)).toBe(hash);
  });
});

describe('the bit of an xattr in the name filter', () => {
  // test/vectors/composefs/xattr-filter-xxh32.tsv
  it.each(tableRows('xattr-filter-xxh32.tsv'))('%s', (key, index, suffix, hash, bit) => {
    const split = splitXattrKey(byteString(key as string));
    expect(split).toEqual({ index: Number(index), suffix });
    expect(xxh32(split.suffix, 0x25bbe08f + split.index)).toBe(Number.parseInt(hash as string, 16));
    expect(nameFilterBit(split.index, split.suffix)).toBe(Number(bit));
  });
});
