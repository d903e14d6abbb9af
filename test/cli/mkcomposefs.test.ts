/** Expected texts and statuses: mkcomposefs 1.0.8 with the same words. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { COMPOSEFS_VECTORS, dumpText, sha256, tableRows } from '../composefs-vectors.ts';
import { type Ran, type RunOptions, sealtree } from '../run.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtree-mkcomposefs-'));
  writeFileSync(join(folder, 'tree.dump'), dumpText('18-hardlinks'), 'latin1');
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (name: string) => join(folder, name);
const mkcomposefs = (args: string[], options: RunOptions = {}): Ran =>
  sealtree(args, { cwd: folder, ...options, program: 'mkcomposefs' });
const refused = (message: string) => ({ status: 1, stdout: '', stderr: `${message}\n` });

const goldens = tableRows('goldens.tsv');
const golden = (name: string, version: string) =>
  goldens.find((row) => row[0] === name && row[1] === version) as string[];
const [, , , HASH, DIGEST] = golden('18-hardlinks', '0') as [string, string, string, string, string];

describe('an image of a dump file', () => {
  it('is written, and its digest printed', () => {
    expect(mkcomposefs(['--from-file', '--print-digest', 'tree.dump', 'image'])).toEqual({
      status: 0,
      stdout: `${DIGEST}\n`,
      stderr: '',
      signal: null,
    });
    expect(sha256(readFileSync(at('image')))).toBe(HASH);
    expect(readdirSync(folder).sort()).toEqual(['image', 'tree.dump']);
  });

  it('goes to standard output, the digest behind it', () => {
    const { stdout } = mkcomposefs(['--from-file', '--print-digest', 'tree.dump', '-']);
    expect(sha256(Buffer.from(stdout.slice(0, -65), 'latin1'))).toBe(HASH);
    expect(stdout.slice(-65)).toBe(`${DIGEST}\n`);
  });

  it('is only digested', () => {
    expect(mkcomposefs(['--from-file', '--print-digest-only', 'tree.dump']).stdout).toBe(`${DIGEST}\n`);
    expect(readdirSync(folder)).toEqual(['tree.dump']);
  });

  it('is read from standard input', () => {
    const input = Buffer.from(dumpText('18-hardlinks'), 'latin1');
    expect(mkcomposefs(['--from-file', '--print-digest-only', '-'], { input }).stdout).toBe(`${DIGEST}\n`);
  });

  it('may be told by shortened options and options behind operands', () => {
    expect(mkcomposefs(['tree.dump', '--from', '--print-digest-o']).stdout).toBe(`${DIGEST}\n`);
  });

  it.each(['22-dirent-30-blocks', '39-tail-straddle-xattr', '43-many-inodes'])(
    '%s has the digest that is known',
    (name) => {
      const { stdout } = mkcomposefs([
        '--from-file',
        '--print-digest-only',
        `${COMPOSEFS_VECTORS}${name}.dump`,
      ]);
      expect(stdout).toBe(`${golden(name, '0')[4]}\n`);
    },
  );

  it('of lines longer than what is read at a time is complete', () => {
    // Eight megabytes of content: nothing of mkcomposefs's limits is reached before the content is too long.
    const line = `/f 5 100644 1 0 0 0 0.0 - ${'a'.repeat(8 << 20)} -`;
    writeFileSync(at('long.dump'), `/ 0 40755 2 0 0 0 0.0 - - -\n${line}\n`);
    expect(mkcomposefs(['--from-file', 'long.dump', 'image'])).toMatchObject(
      refused('mkcomposefs: Invalid content size 8388608, must match size 5'),
    );
  });
});

describe('format versions', () => {
  const digest = (name: string, ...options: string[]) =>
    mkcomposefs([
      '--from-file',
      '--print-digest-only',
      ...options,
      `${COMPOSEFS_VECTORS}${name}.dump`,
    ]).stdout.trim();
  const of = (name: string, version: string) => golden(name, version)[4];

  it('are chosen by the tree, unless one is asked for', () => {
    const name = '15-whiteout-subdir';
    expect(digest(name)).toBe(of(name, '1'));
    expect(digest(name, '--max-version=1')).toBe(of(name, '1'));
    expect(digest(name, '--max-version=0')).toBe(of(name, '0'));
    expect(digest(name, '--min-version=0')).toBe(of(name, '0'));
    expect(digest('18-hardlinks')).toBe(DIGEST);
    expect(digest('18-hardlinks', '--min-version=1')).toBe(of('18-hardlinks', '1'));
    expect(digest('18-hardlinks', '--min-version=1', '--min-version=0')).toBe(DIGEST);
  });

  it('are numbers as strtol reads them, cut to 32 bits', () => {
    expect(digest('18-hardlinks', '--min-version= +1')).toBe(of('18-hardlinks', '1'));
    expect(digest('18-hardlinks', '--min-version=4294967297')).toBe(of('18-hardlinks', '1'));
  });

  it.each([
    ['--min-version=x', 'Invalid min version x'],
    ['--max-version=', 'Invalid max version '],
    ['--threads=1x', 'Invalid threads count 1x'],
    ['--threads=0', 'Invalid threads count 0'],
    ['--threads=99999999999999999999', 'Invalid threads count -1'],
    ['--min-version=2', 'mkcomposefs: cannot write file: Invalid argument'],
    ['--max-version=-1', 'mkcomposefs: cannot write file: Invalid argument'],
  ])('%s is refused', (option, message) => {
    expect(mkcomposefs(['--from-file', option, 'tree.dump', 'image'])).toMatchObject(refused(message));
    expect(readdirSync(folder)).toEqual(['tree.dump']);
  });
});

describe('what is wrong', () => {
  it.each([
    [['--from-file', 'nope', 'image'], 'mkcomposefs: open `nope`: No such file or directory'],
    [['--from-file', '.', 'image'], 'mkcomposefs: Error reading from file'],
    [
      ['--from-file', 'tree.dump', 'nope/image'],
      'mkcomposefs: failed to open output file: No such file or directory',
    ],
    [
      ['--from-file', 'tree.dump', 'tree.dump/image'],
      'mkcomposefs: failed to open output file: Not a directory',
    ],
    [['--from-file', 'tree.dump', '.'], 'mkcomposefs: failed to open output file: Is a directory'],
    [
      ['--from-file', 'tree.dump', 'n'.repeat(256)],
      'mkcomposefs: failed to open output file: File name too long',
    ],
    [['nope', 'image'], 'mkcomposefs: error accessing nope: No such file or directory'],
    [['tree.dump', 'image'], 'mkcomposefs: cannot write file: Not a directory'],
    [['', 'image'], 'mkcomposefs: Empty source path specified'],
    [['--skip-xattrs', '--user-xattrs', '.', 'image'], 'mkcomposefs: error accessing .: Invalid argument'],
    [['--min-version'], 'option needs a value'],
  ])('%j', (args, message) => {
    expect(mkcomposefs(args)).toMatchObject(refused(message));
    expect(readdirSync(folder)).toEqual(['tree.dump']);
  });

  it.each([
    [[], 'No source path specified'],
    [['a'], 'No destination path specified'],
    [['a', 'b', 'c'], 'Too many arguments'],
    [['--print-digest-only', 'a', 'b'], 'Cannot specify destination path with --print-digest-only'],
  ])('%j is answered with the usage', (args, message) => {
    const ran = mkcomposefs(args);
    expect(ran).toMatchObject({ status: 1, stdout: '' });
    expect(ran.stderr).toMatch(new RegExp(`^${message}\n(?:Usage|usage)`));
  });

  it('leaves the image that was there', () => {
    writeFileSync(at('image'), 'old');
    expect(mkcomposefs(['--from-file', `${COMPOSEFS_VECTORS}errors/e33-efbig.dump`, 'image'])).toMatchObject(
      refused('mkcomposefs: cannot write file: File too large'),
    );
    expect(readFileSync(at('image'), 'latin1')).toBe('old');
    expect(readdirSync(folder).sort()).toEqual(['image', 'tree.dump']);
  });
});

describe('the image file', () => {
  const write = (image: string) =>
    expect(mkcomposefs(['--from-file', 'tree.dump', image])).toMatchObject({ status: 0, stderr: '' });

  it('keeps the mode of the one that it replaces', () => {
    writeFileSync(at('image'), 'old');
    chmodSync(at('image'), 0o640);
    write('image');
    expect(statSync(at('image')).mode & 0o7777).toBe(0o640);
    expect(sha256(readFileSync(at('image')))).toBe(HASH);
  });

  it('is the one behind a symlink, which stays', () => {
    mkdirSync(at('real'));
    writeFileSync(at('real/image'), 'old');
    symlinkSync('real/image', at('link'));
    symlinkSync('real/new', at('dangling'));
    write('link');
    write('dangling');
    expect(lstatSync(at('link')).isSymbolicLink()).toBe(true);
    expect(sha256(readFileSync(at('real/image')))).toBe(HASH);
    expect(sha256(readFileSync(at('real/new')))).toBe(HASH);
  });

  it('may be a device', () => {
    write('/dev/null');
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  });
});
