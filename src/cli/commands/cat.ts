/** `ostree cat`: the content of files in a commit. @module */
import type { ByteString } from '../../core/bytes/byte-string.ts';
import { openPath, rootOf } from '../../repo/tree-path.ts';
import { openRepository } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['cat'],
  summary: "Print the contents of a commit's files",
  operands: 'COMMIT PATH...',
  options: [],
  examples: ['sealtree cat --repo=repo main /usr/lib/os-release'],
  run,
};

function run(context: Context): void {
  const { args, stdout } = context;
  const repo = openRepository(context);
  if (args.length < 2) throw usageError('A COMMIT and at least one PATH argument are required');
  const [rev, ...paths] = args as [ByteString, ...ByteString[]];
  const root = rootOf(repo, repo.resolveRev(rev));
  for (const path of paths) {
    for (const piece of openPath(repo, root, path).content()) stdout.writeBytes(piece);
  }
}
