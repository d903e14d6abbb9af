/**
 * Kernel arguments as ostree keeps them: words between blanks, double quotes hold a word together, and several words
 * may have the same key. Rules and messages: ostree's `OstreeKernelArgs`.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';

interface Argument {
  readonly key: string;
  /** Undefined for a word without `=`. */
  readonly value: string | undefined;
}

/** Longer than any kernel takes (COMMAND_LINE_SIZE is 2048 to 4096 on the common architectures). */
const LIMIT = 16 * 1024;

/** A kernel command line, word by word, in its order. */
export class KernelArguments {
  #list: Argument[] = [];

  /** @param options a whole command line */
  static from(options: ByteString | undefined): KernelArguments {
    const made = new KernelArguments();
    if (options !== undefined) made.append(options);
    return made;
  }

  /** Adds the words of a text. */
  append(text: ByteString): void {
    for (const word of splitArguments(text)) this.#list.push(argumentOf(word));
  }

  /** Adds a word unless one of its key is there. */
  appendIfMissing(word: ByteString): void {
    if (!this.#has(argumentOf(word).key)) this.append(word);
  }

  /** Puts a word, blanks and all, where the first of its key stands, and removes the others of that key. */
  replace(word: ByteString): void {
    const argument = argumentOf(word);
    const at = this.#list.findIndex(({ key }) => key === argument.key);
    if (at < 0) {
      this.#list.push(argument);
      return;
    }
    this.#list = this.#list.flatMap((other, i) =>
      i === at ? [argument] : other.key === argument.key ? [] : [other],
    );
  }

  /**
   * Removes the words of a text: a key that stands alone, or a key with its value. The first word decides whether
   * anything is done: nothing if there is none of its key.
   *
   * @throws SealtreeError `missing` in ostree's words
   */
  deleteIfPresent(text: ByteString): void {
    if (!this.#has(argumentOf(text).key)) return;
    for (const word of splitArguments(text)) this.#delete(word, text);
  }

  /** As a command line has them. */
  toText(): ByteString {
    const text = this.#list.map(textOf).join(' ');
    if (/[\x00-\x1f\x7f]/.test(text)) {
      const shown = displayByteString(byteString(text.slice(0, 200)));
      throw malformed(`kernel arguments hold a control character: ${shown}`);
    }
    if (text.length > LIMIT)
      throw malformed(`kernel arguments have ${text.length} bytes, at most ${LIMIT} are allowed`);
    return byteString(text);
  }

  #has(wanted: string): boolean {
    return this.#list.some(({ key }) => key === wanted);
  }

  #delete(word: string, text: ByteString): void {
    const { key, value } = argumentOf(word);
    const shown = (name: string) => displayByteString(byteString(name));
    const problem = (message: string) => new SealtreeError('missing', message);
    const same = this.#list.filter((argument) => argument.key === key);
    if (same.length === 0) throw problem(`No key '${shown(key)}' found`);
    if (same.length === 1) {
      if (value !== undefined && value !== same[0]?.value)
        throw problem(`No karg '${shown(key)}=${shown(value)}' found`);
      this.#list = this.#list.filter((argument) => argument !== same[0]);
      return;
    }
    const found = same.find((argument) => argument.value === value);
    if (found === undefined) {
      throw value === undefined
        ? problem(`Multiple values for key '${shown(text)}' found`)
        : problem(`No karg '${shown(text)}' found`);
    }
    this.#list = this.#list.filter((argument) => argument !== found);
  }
}

/** The words of a command line; a quote that is not closed holds together all that follows. */
export function splitArguments(text: ByteString): ByteString[] {
  const words: ByteString[] = [];
  let quoted = false;
  let start = text.length - text.replace(/^ +/, '').length;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '"') quoted = !quoted;
    else if (text[at] === ' ' && !quoted) {
      if (at > start) words.push(byteString(text.slice(start, at)));
      start = at + 1;
    }
  }
  if (start < text.length) words.push(byteString(text.slice(start)));
  return words;
}

function argumentOf(word: string): Argument {
  const equals = word.indexOf('=');
  return equals < 0
    ? { key: word, value: undefined }
    : { key: word.slice(0, equals), value: word.slice(equals + 1) };
}

function textOf({ key, value }: Argument): string {
  return value === undefined ? key : `${key}=${value}`;
}
