/** Rows of dm-verity devices: hash trees made and verified. @module */
import { statSync } from 'node:fs';
import { ratioAtMost } from '../goals.ts';
import { make, makeLarge, remove } from '../inputs.ts';
import type { Row } from '../row.ts';
import { runQuietly } from '../run-process.ts';
import { placeIn, type Workshop } from './workshop.ts';

const MEGABYTES = 1024;
const GROUP = 'verity';

export function verityRows(workshop: Workshop): Row[] {
  const { tools, seed } = workshop;
  const place = (name: string) => placeIn(workshop, GROUP, name);
  const [data, tree, known] = [place('data'), place('tree'), place('known.tree')];
  const rootHash = `--root-hash-file=${place('root-hash')}`;
  const fixed = ['--salt=-', '--uuid=12345678-9abc-def0-1234-56789abcdef0'];
  const format = {
    theirs: () => tools.theirs('veritysetup', ['format', ...fixed, data, tree]),
    ours: () => tools.ours('sealtree', ['verity', 'format', ...fixed, data, tree]),
  };
  const verify = {
    theirs: () => tools.theirs('veritysetup', ['verify', rootHash, data, known]),
    ours: () => tools.ours('sealtree', ['verity', 'verify', rootHash, data, known]),
  };
  const row = (verb: 'format' | 'verify'): Omit<Row, 'contestants' | 'prepare'> => ({
    id: `verity-${verb}/1-GiB`,
    work: `\`verity ${verb}\`, sha256`,
    input: '1 GiB',
    against: `veritysetup ${verb}`,
    group: GROUP,
    goals: [ratioAtMost(0.4)],
    runs: 5,
    size: () => ({ bytes: statSync(data).size }),
  });
  const before = () => remove(tree);
  return [
    {
      ...row('format'),
      contestants: { theirs: { command: format.theirs, before }, ours: { command: format.ours, before } },
      prepare: () => makeLarge(data, MEGABYTES, seed),
    },
    {
      ...row('verify'),
      contestants: { theirs: { command: verify.theirs }, ours: { command: verify.ours } },
      prepare: () => {
        makeLarge(data, MEGABYTES, seed);
        make(known, (part) =>
          runQuietly(tools.theirs('veritysetup', ['format', ...fixed, rootHash, data, part])),
        );
      },
    },
  ];
}
