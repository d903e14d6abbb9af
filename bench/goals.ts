/** What a row has to reach, and whether it did. @module */
import type { InputSize, Row, Who } from './row.ts';
import type { Summary } from './statistics.ts';

/** A row's runs in short. */
export interface Measured {
  readonly row: Row;
  readonly of: Readonly<Partial<Record<Who, Summary>>> & { readonly ours: Summary; readonly start: Summary };
  readonly size: InputSize;
}

export interface Goal {
  readonly what: string;
  readonly limit: number;
  /** The value must not be below the limit; otherwise not above it. */
  readonly atLeast?: true;
  readonly unit: string;
  readonly digits: number;
  /** Undefined where it cannot be told: a contestant is missing. */
  value(measured: Measured): number | undefined;
}

export interface Verdict {
  readonly goal: Goal;
  readonly value: number | undefined;
  readonly met: boolean | undefined;
}

/** Real tools that take at least this many seconds are compared as they are; below it Node's start is subtracted. */
const LONG = 3;
const MB = 1e6;

export function judge(measured: Measured): Verdict[] {
  return measured.row.goals.map((goal) => {
    const value = goal.value(measured);
    if (value === undefined) return { goal, value, met: undefined };
    return { goal, value, met: goal.atLeast ? value >= goal.limit : value <= goal.limit };
  });
}

/** How far a value is from its limit: 1.25 is a quarter too much, or too little. */
export function missedBy({ goal, value }: Verdict): number {
  if (value === undefined) return Number.NaN;
  return goal.atLeast ? goal.limit / value : value / goal.limit;
}

/** Medians of the wall clock, ours by theirs. */
export function plainRatio({ of }: Measured, who: 'ours' | 'plain' = 'ours'): number | undefined {
  const [ours, theirs] = [of[who], of.theirs];
  return ours && theirs && ours.wall.median / theirs.wall.median;
}

/** The same once the start of Node.js is subtracted from what is a Node program. */
export function ratioWithoutStart(measured: Measured, who: 'ours' | 'plain' = 'ours'): number | undefined {
  const [ours, theirs] = [measured.of[who], measured.of.theirs];
  if (ours === undefined || theirs === undefined) return undefined;
  const start = measured.of.start.wall.median;
  return (ours.wall.median - start) / (theirs.wall.median - (measured.row.againstNode ? start : 0));
}

/** Whether the real tool takes so little that the start of Node.js counts. */
export function isShort({ of }: Measured): boolean {
  return of.theirs !== undefined && of.theirs.wall.median < LONG;
}

export function ratioAtMost(limit: number, who: 'ours' | 'plain' = 'ours'): Goal {
  return {
    what: who === 'ours' ? 'ratio' : 'ratio without the native part',
    limit,
    unit: '',
    digits: 2,
    value: (measured) => (isShort(measured) ? ratioWithoutStart(measured, who) : plainRatio(measured, who)),
  };
}

/** Of a row in which the start itself is what counts. */
export function plainRatioAtMost(limit: number): Goal {
  return { what: 'ratio', limit, unit: '', digits: 2, value: (measured) => plainRatio(measured) };
}

/** Bytes hashed a second, by what `scale` reaches in the same run. */
export function speedAtLeast(limit: number, scale: string, who: 'ours' | 'plain' = 'ours'): Goal {
  return {
    what: `speed by ${scale}${who === 'ours' ? '' : ', without the native part'}`,
    limit,
    atLeast: true,
    unit: '',
    digits: 2,
    value: (measured) => {
      const { of, size } = measured;
      const [run, rate] = [of[who], of.scale?.rate?.median];
      if (run === undefined || rate === undefined || size.bytes === undefined) return undefined;
      const wall = run.wall.median - (isShort(measured) ? of.start.wall.median : 0);
      return size.bytes / wall / rate;
    },
  };
}

/** Peak memory beyond that of the real tool. */
export function memoryOverTheirsAtMost(megabytes: number): Goal {
  return {
    what: 'peak memory over theirs',
    limit: megabytes,
    unit: ' MB',
    digits: 0,
    value: ({ of }) => of.theirs && (of.ours.memory.median - of.theirs.memory.median) / MB,
  };
}

export function memoryAtMost(megabytes: number): Goal {
  return {
    what: 'peak memory',
    limit: megabytes,
    unit: ' MB',
    digits: 0,
    value: ({ of }) => of.ours.memory.median / MB,
  };
}

/** Wall time of an entry once Node's start is subtracted. */
export function microsecondsAnEntryAtMost(limit: number): Goal {
  return {
    what: 'an entry',
    limit,
    unit: ' µs',
    digits: 1,
    value: (measured) => perEntry(measured)?.microseconds,
  };
}

/** What an entry of the input costs sealtree beyond the start of Node.js. */
export function perEntry({ of, size }: Measured, who: 'ours' | 'theirs' = 'ours') {
  const run = of[who];
  if (size.entries === undefined || run === undefined) return undefined;
  const start = who === 'ours' ? of.start : undefined;
  return {
    microseconds: ((run.wall.median - (start?.wall.median ?? 0)) / size.entries) * 1e6,
    bytes: (run.memory.median - (start?.memory.median ?? 0)) / size.entries,
  };
}
