import { expect, it } from 'vitest';
import { byteString, displayByteString } from '../../../src/core/bytes/byte-string.ts';

it('messages show no character that a terminal obeys', () => {
  const text = (bytes: number[]) => displayByteString(byteString(String.fromCharCode(...bytes)));
  expect(text([0x61, 0x1b, 0x5b, 0x0a, 0x7f])).toBe('a\\x1b[\\x0a\\x7f');
  // U+009B in UTF-8, which is ESC [ to the Linux console; U+00A0 and U+00E9 are printed.
  expect(text([0xc2, 0x9b, 0x32, 0x4a])).toBe('\\xc2\\x9b2J');
  expect(text([0xc2, 0xa0, 0xc3, 0xa9])).toBe('\u00a0\u00e9');
});
