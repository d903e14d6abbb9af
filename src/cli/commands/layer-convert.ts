/** `sealtree layer convert`: one layer as a file system with dm-verity. @module */
import { MAX_CONVERTED_SIZE } from '../../core/layer/tar-to-ext4.ts';
import { convertTar } from '../../layer/image-layers.ts';
import { UUID_OPTIONS, uuidChoice } from '../layer-options.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['layer', 'convert'],
  summary: 'write a layer as an ext4 file system with dm-verity',
  operands: 'TAR OUTPUT',
  options: UUID_OPTIONS,
  examples: ['sealtree layer convert layer.tar layer.ext4'],
  description: [
    'Writes what `dmverity-vhd tar2hashed` writes, a file system for at most 16 GiB with superblock and Merkle tree behind it, and prints its root hash. That is another one than `layer hash` prints, whose file system is for 128 GiB.',
  ],
  run,
};

async function run({ args, options, stdout }: Context): Promise<void> {
  const [tar, output, ...more] = args;
  if (tar === undefined || output === undefined || more.length > 0)
    throw usageError('layer convert takes a TAR and an OUTPUT');
  stdout.line(await convertTar(tar, output, { maxSize: MAX_CONVERTED_SIZE, uuid: uuidChoice(options) }));
}
