/** The native part of the built program, for tests that import modules of the source. @module */
import { fileURLToPath } from 'node:url';
import { loadNative, type Native } from '../src/node/native.ts';

/** @throws if it is not there: it is built wherever the tests run */
export function builtNative(): Native {
  const file = fileURLToPath(new URL('../dist/native.node', import.meta.url));
  const part = loadNative(file);
  if (part === undefined)
    throw new Error(`${file} cannot be loaded: no C compiler, or a processor it is not for`);
  return part;
}

/** Both ways in which everything that the native part does is done: for describe.each. */
export const WAYS = [
  { way: 'by the native part', part: builtNative },
  { way: 'without it', part: () => undefined },
];
