/** Rows that show how time and memory grow with the number of entries. @module */
import { generatedTree, hasMark, makeDump, mark, remove, unmark } from '../inputs.ts';
import type { Row } from '../row.ts';
import { runQuietly } from '../run-process.ts';
import { commitArgs } from './commits.ts';
import { placeIn, type Workshop } from './workshop.ts';

const SIZES = [100_000, 300_000, 1_000_000] as const;

export function growthRows(workshop: Workshop): Row[] {
  return [
    ...SIZES.map((entries) => dumpRow(workshop, entries)),
    ...SIZES.flatMap((entries) => commitRows(workshop, entries)),
  ];
}

function dumpRow(workshop: Workshop, entries: number): Row {
  const { tools, seed } = workshop;
  const group = `growth-dump-${entries}`;
  const [dump, image] = [placeIn(workshop, group, 'input.dump'), placeIn(workshop, group, 'image.cfs')];
  const contestant = (who: 'theirs' | 'ours') => ({
    command: () => tools[who]('mkcomposefs', ['--from-file', '--print-digest', dump, image]),
    before: () => remove(image),
  });
  return {
    ...point('mkcomposefs --from-file', entries),
    id: `growth-from-file/${entries}`,
    against: 'mkcomposefs',
    group,
    contestants: { theirs: contestant('theirs'), ours: contestant('ours') },
    prepare: () => makeDump(dump, entries, seed),
    size: () => ({ entries }),
  };
}

/** Of files so small that what counts is how many there are. */
function commitRows(workshop: Workshop, entries: number): Row[] {
  const { tools, seed } = workshop;
  const group = `growth-commit-${entries}`;
  const repo = placeIn(workshop, group, 'repo');
  const tree = generatedTree('', '', placeIn(workshop, group, 'tree'), {
    entries,
    seed,
    typicalSize: 60,
    largestSize: 4096,
  });
  const command = () => tools.ours('ostree', commitArgs(repo, tree.path, ['--generate-composefs-metadata']));
  const initialize = () => {
    unmark(repo);
    remove(repo);
    runQuietly(tools.theirs('ostree', ['init', `--repo=${repo}`, '--mode=bare-user']));
  };
  const common = { against: '', group, prepare: tree.prepare, size: tree.size };
  return [
    {
      ...point('commit, bare-user, first', entries),
      ...common,
      id: `growth-commit-first/${entries}`,
      contestants: { ours: { command, before: initialize, after: () => mark(repo, tree.path) } },
    },
    {
      ...point('commit, bare-user, repeated', entries),
      ...common,
      id: `growth-commit-repeated/${entries}`,
      contestants: { ours: { command } },
      prepare: () => {
        tree.prepare();
        if (hasMark(repo, tree.path)) return;
        initialize();
        runQuietly(command());
        mark(repo, tree.path);
      },
    },
  ];
}

function point(
  curve: string,
  entries: number,
): Pick<Row, 'work' | 'input' | 'growth' | 'goals' | 'runs' | 'long'> {
  const largest = entries === SIZES.at(-1);
  return {
    work: curve,
    input: `${entries.toLocaleString('en')} entries`,
    growth: curve,
    goals: [],
    runs: largest ? 1 : 3,
    ...(largest ? { long: true as const } : {}),
  };
}
