/**
 * Rows of commits with composefs metadata, first, repeated, and with some files changed.
 *
 * Commits have no parent, so that their checksum tells nothing but the tree, and both must print the same.
 * @module
 */
import { type Goal, microsecondsAnEntryAtMost, ratioAtMost } from '../goals.ts';
import { changeSomeFiles, copyTree, hasMark, mark, remove, type Tree, unmark } from '../inputs.ts';
import type { Contestant, Row } from '../row.ts';
import { runQuietly } from '../run-process.ts';
import { isLarge, placeIn, type Workshop } from './workshop.ts';

export type Mode = 'archive' | 'bare-user';

export function commitRows(workshop: Workshop, tree: Tree): Row[] {
  return [
    firstRow(workshop, tree, 'archive', [], 0.35),
    repeatedRow(workshop, tree, 'archive'),
    changedRow(workshop, tree, 'archive'),
    firstRow(workshop, tree, 'archive', ['--generate-sizes'], 0.5),
    firstRow(workshop, tree, 'bare-user', [], 0.5),
    repeatedRow(workshop, tree, 'bare-user'),
    changedRow(workshop, tree, 'bare-user'),
  ];
}

/** The group of rows whose repositories hold commits of a tree. */
export function commitGroup(tree: Tree): string {
  return `commit-${tree.id}`;
}

export function commitArgs(
  repo: string,
  tree: string,
  options: readonly string[] = [],
  branch = 'bench',
): string[] {
  const fixed = ['--parent=none', '--timestamp=@1700000000'];
  return ['commit', `--repo=${repo}`, `--branch=${branch}`, ...fixed, ...options, tree];
}

const METADATA = '--generate-composefs-metadata';

function firstRow(
  workshop: Workshop,
  tree: Tree,
  mode: Mode,
  options: readonly string[],
  ratio: number,
): Row {
  const contestant = (who: 'theirs' | 'ours'): Contestant => {
    const repo = repository(workshop, tree, mode, who);
    return {
      command: () => workshop.tools[who]('ostree', commitArgs(repo, tree.path, [METADATA, ...options])),
      before: () => makeEmpty(workshop, repo, mode),
      after: () => mark(repo, tree.path),
    };
  };
  return row(tree, {
    id: ['commit-first', mode, ...options.map((option) => option.slice(2))].join('-'),
    work: [`commit, ${mode}, first`, ...options.map((option) => `\`${option}\``)].join(', '),
    contestant,
    goals: [ratioAtMost(ratio)],
    prepare: tree.prepare,
  });
}

function repeatedRow(workshop: Workshop, tree: Tree, mode: Mode): Row {
  return row(tree, {
    id: `commit-repeated-${mode}`,
    work: `commit, ${mode}, repeated`,
    contestant: (who) => {
      const repo = repository(workshop, tree, mode, who);
      return {
        command: () => workshop.tools[who]('ostree', commitArgs(repo, tree.path, [METADATA])),
        before: () => ensureCommitted(workshop, repo, mode, who, tree.path),
      };
    },
    goals: [microsecondsAnEntryAtMost(15)],
    prepare: tree.prepare,
  });
}

/**
 * What is changed is a copy. sealtree has committed it as it was, which is how its cache knows the copy; the real tool,
 * which keeps no such thing, has the same objects from the tree itself, and is spared that where it takes minutes.
 */
function changedRow(workshop: Workshop, tree: Tree, mode: Mode): Row {
  const copy = placeIn(workshop, commitGroup(tree), 'copy');
  const { seed } = workshop;
  return {
    ...row(tree, {
      id: `commit-changed-${mode}`,
      work: `commit, ${mode}, 1 % of the files changed`,
      contestant: (who) => {
        const repo = repository(workshop, tree, mode, who);
        return { command: () => workshop.tools[who]('ostree', commitArgs(repo, copy, [METADATA])) };
      },
      goals: [ratioAtMost(0.05)],
      prepare: () => {
        tree.prepare();
        copyTree(tree.path, copy);
        for (const who of ['theirs', 'ours'] as const) {
          const repo = repository(workshop, tree, mode, who);
          ensureCommitted(workshop, repo, mode, who, tree.path);
          if (who === 'ours') runQuietly(workshop.tools.ours('ostree', commitArgs(repo, copy, [METADATA])));
        }
      },
    }),
    round: () => changeSomeFiles(copy, seed + Date.now()),
  };
}

function row(
  tree: Tree,
  {
    id,
    work,
    contestant,
    goals,
    prepare,
  }: {
    id: string;
    work: string;
    contestant: (who: 'theirs' | 'ours') => Contestant;
    goals: readonly Goal[];
    prepare(): void;
  },
): Row {
  return {
    id: `${id}/${tree.id}`,
    work,
    input: tree.title,
    against: 'ostree commit',
    group: commitGroup(tree),
    contestants: { theirs: contestant('theirs'), ours: contestant('ours') },
    goals,
    ...(isLarge(tree) ? { long: true as const } : {}),
    runs: isLarge(tree) ? 1 : 5,
    prepare,
    size: tree.size,
  };
}

/** Where the commits of one of the two are. */
export function repository(workshop: Workshop, tree: Tree, mode: Mode, who: 'theirs' | 'ours'): string {
  return placeIn(workshop, commitGroup(tree), `${who}-${mode}`);
}

/** Both begin with a repository that the real tool made. */
function makeEmpty({ tools }: Workshop, repo: string, mode: Mode): void {
  unmark(repo);
  remove(repo);
  runQuietly(['mkdir', '-p', repo]);
  runQuietly(tools.theirs('ostree', ['init', `--repo=${repo}`, `--mode=${mode}`]));
}

/** Makes a repository with a commit of the tree, unless it is there. */
export function ensureCommitted(
  workshop: Workshop,
  repo: string,
  mode: Mode,
  who: 'theirs' | 'ours',
  tree: string,
): void {
  if (hasMark(repo, tree)) return;
  makeEmpty(workshop, repo, mode);
  runQuietly(workshop.tools[who]('ostree', commitArgs(repo, tree, [METADATA])));
  mark(repo, tree);
}
