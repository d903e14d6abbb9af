/** `ostree admin cleanup`: removes what no boot entry leads to. @module */
import { cleanUp } from '../../deploy/cleanup.ts';
import { changingSysroot } from '../sysroot.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin', 'cleanup'],
  summary: 'Remove deployments, kernels and objects that no boot entry and no ref leads to',
  operands: '',
  options: [],
  examples: ['sealtree admin cleanup'],
  run,
};

async function run(context: Context): Promise<void> {
  await changingSysroot(context, (sysroot) => {
    cleanUp(sysroot, { prune: true });
  });
}
