/** Options that name a file descriptor which the program inherited. @module */

import { usageError } from './usage.ts';
import type { OptionValues } from './verb.ts';

/**
 * The descriptor that an option names.
 *
 * @returns undefined if the option was not given
 * @throws SealtreeError `usage` if the value is no number of a descriptor
 */
export function descriptorOption(options: OptionValues, name: string): number | undefined {
  const value = options.value(name);
  if (value === undefined) return undefined;
  const descriptor = /^[0-9]{1,7}$/.test(value) ? Number(value) : -1;
  if (descriptor < 0) throw usageError(`--${name}: '${value}' is not the number of a file descriptor`);
  return descriptor;
}
