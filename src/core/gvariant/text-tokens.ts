/**
 * Words of the GVariant text format.
 * Defined by GLib's documentation, "GVariant Text Format", and by GLib's parser where that is silent.
 * @module
 */
import type { ByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';

export interface Token {
  readonly text: string;
  /** Offset of its first byte. */
  readonly start: number;
  /** Offset behind its last byte. */
  readonly end: number;
}

/** Reads a text word by word. */
export interface Tokens {
  /** The next word, without taking it; undefined at the end of the text. */
  peek(): Token | undefined;
  /** Takes the next word. */
  next(): void;
  /** Takes the next word if it is this one. */
  consume(text: string): boolean;
  /** Takes the next word; throws if it is not this one. `purpose` ends the message. */
  require(text: string, purpose: string): void;
  /** Offset of the next word, or of the end of the text. */
  start(): number;
  /** Offset behind the last word looked at. */
  end(): number;
}

/** Opens a text, which ends at its first NUL if there is one. */
export function openTokens(input: ByteString): Tokens {
  const nul = input.indexOf('\0');
  const text: string = nul < 0 ? input : input.slice(0, nul);
  let position = 0;
  let current: Token | undefined;
  const peek = (): Token | undefined => {
    if (current !== undefined) return current;
    while (position < text.length && isSpace(text[position] as string)) position++;
    if (position === text.length) return undefined;
    const end = endOfToken(text, position);
    current = { text: text.slice(position, end), start: position, end };
    position = end;
    return current;
  };
  const next = (): void => {
    peek();
    current = undefined;
  };
  const consume = (expected: string): boolean => {
    if (peek()?.text !== expected) return false;
    current = undefined;
    return true;
  };
  const start = (): number => peek()?.start ?? position;
  return {
    peek,
    next,
    consume,
    start,
    end: () => position,
    require(expected, purpose) {
      if (!consume(expected)) throw textError(start(), undefined, `expected '${expected}'${purpose}`);
    },
  };
}

/** A range of the text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The error in GLib's form: `START-END:what`, or `AT:what` for a place between two bytes. */
export function textError(start: number, end: number | undefined, what: string, other?: Span): Error {
  const place = end === undefined || end === start ? `${start}` : `${start}-${end}`;
  const second = other === undefined ? '' : `,${other.start}-${other.end}`;
  return malformed(`${place}${second}:${what}`, { offset: start });
}

function isSpace(char: string): boolean {
  return char === ' ' || (char >= '\t' && char <= '\r' && char !== '\v');
}

function endOfToken(text: string, start: number): number {
  const first = text[start] as string;
  if (/[-+.0-9]/.test(first)) return endOfRun(/[^A-Za-z0-9+.-]/g, text, start);
  const quote = first === 'b' ? text[start + 1] : first;
  if (quote === "'" || quote === '"') return endOfQuoted(text, start + (first === 'b' ? 2 : 1), quote);
  if (/[a-z]/.test(first)) return endOfRun(/[^A-Za-z0-9]/g, text, start);
  if (first === '@' || first === '%') return endOfDeclaration(text, start + 1);
  return start + 1;
}

function endOfRun(stop: RegExp, text: string, start: number): number {
  stop.lastIndex = start;
  return stop.exec(text)?.index ?? text.length;
}

function endOfQuoted(text: string, start: number, quote: string): number {
  for (let at = start; at < text.length; at++) {
    if (text[at] === quote) return at + 1;
    if (text[at] === '\\') at++;
  }
  return text.length;
}

/** Up to a space, a comma, a colon or a bracket that the declaration did not open. */
function endOfDeclaration(text: string, start: number): number {
  let brackets = 0;
  let at = start;
  for (; at < text.length; at++) {
    const char = text[at] as string;
    if (char === ',' || char === ':' || char === '>' || char === ']' || isSpace(char)) break;
    if (char === '(' || char === '{') brackets++;
    else if ((char === ')' || char === '}') && brackets-- === 0) break;
  }
  return at;
}
