/** All rows of the table, in the order in which they are measured. @module */
import { join } from 'node:path';
import { existingTree, generatedTree, type Tree } from './inputs.ts';
import type { Row } from './row.ts';
import { checkoutRows } from './rows/checkouts.ts';
import { commitRows } from './rows/commits.ts';
import { digestRows } from './rows/digests.ts';
import { growthRows } from './rows/growth.ts';
import { imageRows } from './rows/images.ts';
import { layerRows } from './rows/layers.ts';
import { startRows } from './rows/start.ts';
import { verityRows } from './rows/verity.ts';
import type { Workshop } from './rows/workshop.ts';
import type { Tools } from './tools.ts';

const GENERATED = 10_000;

/** @param folder where inputs are made and outputs written */
export function benchRows(tools: Tools, folder: string, seed: number): Row[] {
  const trees: Tree[] = [
    existingTree('root', 'a small Debian root', tools.tree),
    generatedTree(
      'generated',
      `a generated tree of ${GENERATED.toLocaleString('en')} entries`,
      join(folder, 'generated'),
      {
        entries: GENERATED,
        seed,
        typicalSize: 1500,
        largestSize: 4_000_000,
      },
    ),
    existingTree('usr', '/usr of this machine', '/usr'),
  ];
  const workshop: Workshop = { tools, seed, folder, trees };
  return [
    ...startRows(workshop),
    ...digestRows(workshop),
    ...imageRows(workshop),
    ...trees.flatMap((tree) => [...commitRows(workshop, tree), ...checkoutRows(workshop, tree)]),
    ...verityRows(workshop),
    ...layerRows(workshop),
    ...growthRows(workshop),
  ];
}
