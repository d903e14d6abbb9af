/** Every verb of sealtree and where it lives; a module is loaded when its verb is called. @module */
import type { Tool, Verb } from './verb.ts';

type Load = () => Promise<{ readonly verb: Verb }>;

/** By the words after `sealtree`. Those marked with a tool are also verbs of that tool. */
export const VERBS: Readonly<Record<string, Load>> = {};

/** Programs that sealtree is when called through a link of that name, and the verb each of them is (`''`: it has verbs of its own). */
export const PROGRAMS: Readonly<Record<string, Tool>> = {
  sealtree: 'sealtree',
  ostree: 'ostree',
  mkcomposefs: 'mkcomposefs',
  'composefs-info': 'composefs-info',
  fsverity: 'fsverity',
  'mount.composefs': 'mount.composefs',
};
