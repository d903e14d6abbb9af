/** The words after a verb to operands and options, in the manner of the verb's tool. @module */
import type { ByteString } from '../core/bytes/byte-string.ts';
import { GivenOptions, optionOf } from './option.ts';
import { optionsOf, parseAsRealTool } from './real-tool-options.ts';
import type { Parsed, Tool, Verb } from './verb.ts';

/**
 * Parses the words after the verb.
 *
 * @throws SealtreeError `usage` in the words of the verb's tool
 */
export async function parse(verb: Verb, program: Tool, words: readonly ByteString[]): Promise<Parsed> {
  if (verb.tool === 'veritysetup') {
    const { parseVeritysetup } = await import('./popt.ts');
    return parseVeritysetup(words);
  }
  if (verb.tool === 'dmverity-vhd') return { args: [...words], options: new GivenOptions() };
  if (verb.tool !== 'sealtree') return parseAsRealTool(verb, program, words);
  const { parseOwn } = await import('./own-options.ts');
  return parseOwn(verb, optionsOf(verb, program).map(optionOf), words);
}
