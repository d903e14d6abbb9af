/** `sealtree layer roothash`: the root hashes of all layers of an image. @module */
import { rootHashes } from '../../layer/image-layers.ts';
import { IMAGE_OPTIONS, imageChoice, withImage } from '../layer-options.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['layer', 'roothash'],
  summary: 'print the dm-verity root hashes of the layers of an image',
  operands: '',
  options: IMAGE_OPTIONS,
  examples: [
    'sealtree layer roothash --tarball=image.tar',
    'sealtree layer roothash --tarball=layout --platform=linux/arm64',
  ],
  description: [
    'Prints JSON, `{"layers": […]}`, the lowest layer first, as `dmverity-vhd roothash`. Layers are read side by side; manifest, configuration and layers are checked against the digests that lead to them.',
  ],
  run,
};

async function run({ args, options, stdout }: Context): Promise<void> {
  if (args.length > 0) throw usageError('layer roothash takes no operands');
  const layers = await withImage(imageChoice(options), rootHashes);
  stdout.line(JSON.stringify({ layers }, undefined, 2));
}
