/** `sealtree layer hash`: the root hash of one layer. @module */
import { hashTar } from '../../layer/image-layers.ts';
import { linuxPlatform, PLATFORM_OPTION } from '../layer-options.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['layer', 'hash'],
  summary: 'print the dm-verity root hash of a layer',
  operands: 'TAR',
  options: [PLATFORM_OPTION],
  examples: ['sealtree layer hash layer.tar.gz'],
  description: [
    'TAR is a tar archive, plain or compressed with gzip or Zstandard. The hash is that of the ext4 file system which a container platform makes of it, as `dmverity-vhd hashlayer` computes it: a policy that names it admits this layer and no other.',
    'Nothing is written.',
  ],
  run,
};

async function run({ args, options, stdout }: Context): Promise<void> {
  linuxPlatform(options.value('platform'));
  const [tar, ...more] = args;
  if (tar === undefined || more.length > 0) throw usageError('layer hash takes one TAR');
  stdout.line(await hashTar(tar));
}
