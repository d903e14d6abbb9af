/** What is said of an image that is not what it should be, and numbers as they are read from one. @module */
import { type ErrorDetail, malformed, type SealtreeError } from '../errors.ts';

/** The error for an image that is not what it should be: the thing, its offset, what was expected and found. */
export function wrong(
  what: string,
  offset: number,
  expected: string | number,
  found: string | number | bigint,
): SealtreeError {
  const detail: ErrorDetail = {
    offset,
    expected,
    found: typeof found === 'bigint' ? found.toString() : found,
  };
  return malformed(`${what} at offset ${offset}: expected ${expected}, found ${found}`, detail);
}

/** As flags and magic numbers are shown. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** A number where it is exact, else the bigint. */
export function small(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
