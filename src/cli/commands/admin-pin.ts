/** `ostree admin pin`: keeps a deployment from being removed by later ones. @module */
import { type ByteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { SealtreeError } from '../../core/errors.ts';
import { pendingAndRollback } from '../../deploy/deploy.ts';
import { isPinned } from '../../deploy/deployment.ts';
import { setPinned } from '../../deploy/pin.ts';
import type { Sysroot } from '../../deploy/sysroot.ts';
import { changingSysroot, deploymentAt, parseIndex } from '../sysroot.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin', 'pin'],
  summary: 'Keep deployments until they are unpinned or undeployed',
  operands: 'INDEX…',
  options: [{ flags: '-u, --unpin', description: 'Let them go with the next deployment again' }],
  examples: ['sealtree admin pin 0', 'sealtree admin pin --unpin booted'],
  description: [
    'INDEX counts from 0, as `admin status` lists them, or is one of booted, pending (the first one before it) and ' +
      'rollback (the first one behind it).',
  ],
  run,
};

async function run(context: Context): Promise<void> {
  const { args, options, stdout } = context;
  await changingSysroot(context, (sysroot) => {
    if (args.length === 0) throw usageError('INDEX must be specified');
    const pinned = !options.has('unpin');
    for (const given of args) {
      const index = indexOf(sysroot, given);
      const target = deploymentAt(sysroot, index);
      const word = pinned ? 'pinned' : 'unpinned';
      if (isPinned(target) === pinned) {
        stdout.line(`Deployment ${index} is already ${word}`);
      } else {
        setPinned(sysroot, target, pinned);
        stdout.line(`Deployment ${index} is now ${word}`);
      }
    }
  });
}

function indexOf(sysroot: Sysroot, given: ByteString): number {
  if (given !== 'booted' && given !== 'pending' && given !== 'rollback') return parseIndex(given);
  const { booted, deployments } = sysroot;
  const target =
    booted === undefined
      ? undefined
      : given === 'booted'
        ? booted
        : pendingAndRollback(sysroot, booted.stateroot)[given === 'pending' ? 'pending' : 'rollback'];
  if (target !== undefined) return deployments.indexOf(target);
  throw new SealtreeError('missing', `Deployment type not found: ${displayByteString(given)}`);
}
