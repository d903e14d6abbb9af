/** `verity close`: removes a verified block device, as `veritysetup close`. @module */
import { byteString } from '../../core/bytes/byte-string.ts';
import { runVeritysetup } from '../../verity/device-mapper.ts';
import type { Verb } from '../verb.ts';
import { checkCall } from '../verity-action.ts';
import { optionsFor, optionWords } from '../veritysetup-options.ts';

export const verb: Verb = {
  tool: 'veritysetup',
  path: ['verity', 'close'],
  summary: 'Close a dm-verity device',
  operands: 'NAME',
  options: optionsFor('close'),
  description: ["The distribution's veritysetup does it."],
  examples: ['sealtree verity close root'],
  run(context) {
    const { args, options } = context;
    checkCall('close', context);
    return runVeritysetup('close', [...optionWords(options), byteString('--'), ...args], 'device');
  },
};
