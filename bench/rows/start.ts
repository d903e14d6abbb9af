/** Rows of how soon a program is there. @module */
import { plainRatioAtMost } from '../goals.ts';
import type { Row } from '../row.ts';
import type { Workshop } from './workshop.ts';

export function startRows({ tools }: Workshop): Row[] {
  return [
    {
      id: 'start/version',
      work: 'start: `sealtree --version`',
      input: 'nothing',
      against: 'node -e 0',
      group: 'start',
      contestants: {
        theirs: { command: () => [process.execPath, '-e', '0'] },
        ours: { command: () => tools.ours('sealtree', ['--version']) },
      },
      goals: [plainRatioAtMost(1.25)],
      runs: 21,
      outputsDiffer: true,
      prepare: () => {},
    },
  ];
}
