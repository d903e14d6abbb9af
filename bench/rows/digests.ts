/** Rows of fs-verity digests of large files. @module */
import { statSync } from 'node:fs';
import { ratioAtMost, speedAtLeast } from '../goals.ts';
import { makeLarge } from '../inputs.ts';
import type { Contestant, Row } from '../row.ts';
import { placeIn, type Workshop } from './workshop.ts';

const SCALE = 'openssl speed -multi 2';

/** How fast OpenSSL hashes blocks of 4 KiB on two cores. */
const opensslSpeed: Contestant = {
  command: () => 'openssl speed -seconds 1 -multi 2 -evp sha256 -bytes 4096'.split(' '),
  rate: (stdout) => Number(/([\d.]+)k\s*$/.exec(stdout)?.[1]) * 1000,
};

export function digestRows(workshop: Workshop): Row[] {
  return [digestRow(workshop, 1, 0.4), { ...digestRow(workshop, 10, 0.3), long: true }];
}

function digestRow(workshop: Workshop, gibibytes: number, ratio: number): Row {
  const { tools, seed } = workshop;
  const group = `digest-${gibibytes}`;
  const file = placeIn(workshop, group, 'large');
  const ours = () => tools.ours('fsverity', ['digest', file]);
  return {
    id: `fsverity-digest/${gibibytes}-GiB`,
    work: '`fsverity digest`',
    input: `${gibibytes} GiB`,
    against: 'fsverity digest',
    group,
    contestants: {
      theirs: { command: () => tools.theirs('fsverity', ['digest', file]) },
      ours: { command: ours },
      plain: { command: ours, env: { SEALTREE_NATIVE: '0' } },
      scale: opensslSpeed,
    },
    goals: [ratioAtMost(ratio), speedAtLeast(1.1, SCALE), speedAtLeast(0.65, SCALE, 'plain')],
    runs: 5,
    prepare: () => makeLarge(file, gibibytes * 1024, seed),
    size: () => ({ bytes: statSync(file).size }),
  };
}
