/**
 * The real tools to compare with: a small Debian testing root, made once and kept outside the clone, whose programs are
 * run in place by their own dynamic loader. They see the same files at the same paths as the tests, and nothing is
 * mounted.
 * @module
 */
import type { ByteString } from '../src/core/bytes/byte-string.ts';
import { findRoot, makeRoot, rootCommand } from './debian.ts';
import { expectSuccess, type Ran, type RunOptions, run, type Word } from './run.ts';

export type RealTool =
  | 'ostree'
  | 'mkcomposefs'
  | 'composefs-info'
  | 'mount.composefs'
  | 'fsverity'
  | 'mkfs.erofs'
  | 'veritysetup';

/** ostree 2026.4 and composefs 1.0.8 came with forky, which testing is until its release. */
const PACKAGES = ['ostree', 'composefs', 'fsverity', 'erofs-utils', 'cryptsetup-bin'];
const FOLDER = process.env.SEALTREE_PEERS ?? '/var/cache/sealtree-peers';

/** Where the root with the real tools is, if it was made. It is also a tree worth committing. */
export function peersRoot(): string | undefined {
  return findRoot(FOLDER, PACKAGES);
}

/** Why there is no such root; undefined if there is one. */
export function whyNoPeers(): string | undefined {
  if (peersRoot() !== undefined) return undefined;
  return process.env.SEALTREE_PEERS_FAILURE ?? `run npm test once as root to have them made in ${FOLDER}`;
}

/** The command that runs a real tool. */
export function realCommand(tool: RealTool, args: readonly Word[]): Word[] {
  const root = peersRoot();
  if (root === undefined) throw new Error(`no real ${tool}: ${whyNoPeers()}`);
  return rootCommand(root, tool, args);
}

/** Runs a real tool to its end. */
export function real(tool: RealTool, args: readonly Word[], options: Omit<RunOptions, 'program'> = {}): Ran {
  return run(realCommand(tool, args), options);
}

/** Runs a real tool, which must succeed. @returns its standard output */
export function realOk(
  tool: RealTool,
  args: readonly Word[],
  options: Omit<RunOptions, 'program'> = {},
): ByteString {
  return expectSuccess(real(tool, args, options), [tool, ...args]);
}

/** Makes the root unless it is there; runs at the same time share it. A failure is kept for `whyNoPeers`. */
export function makePeers(): void {
  if (peersRoot() !== undefined || process.getuid?.() !== 0) return;
  try {
    makeRoot(FOLDER, PACKAGES);
  } catch (error) {
    process.env.SEALTREE_PEERS_FAILURE = (error as Error).message;
  }
}
