/** A boot as a line of text, and what is decided about it as another: in this form it goes to another engine. @module */
import { byteString, byteStringFrom, bytesOf } from '../../src/core/bytes/byte-string.ts';
import { portableHash } from '../../src/core/hash.ts';
import { type BootFacts, decideBoot } from '../../src/core/verify/boot.ts';
import { type MemoryFile, memorySystem } from '../memory-system.ts';

interface BootLine {
  readonly cmdline: string;
  readonly facts: Omit<BootFacts, 'cmdline'>;
  readonly tree: readonly (readonly [path: string, node: MemoryFile, data: string | undefined])[];
}

export function encodeBoot(
  cmdline: string,
  facts: BootLine['facts'],
  tree: Iterable<readonly [string, MemoryFile]>,
): string {
  const line: BootLine = {
    cmdline,
    facts,
    tree: [...tree].map(([path, { data, ...node }]) => [
      path,
      node,
      data === undefined ? undefined : byteStringFrom(data),
    ]),
  };
  return JSON.stringify(line);
}

/** JSON in ASCII alone, so that its characters are its bytes. */
export function asciiJson(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Decides about a boot. @returns the whole decision, or the error that was thrown, on one line */
export function answerBoot(line: string): string {
  const { cmdline, facts, tree }: BootLine = JSON.parse(line);
  const nodes = tree.map(([path, node, data]): [string, MemoryFile] => [
    path,
    typeof data === 'string' ? { ...node, data: bytesOf(byteString(data)) } : node,
  ]);
  try {
    const system = memorySystem(new Map(nodes));
    const decision = decideBoot(system, portableHash, { ...facts, cmdline: byteString(cmdline) });
    return JSON.stringify(decision, (_, value: unknown) => {
      if (typeof value === 'bigint') return `${value}n`;
      return value instanceof Uint8Array ? [...value] : value;
    });
  } catch (error) {
    return `thrown: ${error instanceof Error ? error.message : String(error)}`;
  }
}
