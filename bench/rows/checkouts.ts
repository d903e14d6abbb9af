/** Rows of what reads a repository: checkouts, images of commits, and fsck. Both read the same, which the real tool wrote. @module */
import { join } from 'node:path';
import { ratioAtMost } from '../goals.ts';
import { changeSomeFiles, copyTree, remove, type Tree } from '../inputs.ts';
import type { Contestant, Row } from '../row.ts';
import { runQuietly } from '../run-process.ts';
import { commitArgs, commitGroup, ensureCommitted, type Mode, repository } from './commits.ts';
import { isLarge, placeIn, type Workshop } from './workshop.ts';

export function checkoutRows(workshop: Workshop, tree: Tree): Row[] {
  const modes = ['archive', 'bare-user'] as const;
  return [
    ...modes.map((mode) => checkoutRow(workshop, tree, mode, ['-U'])),
    checkoutRow(workshop, tree, 'bare-user', ['-U', '-H']),
    ...modes.map((mode) => checkoutRow(workshop, tree, mode, [])),
    ...modes.map((mode) => fsckRow(workshop, tree, mode)),
    secondImageRow(workshop, tree),
  ];
}

function checkoutRow(workshop: Workshop, tree: Tree, mode: Mode, options: readonly string[]): Row {
  const repo = repository(workshop, tree, mode, 'theirs');
  const spelled = ['checkout', ...options].join(' ');
  return {
    ...row(tree, (who) => {
      const target = placeIn(workshop, commitGroup(tree), `${who}.checkout`);
      return {
        command: () =>
          workshop.tools[who]('ostree', ['checkout', `--repo=${repo}`, ...options, 'bench', target]),
        before: () => {
          remove(target);
          // What a checkout for users has unpacked would only be linked by the next.
          remove(join(repo, 'uncompressed-objects-cache'));
        },
        after: () => remove(target),
      };
    }),
    id: `${['checkout', ...options.map((option) => option.slice(1)), mode].join('-')}/${tree.id}`,
    work: options.length === 0 ? `full \`${spelled}\`, ${mode}` : `\`${spelled}\`, ${mode}`,
    against: 'ostree checkout',
    prepare: () => ensureCommit(workshop, tree, mode),
  };
}

function fsckRow(workshop: Workshop, tree: Tree, mode: Mode): Row {
  const repo = repository(workshop, tree, mode, 'theirs');
  return {
    ...row(tree, (who) => ({
      command: () => workshop.tools[who]('ostree', ['fsck', `--repo=${repo}`]),
    })),
    id: `fsck-${mode}/${tree.id}`,
    work: `\`fsck\`, ${mode}`,
    against: 'ostree fsck',
    outputsDiffer: true,
    prepare: () => ensureCommit(workshop, tree, mode),
  };
}

/**
 * Before each round one hundredth of the files is changed, and the real tool commits that, without composefs metadata:
 * sealtree knows the digests of the objects from the images of the commits before, and from nowhere else.
 */
function secondImageRow(workshop: Workshop, tree: Tree): Row {
  const { tools, seed } = workshop;
  const group = commitGroup(tree);
  const [repo, copy] = [repository(workshop, tree, 'bare-user', 'theirs'), placeIn(workshop, group, 'copy')];
  const imageArgs = (who: string) => [
    'checkout',
    `--repo=${repo}`,
    '--composefs',
    'similar',
    placeIn(workshop, group, `${who}.cfs`),
  ];
  const commitCopy = () => runQuietly(tools.theirs('ostree', commitArgs(repo, copy, [], 'similar')));
  return {
    ...row(tree, (who) => ({
      command: () => tools[who]('ostree', imageArgs(who)),
      before: () => remove(placeIn(workshop, group, `${who}.cfs`)),
    })),
    id: `checkout-composefs-similar/${tree.id}`,
    work: '`checkout --composefs`, second of two similar commits',
    against: 'ostree checkout',
    goals: [ratioAtMost(0.1)],
    prepare: () => {
      ensureCommit(workshop, tree, 'bare-user');
      copyTree(tree.path, copy);
      commitCopy();
      remove(placeIn(workshop, group, 'ours.cfs'));
      runQuietly(tools.ours('ostree', imageArgs('ours')));
    },
    round: () => {
      changeSomeFiles(copy, seed + Date.now());
      commitCopy();
    },
  };
}

function row(
  tree: Tree,
  contestant: (who: 'theirs' | 'ours') => Contestant,
): Omit<Row, 'id' | 'work' | 'against' | 'prepare'> {
  return {
    input: tree.title,
    group: commitGroup(tree),
    contestants: { theirs: contestant('theirs'), ours: contestant('ours') },
    goals: [ratioAtMost(0.6)],
    ...(isLarge(tree) ? { long: true as const } : {}),
    runs: isLarge(tree) ? 1 : 5,
    size: tree.size,
  };
}

/** The repository that the rows of commits have made by now. */
function ensureCommit(workshop: Workshop, tree: Tree, mode: Mode): void {
  tree.prepare();
  ensureCommitted(workshop, repository(workshop, tree, mode, 'theirs'), mode, 'theirs', tree.path);
}
