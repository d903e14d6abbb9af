/** Rows of composefs images: of dump files, of directories, with and without a digest store. @module */
import { memoryOverTheirsAtMost, ratioAtMost } from '../goals.ts';
import { makeDump, remove, type Tree } from '../inputs.ts';
import type { Contestant, Row } from '../row.ts';
import { isLarge, placeIn, type Workshop } from './workshop.ts';

export function imageRows(workshop: Workshop): Row[] {
  return [
    dumpRow(workshop, 64_000, 0.8),
    dumpRow(workshop, 500_000, 0.5),
    ...workshop.trees.flatMap((tree) => [directoryRow(workshop, tree), storeRow(workshop, tree)]),
  ];
}

function dumpRow(workshop: Workshop, entries: number, ratio: number): Row {
  const { seed } = workshop;
  const group = `dump-${entries}`;
  const dump = placeIn(workshop, group, 'input.dump');
  return {
    ...bothWrite(workshop, group, (image) => ['--from-file', '--print-digest', dump, image]),
    id: `from-file/${entries}`,
    work: '`mkcomposefs --from-file`',
    input: `${entries.toLocaleString('en')} entries`,
    goals: [ratioAtMost(ratio), memoryOverTheirsAtMost(60)],
    runs: 5,
    prepare: () => makeDump(dump, entries, seed),
    size: () => ({ entries }),
  };
}

function directoryRow(workshop: Workshop, tree: Tree): Row {
  const row = bothWrite(workshop, `image-${tree.id}`, (image) => ['--print-digest', tree.path, image]);
  const plain = { ...row.contestants.ours, env: { SEALTREE_NATIVE: '0' } };
  return {
    ...row,
    id: `directory/${tree.id}`,
    work: '`mkcomposefs` on a directory',
    input: tree.title,
    contestants: { ...row.contestants, plain },
    goals: [ratioAtMost(0.45), ratioAtMost(0.6, 'plain')],
    ...(isLarge(tree) ? { long: true as const } : {}),
    runs: 5,
    prepare: tree.prepare,
    size: tree.size,
  };
}

function storeRow(workshop: Workshop, tree: Tree): Row {
  const group = `image-${tree.id}`;
  const store = (who: string) => placeIn(workshop, group, `${who}.store`);
  const args = (image: string, who: string) => [
    `--digest-store=${store(who)}`,
    '--print-digest',
    tree.path,
    image,
  ];
  return {
    ...bothWrite(workshop, group, args, (who) => remove(store(who))),
    id: `digest-store/${tree.id}`,
    work: '`mkcomposefs --digest-store`, empty store',
    input: tree.title,
    goals: [ratioAtMost(0.3)],
    ...(isLarge(tree) ? { long: true as const } : {}),
    runs: isLarge(tree) ? 1 : 5,
    prepare: tree.prepare,
    size: tree.size,
  };
}

/** Two that write an image each, which is removed before. */
function bothWrite(
  workshop: Workshop,
  group: string,
  args: (image: string, who: string) => string[],
  before?: (who: string) => void,
): Pick<Row, 'group' | 'against'> & { contestants: { theirs: Contestant; ours: Contestant } } {
  const { tools } = workshop;
  const contestant = (who: 'theirs' | 'ours'): Contestant => {
    const image = placeIn(workshop, group, `${who}.cfs`);
    return {
      command: () => tools[who]('mkcomposefs', args(image, who)),
      before: () => {
        remove(image);
        before?.(who);
      },
    };
  };
  return {
    group,
    against: 'mkcomposefs',
    contestants: { theirs: contestant('theirs'), ours: contestant('ours') },
  };
}
