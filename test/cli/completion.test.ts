import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../requires.ts';
import { run, sealtreeOk } from '../run.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtree-completion-'));
  for (const shell of ['bash', 'zsh', 'fish']) {
    writeFileSync(join(folder, `completion.${shell}`), sealtreeOk(['completion', shell]), 'latin1');
  }
  writeFileSync(join(folder, 'a file'), '');
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('bash', () => {
  it.each([
    { words: ['sealtree', 'rev-p'], found: ['rev-parse'] },
    { words: ['sealtree', 'completion', '--h'], found: ['--help'] },
    { words: ['sealtree', '--repo=x', 'ls', '--rec'], found: ['--recursive'] },
    { words: ['sealtree', 'fsverity', 'dig'], found: ['digest'] },
    { words: ['sealtree', 'fsverity', 'digest', '--comp'], found: ['--compact'] },
    { words: ['sealtree', 'ls', 'a'], found: ['a file'] },
  ])('completes $words', ({ words, found }) => {
    const script = `
      compopt() { :; }
      source completion.bash
      COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
      _sealtree
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = run(['bash', '-c', script, 'bash', ...words], { cwd: folder });
    expect({ stderr, found: stdout.trim().split('\n') }).toEqual({ stderr: '', found });
  });
});

requires({ programs: ['zsh'] }).it('zsh reads its script', () => {
  expect(run(['zsh', '-n', 'completion.zsh'], { cwd: folder })).toMatchObject({ stderr: '', status: 0 });
});

requires({ programs: ['fish'] }).describe('fish', () => {
  it.each([
    { line: 'sealtree rev-p', found: 'rev-parse' },
    { line: 'sealtree ls --rec', found: '--recursive' },
    { line: 'sealtree fsverity dig', found: 'digest' },
    { line: 'sealtree fsverity digest --comp', found: '--compact' },
  ])('completes $line', ({ line, found }) => {
    const script = 'source completion.fish; complete -C $argv[1]';
    const { stdout, stderr } = run(['fish', '--no-config', '-c', script, line], { cwd: folder });
    expect({ stderr, found: stdout.split('\n').map((row) => row.split('\t')[0]) }).toEqual({
      stderr: '',
      found: [found, ''],
    });
  });
});
