/** `verity verify`: holds every block of a dm-verity device against its root hash, as `veritysetup verify`. @module */
import { type ByteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { VERITY_STATUS } from '../../verity/errors.ts';
import { ownerOfRange } from '../../verity/owner.ts';
import { openVerity, type Verification, verifyVerity } from '../../verity/verify.ts';
import type { Output } from '../output.ts';
import type { Context, Verb } from '../verb.ts';
import { needRootHash, rootHashOf, runAction } from '../verity-action.ts';
import { fecOf, fecOffsetOf, geometryOf, optionsFor } from '../veritysetup-options.ts';

export const verb: Verb = {
  tool: 'veritysetup',
  path: ['verity', 'verify'],
  summary: 'Verify all data of a dm-verity device against its root hash',
  operands: 'DATA_DEVICE HASH_DEVICE [ROOT_HASH]',
  options: optionsFor('verify'),
  description: [
    'Reads all data and the whole tree. The first block that is not what it was is named by its position; called as sealtree also by what it belongs to: a file, if the data is an ext4 or EROFS file system, or else a range of bytes.',
    'With --fec-device it says how many wrong bytes could be repaired. The status is then 0 only if what would be repaired was held against the root hash too. Nothing is written.',
  ],
  examples: [
    'sealtree verity verify root.img root.hash e2d2c36aaaea3fad00a8d16c969261f8cbb34b5e78e2d194644889e95bd18bbd',
    'sealtree verity verify root.img root.hash --root-hash-file=root.txt --fec-device=root.fec',
  ],
  run: (context) => runAction('verify', context, () => verify(context)),
};

async function verify(context: Context): Promise<number> {
  const { args, options, stderr, program } = context;
  const [dataPath, hashPath, operand] = args as [ByteString, ByteString, ByteString | undefined];
  needRootHash(context, operand);
  const device = openVerity(dataPath, hashPath, geometryOf(options), fecOffsetOf(options));
  try {
    const root = rootHashOf(context, operand, device.parameters.digestSize);
    const found = await verifyVerity(device, root, fecOf(options));
    tell(found, stderr);
    const { fault } = found;
    if (program === 'sealtree' && fault?.kind === 'block') {
      const end = fault.position + fault.size;
      const range = `bytes ${fault.position} to ${end - 1}`;
      if (fault.level >= 0) {
        stderr.line(`${displayByteString(hashPath)}: ${range} are of level ${fault.level} of the hash tree`);
      } else
        stderr.line(
          `${displayByteString(dataPath)}: ${range} ${ownerOfRange(device.data, fault.position, end)}`,
        );
    }
    return statusOf(found);
  } finally {
    device.close();
  }
}

function tell({ fault, repairable, unrepairable }: Verification, stderr: Output): void {
  if (fault?.kind === 'block') stderr.line(`Verification failed at position ${fault.position}.`);
  if (fault?.kind === 'spare') stderr.line(`Spare area is not zeroed at position ${fault.position}.`);
  if (fault?.kind === 'root') stderr.line('Verification of root hash failed.');
  else if (fault !== undefined) stderr.line('Verification of data area failed.');
  if (unrepairable !== undefined) {
    stderr.line(unrepairable.message);
    stderr.line('Errors cannot be repaired with FEC device.');
  }
  if (repairable !== undefined && repairable > 0)
    stderr.line(`Found ${repairable} repairable errors with FEC device.`);
}

function statusOf({ fault, repairable, unrepairable }: Verification): number {
  if (fault === undefined) return 0;
  if (fault.kind === 'unreadable') return VERITY_STATUS.parameters;
  if (fault.kind === 'root') {
    return repairable === undefined && unrepairable === undefined
      ? VERITY_STATUS.parameters
      : VERITY_STATUS.permission;
  }
  if (unrepairable?.code === 'malformed') return VERITY_STATUS.parameters;
  return repairable === undefined ? VERITY_STATUS.permission : 0;
}
