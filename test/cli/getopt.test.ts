/** Command lines as getopt_long reads them. Expected: what fsverity 1.6 and composefs 1.0.8 (glibc 2.43) do. */
import { describe, expect, it } from 'vitest';
import { parseGetopt } from '../../src/cli/getopt.ts';
import { optionOf } from '../../src/cli/option.ts';
import { byteString } from '../../src/core/bytes/byte-string.ts';

const OPTIONS = [
  '--hash-alg <name>',
  '--out-merkle-tree <file>',
  '--out-descriptor <file>',
  '--compact',
  '-o, --options <list>',
  '-q, --quiet',
].map((flags) => optionOf({ flags, description: '' }));

function parse(words: string[], long = true) {
  const { args, options } = parseGetopt(OPTIONS, words.map(byteString), {
    long,
    fail: (_problem, text) => new Error(text),
  });
  const given = OPTIONS.filter((option) => options.has(option.long));
  return {
    args,
    options: Object.fromEntries(given.map(({ long }) => [long, options.values(long).join('|')])),
  };
}

describe('a command line of a tool that uses getopt', () => {
  it.each([
    { words: ['a', '--hash=sha256', 'b'], args: ['a', 'b'], options: { 'hash-alg': 'sha256' } },
    { words: ['--hash-alg', '--compact'], args: [], options: { 'hash-alg': '--compact' } },
    { words: ['--co', '-', 'a'], args: ['-', 'a'], options: { compact: '' } },
    { words: ['a', '--', '--compact'], args: ['a', '--compact'], options: {} },
    { words: ['-oro', '-qo', 'rw'], args: [], options: { options: 'ro|rw', quiet: '' } },
  ])('$words is read as getopt reads it', ({ words, args, options }) => {
    expect(parse(words)).toEqual({ args, options });
  });

  it.each([
    [['--foo'], "unrecognized option '--foo'"],
    [['--hash-algx=2'], "unrecognized option '--hash-algx=2'"],
    [['--out=3'], "option '--out=3' is ambiguous; possibilities: '--out-merkle-tree' '--out-descriptor'"],
    [['--comp=3'], "option '--compact' doesn't allow an argument"],
    [['--hash'], "option '--hash-alg' requires an argument"],
    [['-qx'], "invalid option -- 'x'"],
    [['-o'], "option requires an argument -- 'o'"],
  ])('%j is refused: %s', (words, message) => {
    expect(() => parse(words)).toThrow(new Error(message));
  });

  it('has no long options where the tool has none', () => {
    expect(() => parse(['--options=ro'], false)).toThrow(new Error("invalid option -- '-'"));
  });
});
