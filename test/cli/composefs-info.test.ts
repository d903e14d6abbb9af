/** Expected texts and statuses: composefs-info 1.0.8 with the same words, except where it errs. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DUMP_NAMES,
  dumpText,
  imageOf,
  infoText,
  OVER_READ,
  tableRows,
  treeOf,
  versionsOf,
} from '../composefs-vectors.ts';
import { type Ran, sealtree } from '../run.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtree-composefs-info-'));
  for (const name of DUMP_NAMES) {
    writeFileSync(join(folder, `${name}.img`), imageOf(treeOf(dumpText(name)), versionsOf('1')));
  }
  writeFileSync(join(folder, 'text'), 'no image');
  writeFileSync(join(folder, 'empty'), '');
});
afterAll(() => rmSync(folder, { recursive: true }));

const info = (...args: string[]): Ran => sealtree(args, { cwd: folder, program: 'composefs-info' });
const printed = (stdout: string) => ({ status: 0, stdout, stderr: '' });
const refused = (message: string) => ({ status: 1, stdout: '', stderr: `composefs-info: ${message}\n` });

describe('all images at once', () => {
  const names = DUMP_NAMES.filter((name) => !OVER_READ.has(name));
  const images = names.map((name) => `${name}.img`);

  it('are listed', () => {
    expect(info('ls', ...images)).toMatchObject(
      printed(names.map((name) => infoText(name, 'ls', '1')).join('')),
    );
  });

  it('are dumped', () => {
    expect(info('dump', ...images)).toMatchObject(
      printed(names.map((name) => infoText(name, 'dump', '1')).join('')),
    );
  });

  it('name their objects once and in order', () => {
    const all = names.flatMap((name) => infoText(name, 'objects', '1').split('\n').slice(0, -1));
    const expected = [...new Set(all)].sort().map((path) => `${path}\n`);
    expect(info('objects', ...images)).toMatchObject(printed(expected.join('')));
  });
});

describe.each([...OVER_READ])('%s', (name) => {
  const paths = (text: string, separator: string) =>
    text
      .split('\n')
      .flatMap((line) => (line.includes(separator) ? [line.split(separator)[1] as string] : []));

  it('has backing paths without the bytes that composefs-info reads too many', () => {
    const { stdout } = info('ls', `${name}.img`);
    const theirs = paths(infoText(name, 'ls', '1'), '\t@ ');
    const ours = paths(stdout, '\t@ ');
    expect(ours).toHaveLength(theirs.length);
    for (const [index, path] of ours.entries()) expect(theirs[index]?.startsWith(path)).toBe(true);
    const distinct = [...new Set(ours)].sort();
    expect(info('objects', `${name}.img`).stdout.split('\n').slice(0, -1)).toEqual(distinct);
  });
});

describe('missing-objects', () => {
  it('prints the objects that are not in the directory', () => {
    const image = '06-external-digest.img';
    const [object, ...others] = infoText('06-external-digest', 'objects', '1').split('\n').slice(0, -1);
    mkdirSync(join(folder, 'store', object as string, '..'), { recursive: true });
    writeFileSync(join(folder, 'store', object as string), '');
    expect(info('--basedir=store', 'missing-objects', image)).toMatchObject(
      printed(others.map((path) => `${path}\n`).join('')),
    );
    expect(info('missing-objects', image).stdout).toBe(infoText('06-external-digest', 'objects', '1'));
  });
});

describe('--filter', () => {
  it('shows only these names of the root', () => {
    const dump = infoText('44-bfs-order', 'dump', '1');
    const names = dump.split('\n').flatMap((line) => /^\/([^/ ]+) /.exec(line)?.[1] ?? []);
    const [first, second] = names as [string, string];
    const wanted = dump
      .split('\n')
      .filter((line) => /^\/ /.test(line) || [first, second].includes(line.split(/[/ ]/)[1] as string));
    expect(info(`--filter=${first}`, `--filter=${second}`, 'dump', '44-bfs-order.img').stdout).toBe(
      `${wanted.join('\n')}\n`,
    );
    expect(info('--filter=', 'ls', '44-bfs-order.img')).toMatchObject(printed(''));
  });
});

describe('measure-file', () => {
  it('prints what libcomposefs says, of an empty file as well', () => {
    const digest = tableRows('goldens.tsv').find(
      ([name, version]) => name === '01-empty-root' && version === '1',
    )?.[4];
    // Of an empty file the kernel says 3d248ca5…: see docs/compatibility.md.
    const empty = 'cfc3391077edfd51859f6e5e16e03f82b1da3ee1a35d418b0d0b3b57740b4405';
    expect(info('measure-file', '01-empty-root.img', 'empty')).toMatchObject(
      printed(`${digest}\n${empty}\n`),
    );
  });

  it('stops at a file that it cannot read', () => {
    expect(info('measure-file', 'empty', 'nope')).toMatchObject({
      status: 1,
      stderr: "composefs-info: Failed to open 'nope': No such file or directory\n",
    });
    expect(info('measure-file', '.').stderr).toMatch(/^failed to measure '\.': /);
  });
});

describe('what is wrong', () => {
  it.each([
    [['foo'], "Unknown command 'foo'\n"],
    [['ls', 'nope'], "Failed to open 'nope': No such file or directory"],
    [['--basedir=nope', 'ls', 'empty'], "Can't open basedir `nope`\n: No such file or directory"],
    [['--basedir=text', 'ls', 'empty'], "Can't open basedir `text`\n: Not a directory"],
    [['--filter=a/b', 'ls', 'empty'], 'Filter must be a single name: a/b: Success'],
    // composefs-info says "Invalid argument" of these.
    [['ls', 'text'], "Failed to load 'text': image at offset 0: expected at least 4096 bytes, found 8"],
    [['ls', '.'], "Failed to load '.': not a regular file"],
  ])('%j', (args, message) => {
    expect(info(...args)).toMatchObject(refused(message));
  });

  it.each([
    [[], 'No command specified'],
    [['ls'], 'No image path specified'],
    [['measure-file'], 'No files specified'],
    [['--nope'], "composefs-info: unrecognized option '--nope'"],
    [['--basedir'], "composefs-info: option '--basedir' requires an argument"],
  ])('%j is answered with the usage', (args, message) => {
    const ran = info(...args);
    expect(ran).toMatchObject({ status: 1, stdout: '' });
    expect(ran.stderr.startsWith(`${message}\nUsage`)).toBe(true);
  });

  it('prints what was read before a damaged image', () => {
    const ran = info('ls', '11-symlink-short.img', 'text');
    expect(ran.stdout).toBe(infoText('11-symlink-short', 'ls', '1'));
    expect(ran.status).toBe(1);
  });

  it('is said of an image that was cut off', () => {
    const image = readFileSync(join(folder, '22-dirent-30-blocks.img'));
    writeFileSync(join(folder, 'cut.img'), image.subarray(0, 20480));
    expect(info('ls', 'cut.img').stderr).toMatch(
      /^composefs-info: Failed to load 'cut\.img': inode \d+.* outside the image, which has 20480 bytes\n$/,
    );
  });
});
