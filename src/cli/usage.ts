/**
 * Errors about the command line. Each tool has its own way to add its usage text to them: see report.ts.
 * @module
 */
import { type ErrorDetail, SealtreeError } from '../core/errors.ts';

/**
 * A command line that misses something, as `A COMMIT argument is required`: real tools print their usage with it.
 * The same as throwing a `usage` error.
 */
export function usageError(message: string): SealtreeError {
  return new SealtreeError('usage', message);
}

/** A command line that is wrong in a way the real tools answer with one line, without their usage. */
export function optionError(message: string): SealtreeError {
  return new SealtreeError('usage', message, { help: 'no' });
}

/** As `usageError`, for a message that already has the prefix it should have (getopt's own messages). */
export function bareUsageError(message: string): SealtreeError {
  return new SealtreeError('usage', message, { prefix: 'no' });
}

/** Whether the usage text goes with an error. */
export function wantsHelp(error: SealtreeError): boolean {
  return error.code === 'usage' && (error.detail as ErrorDetail).help !== 'no';
}

/** Whether the tool's name goes before the message. */
export function wantsPrefix(error: SealtreeError): boolean {
  return error.detail.prefix !== 'no';
}
