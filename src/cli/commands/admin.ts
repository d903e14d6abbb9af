/** `ostree admin` without a command of its own: says which there are. @module */
import { displayByteString } from '../../core/bytes/byte-string.ts';
import { readingSysroot } from '../sysroot.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin'],
  summary: 'Manage the deployments of a sysroot',
  operands: 'COMMAND',
  options: [],
  examples: ['sealtree admin --sysroot=/mnt --print-current-dir'],
  description: [
    'COMMAND is one of cleanup, deploy, init-fs, kargs edit-in-place, os-init, pin, set-default, stateroot-init, ' +
      'status and undeploy; each has a page of its own.',
  ],
  run,
};

function run(context: Context): void {
  const { args, options } = context;
  if (options.has('print-current-dir')) {
    readingSysroot(context, () => {});
    return;
  }
  const [name] = args;
  if (name === undefined) throw usageError('No "admin" subcommand specified');
  throw usageError(`Unknown "admin" subcommand '${displayByteString(name)}'`);
}
