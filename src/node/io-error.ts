/**
 * Failures of the operating system as errors of ours: `what: No such file or directory`, in glibc's words.
 * @module
 */
import { errorName, errorNumber, errorText } from '../core/errno.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';

/**
 * Wraps what a call of Node's or of src/node/syscalls.ts threw.
 *
 * @param what the sentence before the colon, as the tool words it: `opening objects/ab/…`
 * @param error an error of node:fs or of a system call, whose own sentence is dropped; any other error keeps it
 * @returns `io` with `detail.errno` (`ENOENT`), or the code that the error had
 */
export function ioError(what: string, error: unknown): SealtreeError {
  return prefixed(what, plainError(error));
}

/** What the system says and nothing else (`No such file or directory`); an error of another kind as it is. */
export function plainError(error: unknown): unknown {
  const number = errnoOf(error);
  if (number === undefined) return error;
  return new SealtreeError('io', errorText(number), { errno: errorName(number) }, { cause: error });
}

/** Whether `error` is the failure of a system call with this error number, from Node or from us. */
export function isErrno(error: unknown, ...names: readonly string[]): boolean {
  const name = errnoNameOf(error);
  return name !== undefined && names.includes(name);
}

/** The error number's name, whatever layers the error went through; undefined if it is not the system's. */
export function errnoNameOf(error: unknown): string | undefined {
  const number = errnoOf(error);
  if (number !== undefined) return errorName(number);
  const errno = error instanceof SealtreeError ? error.detail.errno : undefined;
  return typeof errno === 'string' ? errno : undefined;
}

/** The number in an error that nothing has worded yet. */
function errnoOf(error: unknown): number | undefined {
  if (error instanceof SealtreeError) {
    const { errno, call } = error.detail;
    return call === undefined || typeof errno !== 'string' ? undefined : errorNumber(errno);
  }
  if (!(error instanceof Error) || !('errno' in error) || typeof error.errno !== 'number') return undefined;
  return -error.errno;
}
