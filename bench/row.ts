/** What a row of the table is: one piece of work, who does it, and what it has to reach. @module */
import type { Goal } from './goals.ts';

/**
 * Who takes part in a row. `theirs` is what sealtree is compared with, `plain` is sealtree without its native part, `scale`
 * tells what the machine can do, `start` is `node -e 0`.
 */
export type Who = 'theirs' | 'ours' | 'plain' | 'scale' | 'start';

export interface Contestant {
  command(): readonly string[];
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** What has to be there, or must not, before a run: neither timed nor counted, and brought to disk. */
  before?(): void;
  /** What is noted once a run succeeded; not timed. */
  after?(): void;
  /** Bytes a second that a run of `scale` tells. */
  rate?(stdout: string): number;
}

export interface InputSize {
  readonly entries?: number;
  readonly bytes?: number;
}

export interface Row {
  /** WORK/INPUT; a note on a missed goal stands under WORK. */
  readonly id: string;
  readonly work: string;
  readonly input: string;
  /** What it is compared with, as the table names it. */
  readonly against: string;
  /** Rows of one group share inputs; what it holds is removed when the next group begins. */
  readonly group: string;
  readonly contestants: Readonly<Partial<Record<Who, Contestant>> & { ours: Contestant }>;
  readonly goals: readonly Goal[];
  readonly runs: number;
  /** Left out of a quick run. */
  readonly long?: true;
  /** What both print differs: a percentage, a version. */
  readonly outputsDiffer?: true;
  /** What they are compared with is a Node program too, whose start is subtracted as well. */
  readonly againstNode?: true;
  /** One point of a curve of growth: the name of the curve. */
  readonly growth?: string;
  /** Makes the inputs that are not there yet. */
  prepare(): void;
  /** What changes before each round, for all who take part. */
  round?(): void;
  size?(): InputSize;
}

/** The part of a row's id that says what is done, not with what. */
export function workOf(id: string): string {
  return id.slice(0, id.indexOf('/'));
}
