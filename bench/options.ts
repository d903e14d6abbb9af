/** The command line of the harness. @module */
import { join } from 'node:path';
import { parseArgs } from 'node:util';

export interface Options {
  /** Large inputs are left out, and others measured three times. */
  readonly quick: boolean;
  /** Rows to measure: those whose id holds one of these words; all if there are none. */
  readonly rows: readonly string[];
  /** Measure again what was measured. */
  readonly fresh: boolean;
  readonly json: boolean;
  /** Print the rows and measure nothing. */
  readonly list: boolean;
  /** Show where the time of the first of the rows goes. */
  readonly profile: boolean;
  readonly seed: number | undefined;
  readonly folder: string;
}

export const USAGE = `Usage: npm run bench -- [--quick] [--rows WORD[,WORD…]] [--fresh] [--json] [--list] [--seed N] [--folder DIR]
       bench/profile WORD
`;

/** @throws TypeError about unknown words */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      rows: { type: 'string', multiple: true, default: [] },
      fresh: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      seed: { type: 'string' },
      folder: { type: 'string', default: join(process.env.TMPDIR ?? '/var/tmp', 'sealtree-bench') },
    },
  });
  const { quick, fresh, json, list, profile, folder } = values;
  return {
    quick,
    fresh,
    json,
    list,
    profile,
    folder,
    rows: [...values.rows, ...positionals].flatMap((words) => words.split(',')),
    seed: values.seed === undefined ? undefined : Number(values.seed),
  };
}
