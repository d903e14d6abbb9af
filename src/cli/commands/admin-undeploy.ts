/** `ostree admin undeploy`: removes a deployment. @module */
import { SealtreeError } from '../../core/errors.ts';
import { replaceDeployments } from '../../deploy/deploy.ts';
import { deploymentName, sameDeployment } from '../../deploy/deployment.ts';
import { changingSysroot, deploymentAt, parseIndex, reporter } from '../sysroot.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin', 'undeploy'],
  summary: 'Remove the deployment at a place of the list',
  operands: 'INDEX',
  options: [],
  examples: ['sealtree admin undeploy 1'],
  description: [
    'INDEX counts from 0, the default, as `admin status` lists them. The running deployment stays.',
  ],
  run,
};

async function run(context: Context): Promise<void> {
  await changingSysroot(context, async (sysroot) => {
    const [given] = context.args;
    if (given === undefined) throw usageError('INDEX must be specified');
    const index = parseIndex(given);
    const target = deploymentAt(sysroot, index);
    if (sysroot.booted !== undefined && sameDeployment(target, sysroot.booted))
      throw new SealtreeError('mismatch', `Cannot undeploy currently booted deployment ${index}`);
    const left = sysroot.deployments.filter((deployment) => deployment !== target);
    await replaceDeployments(sysroot, left, reporter(context));
    context.stdout.line(`Deleted deployment ${deploymentName(target)}`);
  });
}
