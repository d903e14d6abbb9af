import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../../src/core/bytes/hex.ts';
import { parseSealed, type Sealed } from '../../../src/core/conf/sealed.ts';
import { writeSealed } from '../../../src/core/conf/write-sealed.ts';
import type { PublicKey } from '../../../src/core/sign/keys.ts';

/** Public keys of RFC 8032, 7.1, tests 1 to 3. */
const KEYS = [
  'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
  '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
].map((hex): PublicKey => ({ key: Uint8Array.from(Buffer.from(hex, 'hex')), hex, source: '/sealed.conf' }));

const PATH = byteString('/sealed.conf');
const printable = (without: string) =>
  fc
    .string({
      unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
      minLength: 1,
      maxLength: 12,
    })
    .map((text) => byteString([...text].filter((char) => !without.includes(char)).join('')))
    .filter((text) => text !== '' && text.trim() === text);

const sealed: fc.Arbitrary<Sealed> = fc.record({
  mode: fc.constantFrom('signed' as const, 'verity' as const, 'yes' as const),
  arguments: fc.option(fc.array(printable(';"'), { minLength: 1, maxLength: 4 }), { nil: undefined }),
  refusal: fc.constantFrom('poweroff' as const, 'shell' as const),
  trusted: fc.subarray(KEYS, { minLength: 1 }),
  revoked: fc.subarray(KEYS),
  demands: fc.record({
    minimumTimestamp: fc.option(fc.bigInt({ min: 0n, max: 253402300799n }), { nil: undefined }),
    metadata: fc.array(fc.record({ key: printable(';='), value: printable(';') }), { maxLength: 3 }),
  }),
  unsignedEtc: fc.boolean(),
});

describe('the sealed file', () => {
  it('says to its reader what it was written to say', () => {
    fc.assert(
      fc.property(sealed, (written) => {
        expect(parseSealed(writeSealed(written), PATH)).toEqual(written);
      }),
    );
  });

  it('allows no kernel argument at all where the list is empty', () => {
    const text = writeSealed({ ...example, arguments: [] });
    expect(parseSealed(text, PATH).arguments).toEqual([]);
  });

  it.each(['a;b', ' a', 'a\nb', ''])('refuses an argument that would be another in the file: %j', (word) => {
    expect(() => writeSealed({ ...example, arguments: [byteString(word)] })).toThrow(
      'cannot stand in the sealed file',
    );
  });
});

const example: Sealed = {
  mode: 'signed',
  arguments: undefined,
  refusal: 'poweroff',
  trusted: KEYS.slice(0, 1),
  revoked: [],
  demands: { minimumTimestamp: undefined, metadata: [] },
  unsignedEtc: false,
};

it('has keys whose names are their digits', () => {
  for (const { key, hex } of KEYS) expect(hexOf(key)).toBe(hex);
});
