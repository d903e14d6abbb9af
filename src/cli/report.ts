/** An error as the tool that was called would print it, and the status it would exit with. @module */
import { EXIT_STATUS, SealtreeError } from '../core/errors.ts';
import { ioError } from '../node/io-error.ts';
import type { Output } from './output.ts';
import { wantsHelp, wantsPrefix } from './usage.ts';
import type { Tool } from './verb.ts';

/**
 * @param tool whose manners the verb has
 * @param usage the usage text, asked for only if it is printed
 * @returns the exit status
 */
export function report(tool: Tool, thrown: unknown, stderr: Output, usage: () => string): number {
  const error = thrown instanceof SealtreeError ? thrown : unexpected(thrown);
  if (process.env.SEALTREE_DEBUG !== undefined && thrown instanceof Error) stderr.line(thrown.stack ?? '');
  const isUsage = error.code === 'usage';
  const help = wantsHelp(error) ? usage() : '';
  switch (tool) {
    case 'ostree':
      if (help !== '') stderr.line(help);
      stderr.line(`error: ${error.message}`);
      return 1;
    case 'mkcomposefs':
    case 'composefs-info':
    case 'mount.composefs':
      if (error.message !== '') stderr.line(isUsage ? error.message : `${tool}: ${error.message}`);
      stderr.text(help);
      return 1;
    case 'fsverity':
      if (error.message !== '') stderr.line(wantsPrefix(error) ? `ERROR: ${error.message}` : error.message);
      stderr.text(help);
      return isUsage ? 2 : 1;
    case 'dmverity-vhd':
    case 'veritysetup':
      stderr.text(help);
      if (error.message !== '') stderr.line(error.message);
      return typeof error.detail.status === 'number' ? error.detail.status : 1;
    case 'sealtree':
      stderr.line(`sealtree: ${error.message}`);
      if (help !== '')
        stderr.text(
          help
            .split('\n', 2)
            .join('\n')
            .replace(/^Usage:\n {2}/, 'usage: ')
            .concat('\n'),
        );
      return EXIT_STATUS[error.code];
  }
}

/** What nobody has put into a sentence: the system's refusal of a file, or a fault in sealtree. */
function unexpected(thrown: unknown): SealtreeError {
  const { path, syscall } = thrown as { path?: unknown; syscall?: unknown };
  const plain = ioError(String(path ?? syscall), thrown);
  if (plain.code === 'io') return plain;
  const message = (thrown instanceof Error ? thrown.message : String(thrown)).split('\n', 1)[0];
  const hint = process.env.SEALTREE_DEBUG === undefined ? ' (SEALTREE_DEBUG=1 prints where)' : '';
  return new SealtreeError('internal', `internal error: ${message}${hint}`);
}
