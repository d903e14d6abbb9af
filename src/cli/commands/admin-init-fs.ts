/** `ostree admin init-fs`: makes a sysroot. @module */
import { initFs } from '../../deploy/init.ts';
import { absolutePath } from '../repository.ts';
import { readingSysroot } from '../sysroot.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin', 'init-fs'],
  summary: 'Make the folders of a sysroot and its repository in an empty directory',
  operands: 'PATH',
  options: [
    { flags: '--modern', description: 'Make only boot and ostree' },
    {
      flags: '-E, --epoch <epoch>',
      description: '0 makes the folders of a root file system, 1 is --modern, 2 closes ostree to other users',
      kind: 'int',
    },
  ],
  examples: ['sealtree admin init-fs --modern /mnt'],
  description: ['PATH has to be there. What is there already stays.'],
  run,
};

function run(context: Context): void {
  const { args, options } = context;
  if (options.has('print-current-dir')) {
    readingSysroot(context, () => {});
    return;
  }
  const [path] = args;
  if (path === undefined) throw usageError('PATH must be specified');
  const epoch = Number(options.integer('epoch') ?? 0n);
  initFs(absolutePath(path), options.has('modern') && epoch === 0 ? 1 : epoch);
}
