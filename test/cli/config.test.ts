import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sealtree, sealtreeOk } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const CONFIG = `# kept as it is
[core]
repo_version=1
mode=archive-z2
  # indented comment
min-free-space-percent=3

[remote "origin"]
url=https://example.org/
; not a comment=but a key
`;

let scratch = '';
let repo = '';
beforeEach(() => {
  scratch = scratchDirectory('config');
  repo = join(scratch, 'repo');
  sealtreeOk(['init', `--repo=${repo}`, '--mode=archive']);
  writeFileSync(join(repo, 'config'), CONFIG);
});
afterEach(() => removeDirectory(scratch));

const config = (...args: string[]) => sealtree(['config', `--repo=${repo}`, ...args]);
const text = () => readFileSync(join(repo, 'config'), 'utf8');

describe('config', () => {
  it('gets a value by section and key, or by group', () => {
    expect(config('get', 'core.mode')).toMatchObject({ stdout: 'archive-z2\n', status: 0 });
    expect(config('get', '--group=remote "origin"', 'url').stdout).toBe('https://example.org/\n');
  });

  it('sets a key where it stands, at the end of its group, or in a new group, and changes nothing else', () => {
    config('set', 'core.min-free-space-percent', '5');
    expect(text()).toBe(CONFIG.replace('percent=3', 'percent=5'));
    writeFileSync(join(repo, 'config'), CONFIG);
    config('set', '--group=core', 'fsync', 'false');
    expect(text()).toBe(CONFIG.replace('percent=3\n', 'percent=3\nfsync=false\n'));
    writeFileSync(join(repo, 'config'), CONFIG);
    config('set', 'ex-integrity.composefs', 'true');
    expect(text()).toBe(`${CONFIG}\n[ex-integrity]\ncomposefs=true\n`);
    // Split at the first dot.
    config('set', 'ex-integrity.a.b', 'c');
    expect(text()).toContain('\na.b=c\n');
  });

  it('unsets a key, or does nothing where there is none', () => {
    config('unset', 'core.min-free-space-percent');
    expect(text()).toBe(CONFIG.replace('min-free-space-percent=3\n', ''));
    const before = text();
    expect(config('unset', 'core.nothing')).toMatchObject({ status: 0, stderr: '' });
    expect(config('unset', 'nothing.nothing').status).toBe(0);
    expect(text()).toBe(before);
  });

  // The words of ostree 2026.4.
  it.each([
    [['get', 'core.nothing'], 'Key file does not have key “nothing” in group “core”'],
    [['get', 'nothing.key'], 'Key file does not have group “nothing”'],
    [['get', 'nodot'], 'Key must be of the form "sectionname.keyname"'],
    [['get'], 'KEY must be specified'],
    [['get', '--group=core'], 'Group name and key must be specified'],
    [['set', 'core.mode'], 'KEY and VALUE must be specified'],
    [['set', '--group=core', 'mode'], 'GROUP name, KEY and VALUE must be specified'],
    [['set', 'core.mode', 'nonsense'], "Invalid mode 'nonsense' in repository configuration"],
    [['set', 'core.repo_version', '2'], "Invalid repository version '2'"],
    [['set', 'core.min-free-space-percent', '100'], "Invalid min-free-space-percent '100'"],
    [['set', 'core.min-free-space-percent', 'x'], "Invalid min-free-space-percent 'x': must be a number"],
    [
      ['set', 'core.min-free-space-size', '5'],
      "Invalid min-free-space-size '5': It should be of the format '123MB', '123GB' or '123TB'",
    ],
    [['set', 'ex-integrity.composefs', 'x'], 'Invalid tri-state value: x'],
    [['nonsense'], 'Unknown operation nonsense'],
  ])('%j fails and changes nothing', (args, message) => {
    const { status, stderr } = config(...args);
    expect({ status, stderr: Buffer.from(stderr, 'latin1').toString() }).toEqual({
      status: 1,
      stderr: `error: ${message}\n`,
    });
    expect(text()).toBe(CONFIG);
  });

  it('keeps the file readable for everybody', () => {
    chmodSync(join(repo, 'config'), 0o644);
    config('set', 'core.fsync', 'false');
    expect(text()).toContain('fsync=false');
  });
});

describe('init', () => {
  // The words of ostree 2026.4.
  it.each([
    [['--mode=nonsense'], "Invalid mode 'nonsense' in repository configuration"],
    [['--collection-id=bad'], 'Invalid collection ID bad'],
    [['--collection-id=1.two'], 'Invalid collection ID 1.two'],
  ])('%j is refused', (args, message) => {
    expect(sealtree(['init', `--repo=${join(scratch, 'new')}`, ...args])).toMatchObject({
      status: 1,
      stderr: `error: ${message}\n`,
    });
  });

  it('needs the parent of the folder', () => {
    expect(sealtree(['init', `--repo=${join(scratch, 'a/b')}`]).stderr).toBe(
      'error: Creating repo: mkdirat: No such file or directory\n',
    );
  });

  it('writes a collection id, and its commits carry it', () => {
    const path = join(scratch, 'collection');
    sealtreeOk(['init', `--repo=${path}`, '--mode=archive', '--collection-id=org.example.Os']);
    expect(readFileSync(join(path, 'config'), 'utf8')).toBe(
      '[core]\nrepo_version=1\nmode=archive-z2\ncollection-id=org.example.Os\n',
    );
    const commit = sealtreeOk(['commit', `--repo=${path}`, '-b', 'main', '--tree=dir=.'], {
      cwd: join(repo, 'state'),
    });
    expect(sealtreeOk(['show', `--repo=${path}`, '--raw', commit.trim()])).toContain(
      "'ostree.collection-binding': <'org.example.Os'>",
    );
  });
});
