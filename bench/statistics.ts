/** Medians and spreads of runs, and what they come to for each who took part in a row. @module */
import type { Run } from './run-process.ts';

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** What the runs of one contestant come to: seconds and bytes. */
export interface Summary {
  readonly wall: Spread;
  readonly user: Spread;
  readonly system: Spread;
  readonly memory: Spread;
  /** Bytes a second, of a contestant that tells them. */
  readonly rate: Spread | undefined;
}

/** @throws RangeError without values */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError('there is no median of nothing');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] as number;
  const low = sorted.length % 2 === 0 ? (sorted[middle - 1] as number) : high;
  return { median: (low + high) / 2, least: sorted[0] as number, most: sorted.at(-1) as number };
}

export function summarize(runs: readonly Run[]): Summary {
  const of = (value: (run: Run) => number) => spread(runs.map(value));
  const rates = runs.flatMap(({ rate }) => rate ?? []);
  return {
    wall: of(({ wall }) => wall),
    user: of(({ user }) => user),
    system: of(({ system }) => system),
    memory: of(({ memory }) => memory),
    rate: rates.length === 0 ? undefined : spread(rates),
  };
}
