/** `ostree admin os-init`: the older name of `stateroot-init`. @module */
import type { Verb } from '../verb.ts';
import { initialize } from './admin-stateroot-init.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin', 'os-init'],
  summary: 'The same as stateroot-init',
  operands: 'STATEROOT',
  options: [],
  examples: ['sealtree admin os-init --sysroot=/mnt debian'],
  run: initialize,
};
