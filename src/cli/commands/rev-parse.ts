/** `ostree rev-parse`: the checksum that a revision stands for. @module */
import { SealtreeError } from '../../core/errors.ts';
import { openRepository } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['rev-parse'],
  summary: 'Print the checksum of the commit that a name leads to',
  operands: 'REV',
  options: [
    {
      flags: '-S, --single',
      description: 'Print the only commit of the repository, fail unless there is exactly one',
    },
  ],
  examples: ['sealtree rev-parse --repo=repo main', 'sealtree rev-parse --repo=repo main^'],
  run,
};

function run(context: Context): void {
  const { args, options, stdout } = context;
  const repo = openRepository(context);
  if (options.has('single')) {
    if (args.length > 0) throw usageError('Cannot specify arguments with --single');
    const commits = repo.commits();
    if (commits.length > 1) throw new SealtreeError('mismatch', 'Multiple commit objects found');
    if (commits[0] === undefined) throw new SealtreeError('missing', 'No commit objects found');
    stdout.line(commits[0]);
    return;
  }
  if (args.length === 0) throw usageError('REV must be specified');
  for (const rev of args) stdout.line(repo.resolveRev(rev));
}
