/** `sealtree cache clear`: forgets what a repository remembers of earlier commits. @module */
import { clearCache } from '../../cache/cache-file.ts';
import { requireWritable } from '../../repo/transaction.ts';
import { openRepository } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['cache', 'clear'],
  summary: 'forget what a repository remembers of earlier commits',
  operands: '',
  options: [{ flags: '--repo <path>', description: 'repository whose cache it is' }],
  examples: ['sealtree cache clear --repo=repo'],
  description: [
    'Removes tmp/cache/sealtree of the repository. The next commit reads every file again; nothing else is lost. Commits that run meanwhile are not disturbed, and write what they found out.',
  ],
  run,
};

function run(context: Context): void {
  if (context.args.length > 0) throw usageError('cache clear takes no operands');
  const repo = openRepository(context);
  requireWritable(repo);
  clearCache(repo);
}
