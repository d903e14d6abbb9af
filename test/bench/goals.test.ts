import { describe, expect, it } from 'vitest';
import {
  type Goal,
  judge,
  type Measured,
  microsecondsAnEntryAtMost,
  missedBy,
  ratioAtMost,
  speedAtLeast,
} from '../../bench/goals.ts';
import { growthCurves, judgeGrowth } from '../../bench/growth.ts';
import { summarize } from '../../bench/statistics.ts';

const run = (wall: number, memory = 0, rate?: number) =>
  summarize([{ wall, user: 0, system: 0, memory, steal: 0, ...(rate === undefined ? {} : { rate }) }]);

function measured(
  goals: readonly Goal[],
  of: Partial<Measured['of']>,
  size: Measured['size'] = {},
  growth?: string,
): Measured {
  const contestants = { ours: { command: () => [] } };
  const fixed = { id: 'a/b', work: 'a', input: 'b', against: 'c', group: 'd', runs: 1, prepare: () => {} };
  const row = { ...fixed, contestants, goals, ...(growth === undefined ? {} : { growth }) };
  return { row, of: { ours: run(1), start: run(0.05), ...of }, size };
}

describe('a ratio', () => {
  it('is of the times as they are where the real tool takes long', () => {
    const [verdict] = judge(measured([ratioAtMost(0.5)], { ours: run(2), theirs: run(4) }));
    expect(verdict).toMatchObject({ value: 0.5, met: true });
  });

  it('leaves out the start of Node.js where the real tool is short', () => {
    const [verdict] = judge(measured([ratioAtMost(0.5)], { ours: run(0.55), theirs: run(1) }));
    expect(verdict?.value).toBeCloseTo(0.5);
  });

  it('says by how much it misses its goal', () => {
    const [verdict] = judge(measured([ratioAtMost(0.4)], { ours: run(2), theirs: run(4) }));
    expect(verdict).toMatchObject({ met: false });
    expect(missedBy(verdict as NonNullable<typeof verdict>)).toBeCloseTo(1.25);
  });
});

it('a speed is that of bytes, by what the machine can do, and not told where that is unknown', () => {
  const goal = speedAtLeast(1.1, 'openssl speed');
  const size = { bytes: 8e9 };
  const theirs = run(5);
  expect(judge(measured([goal], { ours: run(2), theirs, scale: run(1, 0, 4e9) }, size))[0]).toMatchObject({
    value: 1,
    met: false,
  });
  expect(judge(measured([goal], { ours: run(2), theirs }, size))[0]?.met).toBeUndefined();
});

it('the time of an entry is what comes after the start of Node.js', () => {
  const [verdict] = judge(
    measured([microsecondsAnEntryAtMost(15)], { ours: run(1.05) }, { entries: 100_000 }),
  );
  expect(verdict?.value).toBeCloseTo(10);
});

it('growth is the cost of an entry among many by that among few', () => {
  const point = (entries: number, wall: number, memory: number) =>
    measured([], { ours: run(wall + 0.05, memory) }, { entries }, 'commit');
  const [curve] = growthCurves([point(100, 1, 1000), point(1000, 20, 9000)]);
  expect(judgeGrowth(curve as NonNullable<typeof curve>)).toMatchObject({ name: 'commit', memory: 0.9 });
  expect(judgeGrowth(curve as NonNullable<typeof curve>)?.time).toBeCloseTo(2);
});
