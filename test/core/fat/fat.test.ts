/** What FAT cannot hold. What it can, and that fsck.vfat agrees: test/live/image.test.ts. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeFat } from '../../../src/core/fat/writer.ts';
import type { DiskNode } from '../../../src/core/fs/disk-node.ts';
import { DiskTree, memoryDisk } from '../../memory-disk.ts';
import { requires } from '../../requires.ts';
import { run } from '../../run.ts';

const MEBIBYTE = 1024 * 1024;

function write(root: DiskNode, tree: DiskTree, size = 36 * MEBIBYTE) {
  const disk = memoryDisk(size);
  const options = { id: 0x12345678, label: 'ESP', size, start: MEBIBYTE, timestamp: 1700000000 };
  writeFat(root, options, tree.read, disk.sink);
  return disk;
}

describe('writeFat', () => {
  const tree = new DiskTree();
  const file = tree.file(Uint8Array.of(1, 2, 3));

  it.each([
    {
      what: 'a symlink',
      entries: { link: tree.symlink('x') },
      message: '/link: FAT has files and directories only',
    },
    { what: 'a name with a colon', entries: { 'a:b': file }, message: '/a:b: not a name that FAT can hold' },
    {
      what: 'a name that ends in a dot',
      entries: { 'a.': file },
      message: '/a.: not a name that FAT can hold',
    },
    {
      what: 'names that differ in case',
      entries: { Name: file, name: file },
      message: 'FAT takes names that differ in case only for one',
    },
  ])('refuses $what', ({ entries, message }) => {
    expect(() => write(tree.directory(entries as Record<string, DiskNode>), tree)).toThrow(message);
  });

  it('refuses what does not fit, and what would be too small for FAT32', () => {
    const large = tree.directory({ large: tree.file(new Uint8Array(40 * MEBIBYTE)) });
    expect(() => write(large, tree)).toThrow('do not fit a partition of 37748736 bytes');
    expect(() => write(tree.directory({}), tree, 8 * MEBIBYTE)).toThrow(
      'are too few for a FAT32 file system',
    );
  });
});

const tools = requires({ programs: ['fsck.vfat', 'mdir'] });

tools.it('many names, long ones and short ones, are what mtools lists', () => {
  const tree = new DiskTree();
  const file = tree.file(Uint8Array.of(1));
  const names = [
    ...Array.from({ length: 300 }, (_, i) => `a rather long name of a file, number ${i}.conf`),
    ...['BOOTX64.EFI', 'README', 'lower', 'Mixed.Case', 'dot.two.dots', 'é€𝄞', 'x'.repeat(255)],
  ];
  const utf8 = (name: string) => Buffer.from(name).toString('latin1');
  const root = tree.directory({
    EFI: tree.directory(Object.fromEntries(names.map((name) => [utf8(name), file]))),
    empty: tree.directory({}),
    none: tree.file(new Uint8Array(0)),
  });
  const folder = mkdtempSync(join(tmpdir(), 'sealtree-fat-'));
  try {
    writeFileSync(join(folder, 'fat'), write(root, tree).bytes);
    const checked = run(['fsck.vfat', '-n', 'fat'], { cwd: folder });
    expect(checked.status, checked.stdout).toBe(0);
    const listed = run(['mdir', '-b', '-i', 'fat', '::EFI'], { cwd: folder, env: { LANG: 'C.UTF-8' } });
    const found = Buffer.from(listed.stdout, 'latin1').toString().trim().split('\n');
    // mtools has no letters for what is outside of the basic plane.
    const expected = names.filter((name) => name !== 'é€𝄞').map((name) => `::/EFI/${name}`);
    expect(found).toHaveLength(names.length);
    expect(found).toEqual(expect.arrayContaining(expected));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
