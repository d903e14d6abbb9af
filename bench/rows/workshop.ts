/** What all rows are made with. @module */
import { join } from 'node:path';
import type { Tree } from '../inputs.ts';
import type { Tools } from '../tools.ts';

export interface Workshop {
  readonly tools: Tools;
  /** Of all that is generated. */
  readonly seed: number;
  /** Where inputs and outputs of a group of rows lie. */
  readonly folder: string;
  /** A small Debian root, a generated tree, and the machine's /usr. */
  readonly trees: readonly Tree[];
}

/** A path in the folder of a group, which is there once something was made in it. */
export function placeIn({ folder }: Workshop, group: string, name: string): string {
  return join(folder, group, name);
}

/** Trees that take minutes: measured once, and not when it has to be quick. */
export function isLarge(tree: Tree): boolean {
  return tree.id === 'usr';
}
