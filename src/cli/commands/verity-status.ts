/** `verity status`: what the kernel says of a verified block device, as `veritysetup status`. @module */
import { byteString } from '../../core/bytes/byte-string.ts';
import { runVeritysetup } from '../../verity/device-mapper.ts';
import type { Verb } from '../verb.ts';
import { checkCall } from '../verity-action.ts';
import { optionsFor, optionWords } from '../veritysetup-options.ts';

export const verb: Verb = {
  tool: 'veritysetup',
  path: ['verity', 'status'],
  summary: 'Show how a dm-verity device is doing',
  operands: 'NAME',
  options: optionsFor('status'),
  description: [
    "The distribution's veritysetup does it. A device is corrupted once a read has found changed data, not before.",
  ],
  examples: ['sealtree verity status root'],
  run(context) {
    const { args, options } = context;
    checkCall('status', context);
    return runVeritysetup('status', [...optionWords(options), byteString('--'), ...args]);
  },
};
