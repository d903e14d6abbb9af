/** Actions that may be refused. @module */
import { SealtreeError } from '../src/core/errors.ts';

/** What came of it: a value, or the words of the refusal. Whatever else is thrown goes on. */
export function attempt<T>(action: () => T): { value: T } | { error: string } {
  try {
    return { value: action() };
  } catch (error) {
    if (error instanceof SealtreeError) return { error: error.message };
    throw error;
  }
}

/** The value, or undefined if it was refused. */
export function unlessRefused<T>(action: () => T): T | undefined {
  const done = attempt(action);
  return 'value' in done ? done.value : undefined;
}
