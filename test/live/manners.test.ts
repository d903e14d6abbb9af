/** Wrong and unusual command lines: the same last words, the same status and the same output as the real tools. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { type RealTool, real, realOk } from '../peers.ts';
import { requires } from '../requires.ts';
import { type Program, type Ran, sealtree, type Word } from '../run.ts';

const { it, describe } = requires({ peers: true });
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtree-manners-'));
  mkdirSync(join(folder, 'tree'));
  writeFileSync(join(folder, 'tree/f'), 'hi\n');
  writeFileSync(join(folder, 'file'), 'x');
  realOk('ostree', ['init', '--repo=repo', '--mode=bare-user'], { cwd: folder });
  realOk('ostree', ['commit', '--repo=repo', '-b', 'm', '--timestamp=@0', 'tree'], { cwd: folder });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a script sees: status, output, and the last line of the messages, which is the error. */
function seen({ status, stdout, stderr }: Ran) {
  return { status, stdout, error: stderr.trimEnd().split('\n').at(-1) };
}

function compare(tool: Program & RealTool, words: readonly Word[], look: (ran: Ran) => unknown = seen): void {
  const options = { cwd: folder };
  expect(look(sealtree(words, { ...options, program: tool }))).toEqual(look(real(tool, words, options)));
}

describe('ostree', () => {
  const REPO = '--repo=repo';
  const lines: readonly (readonly Word[])[] = [
    [],
    ['-v'],
    ['--foo'],
    ['nosuch'],
    [''],
    ['--repo'],
    ['--repo', 'repo', 'ls', 'm'],
    [REPO],
    ['--', '--repo'],
    [REPO, 'nosuch'],
    [REPO, '--version'],
    ['ls'],
    ['ls', '--foo'],
    ['ls', '--ver'],
    ['ls', REPO],
    ['ls', '--repo'],
    ['ls', '-Rz', REPO, 'm'],
    ['ls', '--help-foo'],
    ['ls', '--nosuch', '--help'],
    ['ls', REPO, 'm'],
    [REPO, 'ls', 'm', '/f'],
    ['ls', 'm', '--repo', 'repo'],
    ['ls', REPO, '--', 'm'],
    ['ls', '--', REPO, 'm'],
    ['--', 'ls', REPO, 'm'],
    ['ls', REPO, 'm', '--', '-x'],
    ['ls', REPO, '--', '-x'],
    ['ls', REPO, 'm', '-'],
    ['ls', REPO, '--recursive=no', 'm'],
    ['ls', '--repo=nosuch', 'm'],
    ['ls', REPO, '--repo=nosuch', 'm'],
    ['rev-parse', REPO],
    ['config', REPO],
    ['config', REPO, '--', 'get', 'core.mode'],
    ['config', REPO, 'get'],
    ['config', REPO, 'nosuch', 'x'],
    ['init'],
    ['init', '--repo=other', '--mode=nosuch'],
    ['init', '--repo=other', '--mode'],
    ['refs', REPO, '--list=5'],
    ['refs', REPO, '--create'],
    ['cat', REPO, 'm'],
    ['cat', REPO],
    ['log', REPO],
    ['show', REPO],
    ['diff', REPO],
    ['checkout', REPO],
    ['pull-local', REPO],
    ['sign', REPO],
    ['commit', REPO, '-bfoo', 'tree'],
    ['commit', REPO, '-sb', 'x', 'tree'],
    ['commit', REPO, '--branch'],
    ['commit', REPO, '-b'],
    ['commit', REPO, 'tree'],
    ['commit', REPO, '--owner-uid=x', '-b', 'n', 'tree'],
    ['commit', REPO, '--owner-uid=99999999999', '-b', 'n', 'tree'],
    ['commit', REPO, '--owner-gid', '', '-b', 'n', 'tree'],
    ['commit', REPO, '-b', 'n', Buffer.from('--subject=\xff', 'latin1'), 'tree'],
    ['commit', REPO, '-b', 'n', '--timestamp=nonsense', 'tree'],
    ['commit', REPO, '-b', 'n', '--sign'],
  ];
  for (const words of lines) {
    it(words.map((word) => (typeof word === 'string' ? word : String(word))).join(' ') || 'alone', () =>
      compare('ostree', words),
    );
  }

  it('prints the usage, then the error, for a command line that misses something', () => {
    for (const words of [[], ['nosuch'], ['ls'], ['ls', REPO]]) {
      compare('ostree', words, ({ stderr, stdout }) => [stderr.split('\n', 1)[0], stdout]);
    }
  });

  it('takes -v before the command', () => {
    // What it then says on standard error is for its own developers.
    compare('ostree', ['-v', REPO, 'ls', 'm', '/f'], ({ status, stdout }) => [status, stdout]);
  });

  it('prints --help to standard output', () => {
    compare('ostree', ['--help'], ({ status, stderr, stdout }) => [status, stderr, stdout.split('\n', 2)]);
    compare('ostree', ['ls', '-h'], ({ status, stderr, stdout }) => [status, stderr, stdout.split('\n', 2)]);
  });

  it('names its version and features as scripts look for them', () => {
    compare('ostree', ['--version'], ({ status, stdout }) => [
      status,
      /^ Version: .*$/m.exec(stdout)?.[0],
      /^ {2}- ex-fsverity$/m.test(stdout),
    ]);
  });
});

/** All messages up to the usage text, and the status. */
function beforeUsage({ status, stdout, stderr }: Ran) {
  return { status, stdout, messages: stderr.split(/^usage:/im, 1)[0], usage: /^usage:/im.test(stderr) };
}

describe('fsverity', () => {
  const lines: readonly (readonly string[])[] = [
    [],
    ['nosuch'],
    ['--foo'],
    ['-h'],
    ['--version'],
    ['digest', 'file', '--version'],
    ['--compact', 'digest', 'file'],
    ['digest'],
    ['digest', '--foo', 'file'],
    ['digest', '--hash-algx=2', 'file'],
    ['digest', '-h'],
    ['digest', '--out', 'file'],
    ['digest', '--out-=3'],
    ['digest', '--hash'],
    ['digest', '--has=sha256', 'file'],
    ['digest', '--co', 'file'],
    ['digest', '--compact=3', 'file'],
    ['digest', '--s', 'file'],
    ['digest', '--', '--version'],
    ['digest', 'file', '--compact'],
    ['measure'],
    ['measure', '--foo'],
    ['enable'],
    ['enable', 'file', 'file'],
  ];
  for (const words of lines) it(words.join(' ') || 'alone', () => compare('fsverity', words, beforeUsage));
});

describe('mkcomposefs', () => {
  const lines: readonly (readonly string[])[] = [
    [],
    ['--nosuch'],
    ['-x'],
    ['--min-version'],
    ['--min-version=x', 'a', 'b'],
    ['--print-digest-o'],
    ['--print', 'tree'],
    ['tree'],
    ['', 'image'],
    ['a', 'b', 'c'],
    ['--print-digest-only', 'tree', 'image'],
    ['--from', 'nosuch', 'image'],
    ['tree', '--print-digest-only', '--use-e'],
  ];
  for (const words of lines) it(words.join(' ') || 'alone', () => compare('mkcomposefs', words, beforeUsage));
});

describe('composefs-info', () => {
  // The real tool also prints a forgotten `Def` to standard output when its options are wrong.
  const withoutDef = (ran: Ran) => {
    const seen = beforeUsage(ran);
    return { ...seen, stdout: seen.stdout.replace(/^Def\n/, '') };
  };
  const lines: readonly (readonly string[])[] = [
    [],
    ['nosuch'],
    ['nosuch', 'image'],
    ['ls'],
    ['measure-file'],
    ['--foo'],
    ['ls', '--foo'],
    ['--filter'],
    ['--base'],
    ['--filter=a/b', 'ls', 'nosuch'],
    ['ls', 'nosuch'],
    ['objects', '--basedir=nosuch', 'image'],
  ];
  for (const words of lines) {
    it(words.join(' ') || 'alone', () => compare('composefs-info', words, withoutDef));
  }
});

describe('mount.composefs', () => {
  // The real tool also prints an empty line after most of its errors.
  const withoutEmptyLine = (ran: Ran) => {
    const seen = beforeUsage(ran);
    return { ...seen, messages: seen.messages?.trimEnd() };
  };
  const lines: readonly (readonly string[])[] = [
    [],
    ['-x'],
    ['image'],
    ['-t'],
    ['-t', 'nosuch', 'a', 'b'],
    ['-o'],
    ['-o', 'nosuch', 'a', 'b'],
    ['-obasedir', 'a', 'b'],
    ['a', 'b', '-o', 'verity,ro'],
    ['-o', 'basedir=/', 'nosuch', '/mnt'],
  ];
  for (const words of lines) {
    it(words.join(' ') || 'alone', () => compare('mount.composefs', words, withoutEmptyLine));
  }
});
