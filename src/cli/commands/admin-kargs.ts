/** `ostree admin kargs` without a command of its own: says that there is one. @module */
import { displayByteString } from '../../core/bytes/byte-string.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin', 'kargs'],
  summary: 'Change kernel arguments',
  operands: 'COMMAND',
  options: [],
  examples: ['sealtree admin kargs --help'],
  description: ['COMMAND is edit-in-place, which has a page of its own.'],
  run,
};

function run({ args: [name] }: Context): void {
  throw usageError(
    name === undefined
      ? 'No "admin kargs" subcommand specified'
      : `Unknown "admin kargs" subcommand '${displayByteString(name)}'`,
  );
}
