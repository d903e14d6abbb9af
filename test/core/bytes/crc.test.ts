/** CRC-32 and CRC-32C. */
import { describe, expect, it } from 'vitest';
import { crc32, crc32c } from '../../../src/core/bytes/crc.ts';

const DIGITS = Buffer.from('123456789');

describe('crc32', () => {
  // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
  it('gives the check value', () => expect(crc32(DIGITS)).toBe(0xcbf43926));
});

describe('crc32c', () => {
  // RFC 3720, B.4, with the inversions that ext4 leaves out put back.
  it.each([
    { what: '32 zeros', data: Buffer.alloc(32), expected: 0x8a9136aa },
    { what: '32 ones', data: Buffer.alloc(32, 0xff), expected: 0x62a8ab43 },
    {
      what: 'ascending bytes',
      data: Buffer.from(Array.from({ length: 32 }, (_, i) => i)),
      expected: 0x46dd794e,
    },
    { what: 'nine digits', data: DIGITS, expected: 0xe3069283 },
  ])('of $what', ({ data, expected }) => {
    expect(~crc32c(0xffffffff, data) >>> 0).toBe(expected);
    const half = data.length >> 1;
    expect(~crc32c(crc32c(0xffffffff, data.subarray(0, half)), data.subarray(half)) >>> 0).toBe(expected);
  });
});
