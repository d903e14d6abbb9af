/** Errors as each tool words them; no stack ever reaches who did not ask for it. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Output } from '../../src/cli/output.ts';
import { report } from '../../src/cli/report.ts';
import { bareUsageError, optionError, usageError } from '../../src/cli/usage.ts';
import type { Tool } from '../../src/cli/verb.ts';
import { type ErrorCode, EXIT_STATUS, SealtreeError } from '../../src/core/errors.ts';

function reported(tool: Tool, error: unknown) {
  let text = '';
  const output = { line: (line: string) => (text += `${line}\n`), text: (more: string) => (text += more) };
  const status = report(tool, error, output as unknown as Output, () => 'Usage:\n  USAGE\n');
  return { status, text };
}

afterEach(() => vi.unstubAllEnvs());

describe('an error', () => {
  const failure = new SealtreeError('malformed', 'no good');

  it.each<[Tool, unknown, number, string]>([
    ['ostree', failure, 1, 'error: no good\n'],
    ['ostree', optionError('Unknown option -x'), 1, 'error: Unknown option -x\n'],
    ['ostree', usageError('A COMMIT'), 1, 'Usage:\n  USAGE\n\nerror: A COMMIT\n'],
    ['mkcomposefs', failure, 1, 'mkcomposefs: no good\n'],
    ['mkcomposefs', usageError('No source'), 1, 'No source\nUsage:\n  USAGE\n'],
    ['mkcomposefs', optionError('option needs a value'), 1, 'option needs a value\n'],
    ['composefs-info', bareUsageError('composefs-info: x'), 1, 'composefs-info: x\nUsage:\n  USAGE\n'],
    ['fsverity', failure, 1, 'ERROR: no good\n'],
    ['fsverity', usageError('salt'), 2, 'ERROR: salt\nUsage:\n  USAGE\n'],
    ['fsverity', bareUsageError(''), 2, 'Usage:\n  USAGE\n'],
    ['sealtree', failure, 4, 'sealtree: no good\n'],
    ['sealtree', usageError('which?'), 2, 'sealtree: which?\nusage: USAGE\n'],
  ])('of %s: %s', (tool, error, status, text) => {
    expect(reported(tool, error)).toEqual({ status, text });
  });

  it.each(Object.entries(EXIT_STATUS))('of kind %s ends a verb of sealtree with %d', (code, status) => {
    expect(reported('sealtree', new SealtreeError(code as ErrorCode, 'x')).status).toBe(status);
  });
});

describe('an error that nobody foresaw', () => {
  it('is one line, which says how to learn more', () => {
    const text = 'sealtree: internal error: undefined is not (SEALTREE_DEBUG=1 prints where)\n';
    expect(reported('sealtree', new TypeError('undefined is not\nmore'))).toEqual({ status: 1, text });
    expect(reported('ostree', 'a string').text).toBe(
      'error: internal error: a string (SEALTREE_DEBUG=1 prints where)\n',
    );
  });

  it('comes with its stack for who asks', () => {
    vi.stubEnv('SEALTREE_DEBUG', '1');
    const { text } = reported('sealtree', new TypeError('what'));
    expect(text).toMatch(/^TypeError: what\n +at [\s\S]*\nsealtree: internal error: what\n$/);
  });

  it("of the system is told in the system's words", () => {
    let thrown: unknown;
    try {
      readFileSync('/nosuch/file');
    } catch (error) {
      thrown = error;
    }
    expect(reported('sealtree', thrown)).toEqual({
      status: EXIT_STATUS.io,
      text: 'sealtree: /nosuch/file: No such file or directory\n',
    });
  });
});
