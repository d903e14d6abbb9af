/** The tar reader: against archives of Python, GNU tar and by hand, whole and in pieces. @module */
import { execFileSync } from 'node:child_process';
import { ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { SealtreeError } from '../../../src/core/errors.ts';
import { cleanPath } from '../../../src/core/tar/clean-path.ts';
import { type TarEntry, TarReader } from '../../../src/core/tar/reader.ts';
import { layerVector, PEER } from '../../layer-vectors.ts';

/** Content: one character a byte. */
type Read = TarEntry & { readonly content: string };

function readAll(archive: Uint8Array, step = archive.length || 1): Read[] {
  const entries: Read[] = [];
  let pieces: Uint8Array[] = [];
  let last: TarEntry | undefined;
  const reader = new TarReader({
    entry(entry) {
      last = entry;
      pieces = [];
    },
    data: (piece) => void pieces.push(piece.slice()),
    zeros: (length) => void pieces.push(new Uint8Array(length)),
    end: () =>
      void entries.push({ ...(last as TarEntry), content: Buffer.concat(pieces).toString('latin1') }),
  });
  for (let at = 0; at < archive.length; at += step) reader.push(archive.subarray(at, at + step));
  reader.finish();
  return entries;
}

const work = mkdtempSync(`${tmpdir()}/sealtree-tar-`);
afterAll(() => rmSync(work, { recursive: true }));

describe('archives of other tools', () => {
  const names = Object.keys(PEER.layers).filter((name) => name.endsWith('.tar') && !name.startsWith('e-'));
  it.each(names)('reads %s in pieces of any size alike', (name) => {
    const archive = layerVector(name);
    const whole = readAll(archive);
    const steps = archive.length > 100_000 ? [4099] : [7, 513];
    for (const step of steps) expect(readAll(archive, step)).toEqual(whole);
  });

  // Hole, data, hole, data, hole.
  const content = Buffer.alloc(5_000_000);
  content.write('first', 65_536);
  content.fill('x', 1_000_000, 1_300_000);
  const file = `${work}/sparse`;
  const fd = openSync(file, 'w');
  writeSync(fd, content, 65_536, 4096, 65_536);
  writeSync(fd, content, 999_424, 303_104, 999_424);
  ftruncateSync(fd, content.length);

  it.each([
    ['old GNU', ['--format=gnu']],
    ['pax 0.0', ['--format=posix', '--sparse-version=0.0']],
    ['pax 0.1', ['--format=posix', '--sparse-version=0.1']],
    ['pax 1.0', ['--format=posix', '--sparse-version=1.0']],
  ])('expands sparse files that GNU tar stores as %s', (_, options) => {
    const archive = execFileSync('tar', ['-S', ...options, '-C', work, '-cf', '-', 'sparse'], {
      maxBuffer: 16e6,
    });
    expect(archive.length).toBeLessThan(1_000_000);
    for (const step of [archive.length, 511]) {
      const [entry] = readAll(archive, step);
      expect(entry).toMatchObject({ name: 'sparse', size: content.length });
      expect(entry?.content === content.toString('latin1')).toBe(true);
    }
  });

  it('reads names that are too long for a header, and bytes that are no text', () => {
    const long = `${'d'.repeat(120)}/${'e'.repeat(200)}`;
    execFileSync('sh', ['-c', `mkdir ${'d'.repeat(120)} && echo hi > ${long} && ln -s ${long} link`], {
      cwd: work,
    });
    execFileSync('sh', ['-c', "echo x > $(printf 'caf\\351')"], { cwd: work });
    for (const format of ['gnu', 'posix']) {
      const names = ['d'.repeat(120), 'link'];
      const archive = execFileSync('sh', ['-c', `tar --format=${format} -cf - ${names.join(' ')} caf*`], {
        cwd: work,
      });
      const entries = readAll(archive);
      expect(entries.map(({ name }) => name)).toEqual([`${'d'.repeat(120)}/`, long, 'link', 'caf\xe9']);
      expect(entries[2]?.linkName).toBe(long);
    }
  });
});

describe('what is no archive', () => {
  const archive = layerVector('basic.tar');
  it.each(['e-notatar.tar', 'e-truncated.tar'])('refuses %s in the words of Go', (name) => {
    const words =
      PEER.layers[name]?.hashlayer.err === 'input file is not a tar archive'
        ? 'invalid tar header'
        : 'unexpected EOF';
    expect(() => readAll(layerVector(name))).toThrow(words);
  });

  it('refuses a header of which one byte is wrong, and says where', () => {
    // The second header of the archive: `etc/hostname`.
    const broken = Uint8Array.from(archive);
    broken[512 + 3] = 0x58;
    const error = failure(() => readAll(broken));
    expect(error.message).toMatch(
      /^archive\/tar: invalid tar header: header 2, at byte 512: the checksum is/,
    );
    expect(error.detail.offset).toBe(512);
  });

  it('takes no piece of an archive for the whole, unless it ends between entries', () => {
    const ends = new Set([0, archive.length]);
    const entries = readAll(archive);
    for (const { offset } of entries) ends.add(offset);
    const last = entries.at(-1) as Read;
    const end = last.offset + 512 + Math.ceil(last.content.length / 512) * 512;
    for (let at = 0; at < end; at += 113) {
      if (ends.has(at)) continue;
      expect(() => readAll(archive.subarray(0, at)), `${at}`).toThrow('unexpected EOF');
    }
    expect(readAll(archive.subarray(0, end))).toHaveLength(entries.length);
    expect(readAll(archive.subarray(0, end + 512))).toHaveLength(entries.length);
  });

  it('refuses what follows one block of zeros', () => {
    const one = new Uint8Array(512 + archive.length);
    one.set(archive, 512);
    expect(() => readAll(one)).toThrow('it follows a block of zeros');
  });
});

// Expected: path.Clean of Go, without the slash that it begins with.
it.each([
  ['./a', 'a'],
  ['/a/', 'a'],
  ['a//b/./c', 'a/b/c'],
  ['../../a', 'a'],
  ['a/../..', ''],
  ['a/b/..', 'a'],
  ['.', ''],
  ['...', '...'],
  ['a/.b/..c', 'a/.b/..c'],
])('cleans %s to %s', (name, expected) => {
  expect(cleanPath(byteString(name))).toBe(expected);
});

function failure(action: () => void): SealtreeError {
  try {
    action();
  } catch (error) {
    if (error instanceof SealtreeError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
