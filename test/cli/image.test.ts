/** The command lines of `sealtree image` and `image verify`. What they make and find: test/live/image.test.ts. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sealtree } from '../run.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtree-image-'));
  mkdirSync(join(folder, 'empty'));
  writeFileSync(join(folder, 'text'), 'no disk');
  writeFileSync(join(folder, 'zeros'), new Uint8Array(1024 * 1024));
  writeFileSync(join(folder, 'key'), 'KBozGAfUadYFUrboq40jOUxLLkQDOBGnnnaL+PaKbvc=\n');
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('image', () => {
  it.each([
    { words: ['operand'], status: 2, message: 'image takes no operands' },
    {
      words: ['--repo=r', '--sysroot=s'],
      status: 2,
      message: 'image makes a disk of --repo or of --sysroot, not of both',
    },
    {
      words: ['--sysroot=empty', '--size=x'],
      status: 2,
      message: "--size: expected a size such as 4G, found 'x'",
    },
    {
      words: ['--sysroot=empty', '--size=0'],
      status: 2,
      message: "--size: expected a size such as 4G, found '0'",
    },
    {
      words: ['--sysroot=empty', '--boot=fat'],
      status: 2,
      message: "--boot: expected esp or ext4, found 'fat'",
    },
    {
      words: ['--sysroot=empty', '--boot-file=a'],
      status: 2,
      message: "--boot-file: expected PATH=FILE, found 'a'",
    },
    {
      words: ['--sysroot=empty', '--boot-file=../a=text'],
      status: 2,
      message: "--boot-file: expected PATH=FILE, found '../a=text'",
    },
    {
      words: ['--sysroot=empty', '--boot-file=a=nosuch'],
      status: 7,
      message: 'nosuch: No such file or directory',
    },
    { words: ['--sysroot=nosuch'], status: 7, message: 'nosuch: No such file or directory' },
    { words: ['--sysroot=empty'], status: 5, message: /\/empty: nothing has been deployed to it$/ },
    {
      words: ['--sysroot=empty', '--architecture=vax'],
      status: 2,
      message: /^--architecture: expected one of x86_64, .*, found 'vax'$/,
    },
  ])('refuses $words', ({ words, status, message }) => {
    const ran = sealtree(['image', '--output=none.raw', ...words], { cwd: folder });
    const [first = ''] = ran.stderr.split('\n');
    expect({ status: ran.status, first: first.replace(/^sealtree: /, '') }).toEqual({
      status,
      first: typeof message === 'string' ? message : expect.stringMatching(message),
    });
  });
});

describe('image verify', () => {
  it.each([
    { words: [], status: 2, message: 'image verify needs a DISK' },
    { words: ['nosuch'], status: 7, message: /^opening .*\/nosuch: No such file or directory$/ },
    { words: ['empty'], status: 7, message: /^opening .*\/empty: neither a file nor a disk$/ },
    { words: ['text'], status: 4, message: 'text: ext4 superblock: disk is too small' },
    { words: ['zeros'], status: 4, message: 'zeros: ext4 superblock: no magic number' },
  ])('refuses $words', ({ words, status, message }) => {
    const ran = sealtree(['image', 'verify', '--keys-file=key', ...words], { cwd: folder });
    const [first = ''] = ran.stderr.split('\n');
    expect({ status: ran.status, first: first.replace(/^sealtree: /, '') }).toEqual({
      status,
      first: typeof message === 'string' ? message : expect.stringMatching(message),
    });
  });
});
