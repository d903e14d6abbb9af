/** Measures a row: rounds in which each who takes part runs once, in turns. @module */
import { spawnSync } from 'node:child_process';
import { loadavg } from 'node:os';
import { type Results, type Round, roundsOf, roundsWanted, saveResults } from './results.ts';
import type { Contestant, Row, Who } from './row.ts';
import { type Finished, type Run, runProcess } from './run-process.ts';

export interface Session {
  /** Where results are kept. */
  readonly folder: string;
  /** Names the program that is measured. */
  readonly build: string;
  readonly quick: boolean;
  /** Called after each round, with how many there are. */
  progress(row: Row, done: number, wanted: number): void;
}

const START: Contestant = { command: () => [process.execPath, '-e', '0'] };

/** Does what a row lacks. Where it has several rounds one more goes before them, which warms caches and is not counted. */
export async function measureRow(row: Row, results: Results, session: Session): Promise<void> {
  const { folder, build, quick } = session;
  const wanted = roundsWanted(row, quick);
  const rounds = [...roundsOf(results, row, build, quick)];
  if (rounds.length >= wanted) return;
  row.prepare();
  const size = row.size?.() ?? {};
  if (wanted > 1) await playRound(row, 0, folder);
  while (rounds.length < wanted) {
    rounds.push(await playRound(row, rounds.length, folder));
    const when = new Date().toISOString();
    results.rows[row.id] = { build, when, size, load: loadavg()[0] ?? 0, quick, rounds };
    saveResults(folder, results);
    session.progress(row, rounds.length, wanted);
  }
}

/** @throws Error if what they print differs where it must not */
async function playRound(row: Row, number: number, folder: string): Promise<Round> {
  row.round?.();
  const order = Object.entries({ ...row.contestants, start: START }) as [Who, Contestant][];
  if (number % 2 === 1) order.reverse();
  const round: Partial<Record<Who, Run>> = {};
  const printed = new Map<Who, string>();
  for (const [who, contestant] of order) {
    contestant.before?.();
    spawnSync('sync');
    const { stdout, ...run } = await runProcess(contestant.command(), contestant.env ?? {}, folder);
    contestant.after?.();
    round[who] = withRate(run, stdout, contestant);
    printed.set(who, stdout.trim());
  }
  if (!row.outputsDiffer) compare(row, printed);
  return round;
}

function withRate(run: Omit<Finished, 'stdout'>, stdout: string, { rate }: Contestant): Run {
  return rate === undefined ? run : { ...run, rate: rate(stdout) };
}

function compare(row: Row, printed: ReadonlyMap<Who, string>): void {
  const ours = printed.get('ours');
  for (const who of ['theirs', 'plain'] as const) {
    const other = printed.get(who);
    if (other !== undefined && other !== ours) {
      throw new Error(`${row.id}: the outputs differ: ${ours} by sealtree, ${other} by ${who}`);
    }
  }
}
