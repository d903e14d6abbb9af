/**
 * Command lines as GNU getopt_long reads them, which is how mkcomposefs, composefs-info, fsverity and
 * mount.composefs do: long names may be shortened while unambiguous, options and operands in any order until `--`.
 * Rules: getopt(3); texts as glibc prints them.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { GivenOptions, type Option } from './option.ts';
import type { OptionValues } from './verb.ts';

export interface GetoptRules {
  /** Whether `--name` is read at all; else it is a row of short options that starts with `-`. */
  readonly long: boolean;
  /** Called for every word that is no option, in the words of getopt without the program's name. */
  fail(problem: 'unknown' | 'missing value' | 'other', text: string, option: string): Error;
}

/** @param words everything after the verb */
export function parseGetopt(
  options: readonly Option[],
  words: readonly ByteString[],
  rules: GetoptRules,
): { args: ByteString[]; options: OptionValues } {
  const given = new GivenOptions();
  const args: ByteString[] = [];
  let at = 0;

  while (at < words.length) {
    const word = words[at++] as ByteString;
    if (word === '--' || (process.env.POSIXLY_CORRECT !== undefined && !isOption(word))) {
      args.push(...words.slice(word === '--' ? at : at - 1));
      break;
    }
    if (!isOption(word)) args.push(word);
    else if (rules.long && word.startsWith('--')) takeLong(word);
    else takeShort(word);
  }
  return { args, options: given };

  function takeLong(word: ByteString): void {
    const equals = word.indexOf('=');
    const name = word.slice(2, equals < 0 ? undefined : equals);
    const option = optionNamed(name, displayByteString(word));
    const written = `--${option.long}`;
    if (option.takes === 'nothing') {
      if (equals >= 0) throw rules.fail('other', `option '${written}' doesn't allow an argument`, written);
      given.add(option.long, '' as ByteString);
    } else if (equals >= 0) {
      given.add(option.long, byteString(word.slice(equals + 1)));
    } else if (option.takes === 'optional value') {
      given.add(option.long, '' as ByteString);
    } else if (at < words.length) {
      given.add(option.long, words[at++] as ByteString);
    } else {
      throw rules.fail('missing value', `option '${written}' requires an argument`, written);
    }
  }

  function optionNamed(name: string, word: string): Option {
    const exact = options.find(({ long }) => long === name);
    if (exact !== undefined) return exact;
    const possible = options.filter(({ long }) => long.startsWith(name));
    if (possible.length === 1) return possible[0] as Option;
    if (possible.length === 0) {
      throw rules.fail(
        'unknown',
        `unrecognized option '${word}'`,
        `--${displayByteString(byteString(name))}`,
      );
    }
    const list = possible.map(({ long }) => ` '--${long}'`).join('');
    throw rules.fail('other', `option '${word}' is ambiguous; possibilities:${list}`, word);
  }

  function takeShort(word: ByteString): void {
    for (let i = 1; i < word.length; i++) {
      const option = options.find(({ short }) => short === word[i]);
      if (option === undefined) {
        const character = displayByteString(byteString(word[i] as string));
        throw rules.fail('unknown', `invalid option -- '${character}'`, `-${character}`);
      }
      if (option.takes === 'nothing') {
        given.add(option.long, '' as ByteString);
        continue;
      }
      const rest = byteString(word.slice(i + 1));
      if (rest !== '' || option.takes === 'optional value') given.add(option.long, rest);
      else if (at < words.length) given.add(option.long, words[at++] as ByteString);
      else {
        const text = `option requires an argument -- '${option.short}'`;
        throw rules.fail('missing value', text, `-${option.short}`);
      }
      return;
    }
  }
}

function isOption(word: ByteString): boolean {
  return word.startsWith('-') && word !== '-';
}
