import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { measureRow } from '../../bench/measure.ts';
import { loadResults, type Results } from '../../bench/results.ts';
import type { Row } from '../../bench/row.ts';
import { runProcess } from '../../bench/run-process.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtree-test-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('measureRow', () => {
  let commands: string[];
  const row: Row = {
    id: 'work/input',
    work: 'work',
    input: 'input',
    against: 'echo',
    group: 'group',
    contestants: {
      theirs: { command: () => said('theirs', 'same') },
      ours: { command: () => said('ours', 'same') },
    },
    goals: [],
    runs: 4,
    prepare: () => {},
  };
  const said = (who: string, text: string) => {
    commands.push(who);
    return ['/bin/sh', '-c', `echo ${text}`];
  };
  beforeEach(() => {
    commands = [];
  });

  /** Measures until so many rounds are done, and then is interrupted. */
  const measure = async (build: string, until = Number.POSITIVE_INFINITY): Promise<Results> => {
    const results = loadResults(folder, 1);
    const progress = (_: Row, done: number) => {
      if (done === until) throw new Error('interrupted');
    };
    await measureRow(row, results, { folder, build, quick: false, progress }).catch(() => {});
    return loadResults(folder, 1);
  };

  it('goes on where it was interrupted', async () => {
    const before = await measure('a', 3);
    expect(before.rows[row.id]?.rounds).toHaveLength(3);
    commands = [];
    const after = await measure('a');
    expect(after.rows[row.id]?.rounds).toHaveLength(4);
    expect(after.rows[row.id]?.rounds.slice(0, 3)).toEqual(before.rows[row.id]?.rounds);
    // The round that warms caches, and the one that was missing, in which the other begins.
    expect(commands).toEqual(['theirs', 'ours', 'ours', 'theirs']);
  });

  it('does nothing for a row that is complete', async () => {
    await measure('a');
    commands = [];
    await measure('a');
    expect(commands).toEqual([]);
  });

  it('begins anew with another program', async () => {
    await measure('a', 3);
    expect((await measure('b', 1)).rows[row.id]).toMatchObject({ build: 'b', rounds: [{}] });
  });

  it('refuses outputs that differ', async () => {
    const contestants = { ...row.contestants, ours: { command: () => said('ours', 'other') } };
    const session = { folder, build: 'a', quick: false, progress: () => {} };
    const measured = measureRow({ ...row, contestants }, loadResults(folder, 1), session);
    await expect(measured).rejects.toThrow(
      'work/input: the outputs differ: other by sealtree, same by theirs',
    );
  });
});

describe('runProcess', () => {
  it('tells what the program took and not what this process has', async () => {
    const { stdout, wall, user, memory } = await runProcess(
      ['/bin/sh', '-c', 'echo $WORD'],
      { WORD: 'hello' },
      folder,
    );
    expect(stdout).toBe('hello\n');
    expect(wall).toBeGreaterThan(0);
    expect(user).toBeLessThan(1);
    expect(memory).toBeLessThan(process.memoryUsage.rss() / 2);
  });

  it('fails with the words of a program that fails, however soon it does', async () => {
    const run = runProcess(['/bin/sh', '-c', 'echo no >&2; exit 3'], {}, folder);
    await expect(run).rejects.toThrow(/: no$/m);
    await expect(runProcess(['/nowhere'], {}, folder)).rejects.toThrow('/nowhere');
  });
});
