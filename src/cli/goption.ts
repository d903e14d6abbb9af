/**
 * Command lines as GLib's option parser reads them, which is how every ostree verb does: no abbreviations, no
 * value joined to a short option, options and operands in any order until `--`.
 * Rules: GLib, documentation of GOptionContext; texts and corner cases observed with ostree 2026.4.
 * @module
 */
import { type ByteString, byteString, displayByteString, isUtf8 } from '../core/bytes/byte-string.ts';
import { GivenOptions, type Option, parseInteger } from './option.ts';
import { optionError } from './usage.ts';
import type { Parsed } from './verb.ts';

/**
 * @param words everything after the verb
 * @param refuse is told every unknown option, `--name` or `-n`: throws if the real tool has it
 * @throws SealtreeError `usage` in GLib's words
 */
export function parseGOption(
  options: readonly Option[],
  words: readonly ByteString[],
  refuse: (option: string) => void,
): Parsed {
  const given = new GivenOptions();
  const args: ByteString[] = [];
  let at = 0;
  let help = false;

  while (at < words.length && !help) {
    const word = words[at++] as ByteString;
    if (word === '--') {
      args.push(...words.slice(at));
      break;
    }
    if (!word.startsWith('-') || word === '-') args.push(word);
    else if (word.startsWith('--')) takeLong(word);
    else takeShort(word);
  }
  if (help) return 'help';
  if (given.has('version')) return 'version';
  return { args, options: given };

  function takeLong(word: ByteString): void {
    const [name, value] = splitAtEquals(byteString(word.slice(2)));
    if (value === undefined && (name === 'help' || name === 'help-all')) {
      help = true;
      return;
    }
    const option = options.find(({ long }) => long === name);
    if (option === undefined) throw unknown(word, `--${name}`);
    // A value given to an option without one is read over.
    if (option.takes === 'nothing') add(option, '' as ByteString, `--${name}`);
    else add(option, value ?? nextValue(option, `--${name}`), `--${name}`);
  }

  function takeShort(word: ByteString): void {
    const start = at;
    for (const character of word.slice(1)) {
      if (character === 'h' || character === '?') {
        help = true;
        return;
      }
      const option = options.find(({ short }) => short === character);
      if (option === undefined) throw unknown(word, `-${character}`);
      if (option.takes === 'nothing') add(option, '' as ByteString, `-${character}`);
      else if (at > start) throw optionError(`Error parsing option -${character}`);
      else add(option, nextValue(option, `-${character}`), `-${character}`);
    }
  }

  function nextValue(option: Option, written: string): ByteString {
    const next = words[at];
    if (option.takes === 'optional value' && (next === undefined || next.startsWith('-'))) {
      return '' as ByteString;
    }
    if (next === undefined) throw optionError(`Missing argument for ${written}`);
    at++;
    return next;
  }

  function add(option: Option, value: ByteString, written: string): void {
    if (option.takes === 'value') checkValue(option, value, written);
    given.add(option.long, value);
  }

  function unknown(word: ByteString, option: string): Error {
    refuse(option);
    return optionError(`Unknown option ${displayByteString(word)}`);
  }
}

/** `--name=value` in two; the value is undefined if there is no equals sign. */
function splitAtEquals(word: ByteString): [name: ByteString, value: ByteString | undefined] {
  const equals = word.indexOf('=');
  return equals < 0
    ? [word, undefined]
    : [byteString(word.slice(0, equals)), byteString(word.slice(equals + 1))];
}

function checkValue(option: Option, value: ByteString, written: string): void {
  const { kind } = option.spec;
  if (kind === 'text') {
    if (!isUtf8(value)) throw optionError('Invalid byte sequence in conversion input');
  } else if (kind !== undefined) {
    const number = parseInteger(value);
    const shown = displayByteString(value);
    if (number === undefined) throw optionError(`Cannot parse integer value “${shown}” for ${written}`);
    if (BigInt.asIntN(kind === 'int' ? 32 : 64, number) !== number) {
      throw optionError(`Integer value “${shown}” for ${written} out of range`);
    }
  }
}
