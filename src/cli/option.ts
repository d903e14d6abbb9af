/** The `flags` text of an option spec taken apart, and the values that one call gave. @module */
import type { ByteString } from '../core/bytes/byte-string.ts';
import type { OptionSpec, OptionValues } from './verb.ts';

export interface Option {
  /** One character, without its dash. */
  readonly short: string | undefined;
  /** Long name without dashes. */
  readonly long: string;
  readonly takes: 'nothing' | 'value' | 'optional value';
  /** What stands for the value in help texts, upper case; empty if it takes none. */
  readonly placeholder: string;
  /** One line, first letter upper case, no full stop. */
  readonly description: string;
  readonly spec: OptionSpec;
}

/** Takes `-b, --branch <branch>` apart. */
export function optionOf(spec: OptionSpec): Option {
  const match = /^(?:-(\S), )?--(\S+)(?: ([<[])(.+?)[>\]])?$/.exec(spec.flags);
  if (match === null) throw new Error(`option flags ${spec.flags}`);
  const [, short, long = '', bracket, placeholder = ''] = match;
  return {
    short,
    long,
    takes: bracket === undefined ? 'nothing' : bracket === '<' ? 'value' : 'optional value',
    placeholder: /^[a-z0-9 -]+$/.test(placeholder) ? placeholder.toUpperCase() : placeholder,
    description: capitalized(spec.description),
    spec,
  };
}

/** With an upper case first letter, unless it begins with a name such as fs-verity. */
export function capitalized(text: string): string {
  if (!/^[a-z]+\b(?!-)/.test(text)) return text;
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}

/** Collects what is given, in order. */
export class GivenOptions implements OptionValues {
  readonly #given = new Map<string, ByteString[]>();

  add(name: string, value: ByteString): void {
    const values = this.#given.get(name);
    if (values === undefined) this.#given.set(name, [value]);
    else values.push(value);
  }

  remove(name: string): void {
    this.#given.delete(name);
  }

  has(name: string): boolean {
    return this.#given.has(name);
  }

  value(name: string): ByteString | undefined {
    return this.#given.get(name)?.at(-1);
  }

  values(name: string): readonly ByteString[] {
    return this.#given.get(name) ?? [];
  }

  integer(name: string): bigint | undefined {
    const value = this.value(name);
    return value === undefined ? undefined : parseInteger(value);
  }
}

/**
 * An integer as C's strtol with base 0 reads it: white space, sign, then `0x` hexadecimal, `0` octal or decimal.
 *
 * @returns undefined if that is not the whole text
 */
export function parseInteger(text: string): bigint | undefined {
  const match = /^[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|0([0-7]*)|([1-9][0-9]*))$/.exec(text);
  if (match === null) return undefined;
  const [, sign, hexadecimal, octal, decimal] = match;
  const value =
    hexadecimal !== undefined
      ? BigInt(`0x${hexadecimal}`)
      : decimal !== undefined
        ? BigInt(decimal)
        : BigInt(`0o${octal === '' ? '0' : octal}`);
  return sign === '-' ? -value : value;
}
