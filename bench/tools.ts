/** How the programs are called that are compared. @module */
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { makePeers, peersRoot, type RealTool, realCommand, whyNoPeers } from '../test/peers.ts';
import type { Program } from '../test/run.ts';

export interface Tools {
  /** The project's folder. */
  readonly root: string;
  /** The Debian root that the real tools come from: also a tree to commit. */
  readonly tree: string;
  theirs(tool: RealTool, args: readonly string[]): string[];
  ours(program: Program, args: readonly string[]): string[];
}

const PROGRAMS: readonly Program[] = ['sealtree', 'ostree', 'mkcomposefs', 'composefs-info', 'fsverity'];

/**
 * @param folder where links to the built program are made
 * @throws Error if there are no real tools and none can be had
 */
export function makeTools(root: string, folder: string): Tools {
  makePeers();
  const tree = peersRoot();
  if (tree === undefined) throw new Error(`nothing to compare with: ${whyNoPeers()}`);
  const links = join(folder, 'bin');
  rmSync(links, { recursive: true, force: true });
  mkdirSync(links);
  for (const program of PROGRAMS) symlinkSync(join(root, 'dist/sealtree.js'), join(links, program));
  return {
    root,
    tree,
    theirs: (tool, args) => realCommand(tool, args) as string[],
    ours: (program, args) => [process.execPath, join(links, program), ...args],
  };
}
