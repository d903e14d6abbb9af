/** `sealtree layer create`: the layers of an image as disks. @module */
import { createFromTar, createLayers } from '../../layer/image-layers.ts';
import { printCreated } from '../created-layers.ts';
import {
  IMAGE_OPTIONS,
  imageChoice,
  linuxPlatform,
  UUID_OPTIONS,
  uuidChoice,
  withImage,
} from '../layer-options.ts';
import { optionError, usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['layer', 'create'],
  summary: 'write the layers of an image as disks with dm-verity',
  operands: '',
  options: [
    ...IMAGE_OPTIONS,
    { flags: '-o, --out-dir <directory>', description: 'where to; made if it is not there' },
    { flags: '--hash-dev-vhd', description: 'put superblock and tree into a disk of their own' },
    {
      flags: '--dir <tar>',
      description: 'in place of an image: one disk of this tar archive, named after it',
    },
    ...UUID_OPTIONS,
  ],
  examples: [
    'sealtree layer create --tarball=image.tar --out-dir=layers',
    'sealtree layer create --tarball=image.tar --out-dir=layers --hash-dev-vhd --deterministic',
  ],
  description: [
    'Each layer becomes DIFFID.vhd: the ext4 file system, the superblock and Merkle tree of dm-verity, and the footer of a fixed virtual hard disk; with --hash-dev-vhd superblock and tree go to DIFFID.hash-dev.vhd. All files appear when all are complete, or none.',
    'The bytes are those of `dmverity-vhd create`, but for two random numbers, which --uuid or --deterministic fixes: UUID and id are in no hash.',
  ],
  run,
};

async function run({ args, options, stdout }: Context): Promise<void> {
  if (args.length > 0) throw usageError('layer create takes no operands');
  const directory = options.value('out-dir');
  if (directory === undefined) throw optionError('--out-dir is missing');
  const files = { directory, separate: options.has('hash-dev-vhd'), uuid: uuidChoice(options) };
  const tar = options.value('dir');
  if (tar === undefined) {
    printCreated(
      stdout,
      'Layer',
      await withImage(imageChoice(options), (image) => createLayers(image, files)),
    );
    return;
  }
  if (options.has('tarball')) throw optionError('--dir and --tarball exclude each other');
  linuxPlatform(options.value('platform'));
  printCreated(stdout, 'Directory', [await createFromTar(tar, files)]);
}
