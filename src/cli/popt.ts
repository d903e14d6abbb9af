/**
 * Command lines as popt reads them, which is how veritysetup does: long names in full, `=` after short ones too, options
 * and operands in any order until `--`. Rules: popt(3); texts as the library prints them.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { GivenOptions, type Option, optionOf } from './option.ts';
import { usageError } from './usage.ts';
import type { OptionValues, Parsed } from './verb.ts';
import { unsignedOf, VERITYSETUP_OPTIONS, type VerityAction } from './veritysetup-options.ts';

const PROGRAM = 'veritysetup';
const HELP_OPTIONS = ['-?, --help', '--usage', '-V, --version'];

/**
 * The words of veritysetup, with its action among them or without.
 *
 * @throws SealtreeError `usage` for the first word that is wrong
 */
export function parseVeritysetup(words: readonly ByteString[]): Parsed {
  const specs = [...HELP_OPTIONS.map((flags) => ({ flags, description: '' })), ...VERITYSETUP_OPTIONS];
  const options = specs.map(optionOf);
  const given = new GivenOptions();
  const args: ByteString[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as ByteString;
    if (word === '--' || (process.env.POSIXLY_CORRECT !== undefined && !isOption(word))) {
      args.push(...words.slice(word === '--' ? at + 1 : at));
      break;
    }
    if (!isOption(word)) {
      args.push(word);
      continue;
    }
    for (const { option, value } of taken(options, word)) {
      if (option.long === 'help' || option.long === 'usage') return 'help';
      if (option.long === 'version') return 'version';
      let text = value;
      if (option.takes === 'value' && text === undefined) {
        at++;
        text = words[at];
        if (text === undefined) throw badOption(word, 'missing argument');
      }
      checkNumber(option, text);
      given.add(option.long, text ?? byteString(''));
    }
  }
  return { args, options: given };
}

/** @throws SealtreeError `usage` for an option that is for other actions, or two that exclude each other */
export function checkOptions(action: VerityAction, options: OptionValues): void {
  for (const { flags, actions } of VERITYSETUP_OPTIONS) {
    const { long } = optionOf({ flags, description: '' });
    if (!options.has(long) || actions === undefined || actions.includes(action)) continue;
    throw poptError(`Option --${long} is not allowed with ${action} action.`);
  }
  const has = (name: string) => options.has(name);
  if (has('ignore-corruption') && has('restart-on-corruption'))
    throw poptError('Option --ignore-corruption and --restart-on-corruption cannot be used together.');
  if (has('panic-on-corruption') && has('restart-on-corruption'))
    throw poptError('Option --panic-on-corruption and --restart-on-corruption cannot be used together.');
  if (has('error-as-corruption') && !has('restart-on-corruption') && !has('panic-on-corruption'))
    throw poptError(
      'Option --error-as-corruption must be used with --panic-on-corruption or --restart-on-corruption.',
    );
  if (has('cancel-deferred') && has('deferred'))
    throw poptError('Options --cancel-deferred and --deferred cannot be used at the same time.');
}

/** A command line that is wrong: the usage goes before it. */
export function poptError(message: string): Error {
  return usageError(`${PROGRAM}: ${message}`);
}

const USAGE_WIDTH = 79;

/** All options in brackets, as popt fills lines with them. */
export function poptUsage(): string {
  const options = [...HELP_OPTIONS, ...VERITYSETUP_OPTIONS.map(({ flags }) => flags)].map((flags) =>
    optionOf({ flags, description: '' }),
  );
  const flagsOnly = options.filter(({ short, takes }) => short !== undefined && takes === 'nothing');
  const items = options.map(({ short, long, spec }) => {
    const value = / <(.*)>$/.exec(spec.flags)?.[1];
    return `[${short === undefined ? '' : `-${short}|`}--${long}${value === undefined ? '' : `=${value}`}]`;
  });
  let line = `Usage: ${PROGRAM}`;
  let text = '';
  // The library counts one more for each, and so ends some lines early.
  let width = line.length;
  for (const item of [`[-${flagsOnly.map(({ short }) => short).join('')}]`, ...items]) {
    if (width + 1 + item.length > USAGE_WIDTH) {
      text += `${line}\n`;
      line = ' '.repeat(7);
      width = line.length;
    }
    line += ` ${item}`;
    width += item.length + 2;
  }
  return `${text}${line}\n        [OPTION...] <action> <action-specific>\n`;
}

/** The options in one word, with the value that is in it: of a row of short ones the last may have one. */
function* taken(
  options: readonly Option[],
  word: ByteString,
): Generator<{ option: Option; value: ByteString | undefined }> {
  if (word.startsWith('--')) {
    const equals = word.indexOf('=');
    const name = word.slice(2, equals < 0 ? undefined : equals);
    const option = options.find(({ long }) => long === name);
    if (option === undefined) throw badOption(word, 'unknown option');
    if (equals >= 0 && option.takes === 'nothing') throw badOption(word, 'option does not take an argument');
    yield { option, value: equals < 0 ? undefined : byteString(word.slice(equals + 1)) };
    return;
  }
  for (let at = 1; at < word.length; at++) {
    const option = options.find(({ short }) => short === word[at]);
    if (option === undefined) throw badOption(word, 'unknown option');
    if (option.takes === 'nothing') {
      yield { option, value: undefined };
      continue;
    }
    const rest = word.slice(at + 1).replace(/^=/, '');
    yield { option, value: at + 1 < word.length ? byteString(rest) : undefined };
    return;
  }
}

function checkNumber({ long }: Option, text: ByteString | undefined): void {
  const spec = VERITYSETUP_OPTIONS.find(({ flags }) => flags.includes(`--${long} `));
  if (spec?.bits === undefined || text === undefined) return;
  if (unsignedOf(text, spec.bits) === undefined) throw poptError('invalid numeric value');
}

function badOption(word: ByteString, problem: string): Error {
  return usageError(`${displayByteString(word)}: ${problem}`);
}

function isOption(word: ByteString): boolean {
  return word.startsWith('-') && word !== '-';
}
