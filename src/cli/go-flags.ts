/**
 * Command lines as Go's flag package reads them: one dash or two, `=` or a space before a value, a switch with `=true`
 * or `=false`. Rules: package flag of Go; which words of a command may be operands: urfave/cli v1.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { GivenOptions } from './option.ts';
import { optionError } from './usage.ts';
import type { OptionValues } from './verb.ts';

export interface GoFlag {
  /** The first is the one that it is known by. */
  readonly names: readonly [string, ...string[]];
  readonly takesValue: boolean;
  readonly description: string;
  /** Of a value, as help texts show it. */
  readonly fallback?: string;
  readonly isRequired?: boolean;
  /** Only sealtree has it. */
  readonly isOwn?: boolean;
}

export interface GoCommandLine {
  readonly options: OptionValues;
  /** What is no flag. */
  readonly rest: readonly ByteString[];
}

const TRUE = ['1', 't', 'T', 'true', 'TRUE', 'True'];
const FALSE = ['0', 'f', 'F', 'false', 'FALSE', 'False'];

/**
 * Parses words.
 *
 * @param stopAtOperand whether flags end at the first word that is none, which then is a command
 * @returns values under the first name of each flag; a switch that is off is not given
 * @throws SealtreeError `usage` in Go's words
 */
export function parseGoFlags(
  flags: readonly GoFlag[],
  words: readonly ByteString[],
  stopAtOperand: boolean,
): GoCommandLine {
  const given = new GivenOptions();
  const off = new Set<string>();
  const usedNames = new Map<string, string>();
  const rest: ByteString[] = [];
  for (let at = 0; at < words.length; ) {
    const word = words[at++] as ByteString;
    if (word === '--') {
      rest.push(...words.slice(at));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      rest.push(word);
      if (!stopAtOperand) continue;
      rest.push(...words.slice(at));
      break;
    }
    const text = word.slice(word.startsWith('--') ? 2 : 1);
    if (text === '' || text.startsWith('-') || text.startsWith('='))
      throw optionError(`bad flag syntax: ${displayByteString(word)}`);
    const equals = text.indexOf('=');
    const name = equals < 0 ? text : text.slice(0, equals);
    let value = equals < 0 ? undefined : text.slice(equals + 1);
    const shown = displayByteString(byteString(name));
    const flag = flags.find(({ names }) => names.includes(name));
    if (flag === undefined) throw optionError(`flag provided but not defined: -${shown}`);
    const [known] = flag.names;
    if (flag.takesValue) {
      value ??= words[at++];
      if (value === undefined) throw optionError(`flag needs an argument: -${shown}`);
      given.add(known, byteString(value));
    } else {
      value ??= 'true';
      if (FALSE.includes(value)) off.add(known);
      else if (TRUE.includes(value)) given.add(known, byteString(''));
      else throw optionError(`invalid boolean value ${JSON.stringify(value)} for -${shown}: parse error`);
    }
    const other = usedNames.get(known);
    if (other !== undefined && other !== name)
      throw optionError(`Cannot use two forms of the same flag: ${known} ${shown}`);
    usedNames.set(known, name);
  }
  for (const name of off) given.remove(name);
  return { options: given, rest };
}
