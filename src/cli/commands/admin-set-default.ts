/** `ostree admin set-default`: makes a deployment what boots next. @module */
import { replaceDeployments } from '../../deploy/deploy.ts';
import { changingSysroot, deploymentAt, reporter } from '../sysroot.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin', 'set-default'],
  summary: 'Make the deployment at a place of the list what boots next',
  operands: 'INDEX',
  options: [],
  examples: ['sealtree admin set-default 1'],
  description: ['INDEX counts from 0, as `admin status` lists them.'],
  run,
};

async function run(context: Context): Promise<void> {
  await changingSysroot(context, async (sysroot) => {
    const [given] = context.args;
    if (given === undefined) throw usageError('INDEX must be specified');
    // As C's atoi: what is no number is 0.
    const target = deploymentAt(sysroot, Number(/^\s*([+-]?[0-9]{1,9})/.exec(given)?.[1] ?? 0));
    const others = sysroot.deployments.filter((deployment) => deployment !== target);
    await replaceDeployments(sysroot, [target, ...others], reporter(context));
  });
}
