/** `ostree admin stateroot-init`: begins the state of an operating system. @module */
import { byteString } from '../../core/bytes/byte-string.ts';
import { initStateroot, initSysroot } from '../../deploy/init.ts';
import { changingSysroot } from '../sysroot.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin', 'stateroot-init'],
  summary: 'Make a stateroot: what the deployments of one operating system share',
  operands: 'STATEROOT',
  options: [],
  examples: ['sealtree admin stateroot-init --sysroot=/mnt debian'],
  run: initialize,
};

/** What `os-init` does as well. */
export async function initialize(context: Context): Promise<void> {
  await changingSysroot(context, ({ path }) => {
    initSysroot(path);
    const [name] = context.args;
    if (name === undefined) throw usageError('STATEROOT must be specified');
    initStateroot(path, name);
    context.stdout.write(byteString(`ostree/deploy/${name} initialized as OSTree stateroot\n`));
  });
}
