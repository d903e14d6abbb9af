/** `ostree log`: a commit and its ancestors. @module */
import { SealtreeError } from '../../core/errors.ts';
import { dumpObject } from '../dump-object.ts';
import { openRepository } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['log'],
  summary: 'Print a commit and those before it',
  operands: 'REV',
  options: [{ flags: '--raw', description: 'Print the objects as GVariant text' }],
  examples: ['sealtree log --repo=repo main'],
  run,
};

function run(context: Context): void {
  const { args, options, stdout } = context;
  const repo = openRepository(context);
  if (args[0] === undefined) throw usageError('A rev argument is required');
  const first = repo.resolveRev(args[0]);
  for (let checksum: string | undefined = first; checksum !== undefined; ) {
    try {
      dumpObject(stdout, repo, 'commit', checksum, { raw: options.has('raw') });
      checksum = repo.commit(checksum).parent;
    } catch (error) {
      if (checksum === first || !(error instanceof SealtreeError) || error.code !== 'missing') throw error;
      stdout.line('<< History beyond this commit not fetched >>');
      return;
    }
  }
}
