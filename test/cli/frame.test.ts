/** What every command has in common: names, help, version, output, and errors that nobody foresaw. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { link, type Program, run, sealtree } from '../run.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

describe('the version', () => {
  it.each<[Program, string]>([
    ['sealtree', `sealtree ${version}\n`],
    ['fsverity', 'fsverity v1.6\n'],
  ])('of %s', (program, stdout) => {
    expect(sealtree(['--version'], { program })).toMatchObject({ stdout, stderr: '', status: 0 });
  });

  it('of ostree is YAML', () => {
    expect(sealtree(['--version'], { program: 'ostree' }).stdout).toMatch(
      /^libostree:\n Version: '2026\.4'\n Sealtree: '[\d.]+'\n Features:\n( {2}- [\w-]+\n)+$/,
    );
  });
});

describe('sealtree', () => {
  it('says what it can do', () => {
    const { stdout, status } = sealtree(['--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Usage:\n {2}sealtree /);
    expect(stdout).toMatch(/^ {2}init {2,}\w/m);
    expect(sealtree(['help']).stdout).toBe(stdout);
    expect(sealtree(['-h']).stdout).toBe(stdout);
  });

  it('says the same with help COMMAND and COMMAND --help', () => {
    expect(sealtree(['help', 'ls']).stdout).toBe(sealtree(['ls', '--help']).stdout);
    expect(sealtree(['help', 'completion']).stdout).toBe(sealtree(['completion', '--help']).stdout);
  });

  it('is another program if its first word says so', () => {
    const named = sealtree(['ls', '--foo'], { program: 'ostree' });
    expect(sealtree(['ostree', 'ls', '--foo'])).toEqual(named);
    expect(named.stderr).toBe('error: Unknown option --foo\n');
  });

  it.each([
    [[], 'sealtree: no command specified\nusage: sealtree [OPTION…] COMMAND\n'],
    [['nosuch'], "sealtree: unknown command 'nosuch'\nusage: sealtree [OPTION…] COMMAND\n"],
    [['--nosuch'], "sealtree: unknown option '--nosuch'\n"],
    [['completion', '--nosuch'], "sealtree: unknown option '--nosuch'\n"],
    [['completion', 'csh'], 'sealtree: completion of csh: expected bash, zsh or fish\n'],
    [['help', 'nosuch'], "sealtree: unknown command 'nosuch'\nusage: sealtree help [OPTION…] [COMMAND]\n"],
    [['help', 'ls', 'nosuch'], "sealtree: unknown command 'ls nosuch'\n"],
  ])('refuses %j with status 2', (words, stderr) => {
    const ran = sealtree(words);
    expect({ ...ran, stderr: Buffer.from(ran.stderr, 'latin1').toString() }).toMatchObject({
      stdout: '',
      stderr,
      status: 2,
    });
  });
});

describe('a verb or option that is not built', () => {
  it.each<[Program, string[], string]>([
    [
      'ostree',
      ['static-delta', 'list'],
      'error: ostree static-delta is not part of sealtree; see docs/compatibility.md\n',
    ],
    [
      'ostree',
      ['--repo=x', 'remote', 'list'],
      'error: ostree remote is not part of sealtree; see docs/compatibility.md\n',
    ],
    [
      'ostree',
      ['admin', '--sysroot=x', 'upgrade'],
      'error: ostree admin upgrade is not part of sealtree; see docs/compatibility.md\n',
    ],
    [
      'ostree',
      ['admin', 'deploy', '--stage', 'm'],
      'error: ostree admin deploy --stage is not part of sealtree; see docs/compatibility.md\n',
    ],
    [
      'ostree',
      ['show', '--gpg-homedir=x', 'm'],
      'error: ostree show --gpg-homedir is not part of sealtree; see docs/compatibility.md\n',
    ],
    [
      'sealtree',
      ['remote', 'list'],
      'sealtree: ostree remote is not part of sealtree; see docs/compatibility.md\n',
    ],
    [
      'fsverity',
      ['sign', 'a', 'b'],
      'ERROR: fsverity sign is not part of sealtree; see docs/compatibility.md\n',
    ],
  ])('as %s: %j', (program, words, stderr) => {
    expect(sealtree(words, { program })).toMatchObject({
      stdout: '',
      stderr,
      status: program === 'ostree' ? 1 : 2,
    });
  });
});

describe('output', () => {
  it('ends quietly when nobody reads it any more', () => {
    const command = `"$1" "$2" help | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = run(['bash', '-c', command, 'bash', process.execPath, link()]);
    // 141 is what a shell says of a program that SIGPIPE ended; 0 if all was written before the reader went.
    expect(['0\n', '141\n']).toContain(stdout);
    expect(stderr).toBe('');
  });

  it('that cannot be written is an error', () => {
    const full = openSync('/dev/full', 'w');
    try {
      const { stderr, status } = spawnSync(process.execPath, [link(), 'help'], {
        stdio: ['ignore', full, 'pipe'],
        encoding: 'utf8',
      });
      expect({ stderr, status }).toEqual({
        stderr: 'sealtree: writing standard output: No space left on device\n',
        status: 7,
      });
    } finally {
      closeSync(full);
    }
  });
});

it('keeps arguments that are not UTF-8', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealtree-frame-'));
  try {
    const repo = Buffer.from('--repo=r\xe9po', 'latin1');
    expect(sealtree(['init', repo, '--mode=archive'], { cwd: folder })).toMatchObject({
      stderr: '',
      status: 0,
    });
    expect(readdirSync(folder, 'latin1')).toEqual(['r\xe9po']);
    const set = ['config', repo, 'set', 'core.x', Buffer.from('\xff\ufffd', 'latin1')];
    expect(sealtree([repo, 'config', 'get', 'core.mode'], { cwd: folder }).stdout).toBe('archive-z2\n');
    expect(sealtree(set, { cwd: folder }).status).toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const word = Buffer.from('caf\xe9', 'latin1');
  // Messages show such bytes escaped.
  expect(sealtree([word], { program: 'ostree' }).stderr).toContain("error: Unknown command 'caf\\xe9'\n");
});
