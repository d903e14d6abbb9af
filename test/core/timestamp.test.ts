import { describe, expect, it } from 'vitest';
import { parseTimestamp } from '../../src/core/timestamp.ts';

const UTC = () => 0;

describe('a timestamp', () => {
  // Expected: what `ostree commit --timestamp=…` of ostree 2026.4 put into the commit, with TZ=UTC.
  it.each([
    ['@0', 0],
    ['@1234567890', 1234567890],
    ['@1.5', 1],
    ['@-1', -1],
    ['@ 5', 5],
    ['2024-02-29 12:34:56', 1709210096],
    ['2024-02-29', 1709164800],
    ['2024-02-29T12:34:56Z', 1709210096],
    ['2024-02-29T12:34:56.5+05:30', 1709190296],
    ['2024-02-29T12:34:56+0530', 1709190296],
    ['2024-02-29 12:34', 1709210040],
    ['2024-02-29 12:34:56 UTC', 1709210096],
    ['2024-2-3', 1706918400],
    ['Thu, 29 Feb 2024 12:34:56 +0000', 1709210096],
    ['29 Feb 2024', 1709164800],
  ])('%s is what ostree takes it for', (text, seconds) => {
    expect(parseTimestamp(text, UTC)).toBe(BigInt(seconds));
  });

  // ostree 2026.4: `Could not parse '…'`.
  it.each([
    '2024-02-30',
    '2023-02-29',
    '2024-13-01',
    '2024-00-01',
    '2024-02-29 25:00:00',
    '2024-02-29T12:34:60Z',
    '2024-02-29T12Z',
    '1700000000',
    '@99999999999999999999',
    '@9223372036854775808',
    '@notanumber',
    'nonsense',
    '2024-02-29T12:34:56+25:00',
  ])('%s is none', (text) => {
    expect(parseTimestamp(text, UTC)).toBeUndefined();
  });

  it('without a zone is local time', () => {
    const local = (...clock: number[]) => {
      expect(clock).toEqual([2024, 7, 1, 12, 30]);
      return 2 * 3600;
    };
    expect(parseTimestamp('2024-07-01 12:30', local)).toBe(1719829800n);
  });

  it('agrees with Date over four centuries', () => {
    for (let year = 1800; year < 2200; year += 7) {
      const date = new Date(Date.UTC(year, year % 12, (year % 28) + 1, year % 24, year % 60, year % 59));
      expect(parseTimestamp(date.toISOString(), UTC)).toBe(BigInt(date.getTime()) / 1000n);
    }
  });
});
