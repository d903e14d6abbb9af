/** The programs that sealtree is when called through a link of that name, or with that name as its first word. @module */
import type { Tool } from './verb.ts';

const TOOLS: readonly string[] = [
  'sealtree',
  'ostree',
  'mkcomposefs',
  'composefs-info',
  'fsverity',
  'mount.composefs',
  'veritysetup',
] satisfies Tool[];

/** undefined if no tool has this name. */
export function toolNamed(name: string): Tool | undefined {
  return TOOLS.includes(name) ? (name as Tool) : undefined;
}
