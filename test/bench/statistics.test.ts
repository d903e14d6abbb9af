import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { spread, summarize } from '../../bench/statistics.ts';

describe('spread', () => {
  it.each([
    { values: [3], median: 3 },
    { values: [3, 1], median: 2 },
    { values: [5, 1, 3], median: 3 },
    { values: [4, 1, 3, 2], median: 2.5 },
  ])('of $values has the median $median', ({ values, median }) => {
    expect(spread(values)).toEqual({ median, least: Math.min(...values), most: Math.max(...values) });
  });

  it('has as many values below its median as above', () => {
    const values = fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1 });
    fc.assert(
      fc.property(values, (given) => {
        const { median, least, most } = spread(given);
        const below = given.filter((value) => value < median).length;
        const above = given.filter((value) => value > median).length;
        expect(below).toBeLessThanOrEqual(given.length / 2);
        expect(above).toBeLessThanOrEqual(given.length / 2);
        expect([least, most]).toEqual([Math.min(...given), Math.max(...given)]);
      }),
    );
  });

  it('refuses to be of nothing', () => {
    expect(() => spread([])).toThrow(RangeError);
  });
});

it('summarize takes each figure by itself', () => {
  const run = { wall: 1, user: 9, system: 0, memory: 10, steal: 0 };
  const { wall, user, memory, rate } = summarize([run, { ...run, wall: 3, user: 7, memory: 30, rate: 5 }]);
  expect([wall.median, user.median, memory.most, rate?.median]).toEqual([2, 8, 30, 5]);
});
