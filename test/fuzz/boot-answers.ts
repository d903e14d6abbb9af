/** A boot as a line of text, and what is decided about it as another: in this form it goes to another engine. @module */
import { byteString, byteStringFrom, bytesOf } from '../../src/core/bytes/byte-string.ts';
import { portableHash } from '../../src/core/hash.ts';
import type { System } from '../../src/core/system.ts';
import { type BootFacts, decideBoot } from '../../src/core/verify/boot.ts';
import { type MemoryFile, memorySystem } from '../memory-system.ts';

interface BootLine {
  readonly cmdline: string;
  readonly facts: Omit<BootFacts, 'cmdline'>;
  /** undefined for the machine's own files. */
  readonly tree?: readonly (readonly [path: string, node: MemoryFile, data: string | undefined])[];
}

export function encodeBoot(
  cmdline: string,
  facts: BootLine['facts'],
  tree?: Iterable<readonly [string, MemoryFile]>,
): string {
  const nodes = [...(tree ?? [])].map(
    ([path, { data, ...node }]) =>
      [path, node, data === undefined ? undefined : byteStringFrom(data)] as const,
  );
  const line: BootLine = { cmdline, facts, ...(tree === undefined ? {} : { tree: nodes }) };
  return asciiJson(JSON.stringify(line));
}

/**
 * Decides about a boot.
 *
 * @param machine whose files count where the line has none
 * @returns the whole decision, or the error that was thrown, on one line
 */
export function answerBoot(line: string, machine: System): string {
  const { cmdline, facts, tree }: BootLine = JSON.parse(line);
  const nodes = tree?.map(([path, node, data]): [string, MemoryFile] => [
    path,
    typeof data === 'string' ? { ...node, data: bytesOf(byteString(data)) } : node,
  ]);
  try {
    const system = nodes === undefined ? machine : memorySystem(new Map(nodes));
    const decision = decideBoot(system, portableHash, { ...facts, cmdline: byteString(cmdline) });
    const text = JSON.stringify(decision, (_, value: unknown) => {
      if (typeof value === 'bigint') return `${value}n`;
      return value instanceof Uint8Array ? [...value] : value;
    });
    return asciiJson(text);
  } catch (error) {
    return asciiJson(`thrown: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** In ASCII alone, so that its characters are its bytes; in JSON it means the same. */
function asciiJson(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
