/** Command lines as ostree reads them. Expected: what ostree 2026.4 (GLib 2.90) does with the same words. */
import { describe, expect, it } from 'vitest';
import { parseGOption } from '../../src/cli/goption.ts';
import { optionOf } from '../../src/cli/option.ts';
import { byteString } from '../../src/core/bytes/byte-string.ts';

const OPTIONS = [
  { flags: '--repo <path>', description: '' },
  { flags: '-R, --recursive', description: '' },
  { flags: '-d, --dironly', description: '' },
  { flags: '-s, --subject <subject>', description: '', kind: 'text' as const },
  { flags: '-b, --branch <branch>', description: '' },
  { flags: '--owner-uid <uid>', description: '', kind: 'int' as const },
  { flags: '--sign [secret]', description: '' },
  { flags: '-v, --verbose', description: '' },
  { flags: '--version', description: '' },
].map(optionOf);

function parse(...words: string[]) {
  const parsed = parseGOption(OPTIONS, words.map(byteString), (option) => {
    if (option === '--refused') throw new Error('refused');
  });
  if (typeof parsed === 'string') return parsed;
  const options = Object.fromEntries(
    OPTIONS.filter(({ long }) => parsed.options.has(long)).map(({ long }) => [
      long,
      parsed.options.values(long).join('|'),
    ]),
  );
  return { args: parsed.args, options };
}

describe('a command line of ostree', () => {
  it.each([
    { words: ['m', '--repo', 'r', '/f'], args: ['m', '/f'], options: { repo: 'r' } },
    { words: ['--repo=r', '--', 'm', '-x'], args: ['m', '-x'], options: { repo: 'r' } },
    { words: ['-Rd', '-', 'm'], args: ['-', 'm'], options: { recursive: '', dironly: '' } },
    { words: ['--repo=a', '--repo=b'], args: [], options: { repo: 'a|b' } },
    { words: ['--repo='], args: [], options: { repo: '' } },
    { words: ['-b', '--orphan'], args: [], options: { branch: '--orphan' } },
    { words: ['--recursive=no', 'm'], args: ['m'], options: { recursive: '' } },
    { words: ['--sign', '-b', 'x'], args: [], options: { sign: '', branch: 'x' } },
    { words: ['--sign'], args: [], options: { sign: '' } },
    { words: ['--sign', 'key', 'm'], args: ['m'], options: { sign: 'key' } },
    { words: ['--owner-uid=0x10'], args: [], options: { 'owner-uid': '0x10' } },
  ])('$words is read as ostree reads it', ({ words, args, options }) => {
    expect(parse(...words)).toEqual({ args, options });
  });

  it.each([
    [['--foo'], 'Unknown option --foo'],
    [['--ver'], 'Unknown option --ver'],
    [['--help-foo'], 'Unknown option --help-foo'],
    [['-Rz'], 'Unknown option -Rz'],
    [['-bfoo', 't'], 'Unknown option -bfoo'],
    [['-sb', 'x'], 'Error parsing option -b'],
    [['--branch'], 'Missing argument for --branch'],
    [['-b'], 'Missing argument for -b'],
    [['--nosuch', '--help'], 'Unknown option --nosuch'],
    [['--owner-uid=x'], 'Cannot parse integer value “x” for --owner-uid'],
    [['--owner-uid='], 'Cannot parse integer value “” for --owner-uid'],
    [['--owner-uid=09'], 'Cannot parse integer value “09” for --owner-uid'],
    [['--owner-uid', '99999999999'], 'Integer value “99999999999” for --owner-uid out of range'],
    [['--subject=\xff'], 'Invalid byte sequence in conversion input'],
    [['--refused=1'], 'refused'],
  ])('%j is refused: %s', (words, message) => {
    expect(() => parse(...words)).toThrow(expect.objectContaining({ message }));
  });

  it.each([
    [['m', '-h'], 'help'],
    [['-?'], 'help'],
    [['-Rh'], 'help'],
    [['--version', '--help'], 'help'],
    [['--help', '--nosuch'], 'help'],
    [['m', '--version'], 'version'],
  ])('%j asks for %s', (words, wanted) => {
    expect(parse(...words)).toBe(wanted);
  });
});
