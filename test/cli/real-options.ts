/** The verbs and options that the real tools name in their help: test/vectors/help. @module */
import { readFileSync } from 'node:fs';
import { optionOf } from '../../src/cli/option.ts';

export interface RealOption {
  readonly short: string | undefined;
  /** Without dashes; undefined for an option that has a short name only. */
  readonly long: string | undefined;
  /** Whether the help shows a value. Some options take one although it does not. */
  readonly showsValue: boolean;
}

/** `ostree commit` to its options. */
export type RealHelp = ReadonlyMap<string, readonly RealOption[]>;

/** Reads tab separated `called`, `option`; a line without an option only names what can be called. */
export function readRealHelp(...files: readonly string[]): RealHelp {
  const help = new Map<string, RealOption[]>();
  for (const file of files) {
    const text = readFileSync(new URL(`../vectors/help/${file}`, import.meta.url), 'utf8');
    addRealHelp(help, text);
  }
  return help;
}

/** As `readRealHelp`, from the text itself. */
export function addRealHelp(help: Map<string, RealOption[]>, text: string): void {
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const [called = '', option] = line.split('\t');
    if (!help.has(called)) help.set(called, []);
    if (option !== undefined) help.get(called)?.push(realOption(option));
  }
}

function realOption(text: string): RealOption {
  const [, short, long, value] = /^(?:-(\w))?(?:, )?(?:--([\w-]+))?([= ].*)?$/.exec(text) ?? [];
  return { short, long, showsValue: value !== undefined };
}

/** The options of a verb of ours in the same shape, with how each takes its value. */
export function ourOption(flags: string) {
  const { short, long, takes } = optionOf({ flags, description: '' });
  return { short, long, takes };
}
