/** `ostree admin kargs edit-in-place`: changes the kernel arguments of all boot entries. @module */
import { appendArguments } from '../../deploy/edit-arguments.ts';
import { changingSysroot } from '../sysroot.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin', 'kargs', 'edit-in-place'],
  summary: 'Add kernel arguments to the boot entries of all deployments',
  operands: '',
  options: [
    {
      flags: '--append-if-missing <name=value>',
      description: 'Kernel argument for entries without one of its name; can be repeated',
      kind: 'text',
    },
  ],
  examples: ['sealtree admin kargs edit-in-place --append-if-missing=quiet'],
  run,
};

async function run(context: Context): Promise<void> {
  await changingSysroot(context, (sysroot) => {
    appendArguments(sysroot, context.options.values('append-if-missing'));
  });
}
