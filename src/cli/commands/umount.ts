/** `sealtree umount`: takes a mount away. @module */
import { displayByteString } from '../../core/bytes/byte-string.ts';
import { MNT_DETACH } from '../../core/mount/calls.ts';
import { ioError } from '../../node/io-error.ts';
import { umount } from '../../node/mount-syscalls.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['umount'],
  summary: 'take away what is mounted on a directory',
  operands: 'MOUNTPOINT',
  options: [
    {
      flags: '-l, --lazy',
      description: 'take it from the tree now, and end it when nobody uses it any more',
    },
  ],
  examples: ['sealtree umount /mnt'],
  run,
};

function run({ args, options }: Context): void {
  const [mountPoint] = args;
  if (mountPoint === undefined || args.length > 1) throw usageError('umount needs a MOUNTPOINT');
  try {
    umount(mountPoint, options.has('lazy') ? MNT_DETACH : 0);
  } catch (error) {
    throw ioError(displayByteString(mountPoint), error);
  }
}
