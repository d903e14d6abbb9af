/**
 * What was measured so far, kept in a file after each round, so that an interrupted run goes on where it was: a row is
 * complete once it has all its rounds by the program as it is now.
 * @module
 */
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from './machine.ts';
import type { InputSize, Row, Who } from './row.ts';
import type { Run } from './run-process.ts';

/** One run of each who takes part. */
export type Round = Readonly<Partial<Record<Who, Run>>>;

export interface RowResult {
  /** What measured: names the program's files and this harness. */
  readonly build: string;
  /** When the last round ended, as ISO 8601. */
  readonly when: string;
  readonly size: InputSize;
  readonly load: number;
  readonly quick: boolean;
  readonly rounds: readonly Round[];
}

export interface Results {
  readonly seed: number;
  machine: Machine | undefined;
  readonly rows: Record<string, RowResult>;
}

const FILE = 'results.json';

/** @param seed that of generated inputs, for results that begin */
export function loadResults(folder: string, seed: number): Results {
  const path = join(folder, FILE);
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return { seed, machine: undefined, rows: {} };
  return JSON.parse(readFileSync(path, 'utf8')) as Results;
}

export function saveResults(folder: string, results: Results): void {
  const path = join(folder, FILE);
  writeFileSync(`${path}.new`, JSON.stringify(results, null, 1));
  renameSync(`${path}.new`, path);
}

/** The rounds of a row that still count: those of this build, of a full run if one is asked for. */
export function roundsOf(results: Results, row: Row, build: string, quick: boolean): readonly Round[] {
  const result = results.rows[row.id];
  if (result === undefined || result.build !== build || (result.quick && !quick)) return [];
  return result.rounds;
}

/** Rounds of a row: fewer where it has to be quick. */
export function roundsWanted(row: Row, quick: boolean): number {
  return quick ? Math.min(row.runs, 3) : row.runs;
}
