/** The programs that sealtree is when called through a link of that name, or with that name as its first word. @module */
import type { Tool } from './verb.ts';

export const TOOLS = [
  'sealtree',
  'ostree',
  'mkcomposefs',
  'composefs-info',
  'fsverity',
  'mount.composefs',
  'veritysetup',
  'dmverity-vhd',
] as const;

/** undefined if no tool has this name. */
export function toolNamed(name: string): Tool | undefined {
  return TOOLS.find((tool) => tool === name);
}
