/** What e2fsprogs says of file systems with everything in them that ours can have. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { layOut } from '../../src/core/ext4/layout.ts';
import { writeExt4 } from '../../src/core/ext4/writer.ts';
import type { DiskNode } from '../../src/core/fs/disk-node.ts';
import { writeSparseFile } from '../../src/disk/sparse-file.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { DISK_TOOLS } from '../disk-tools.ts';
import { DiskTree } from '../memory-disk.ts';
import { requires } from '../requires.ts';
import { run } from '../run.ts';

const MEBIBYTE = 1024 * 1024;
const { describe } = requires({ programs: DISK_TOOLS });

describe('an ext4 file system of ours', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sealtree-ext4-'));
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  function check(root: DiskNode, tree: DiskTree): void {
    const layout = layOut(root, { size: undefined, free: 0 });
    const options = {
      uuid: new Uint8Array(16).fill(1),
      hashSeed: new Uint8Array(16).fill(2),
      label: byteString('root'),
      timestamp: 1700000000,
    };
    writeSparseFile(byteString(join(folder, 'ext4')), layout.size, (sink) =>
      writeExt4(layout, options, opensslHash, tree.read, sink),
    );
    const checked = run(['e2fsck', '-f', '-n', 'ext4'], { cwd: folder });
    expect({ status: checked.status, output: checked.stdout }).toMatchObject({ status: 0 });
  }

  function debugfs(request: string): string {
    return run(['debugfs', '-R', request, 'ext4'], { cwd: folder }).stdout;
  }

  it('has attributes in inodes and in blocks', () => {
    const tree = new DiskTree();
    const some = [
      [byteString('security.capability'), byteString('\x01\x00\x00\x02')],
      [byteString('user.empty'), byteString('')],
    ] as const;
    const many = Array.from(
      { length: 40 },
      (_, i) => [byteString(`user.attribute${i}`), byteString(`${i}`)] as const,
    );
    const file = tree.file(Uint8Array.of(1));
    check(
      tree.directory({
        inode: { ...file, size: 0, xattrs: some },
        block: { ...file, size: 0, xattrs: many },
        folder: tree.directory({}, { xattrs: [[byteString('user.\xfc'), byteString('x'.repeat(200))]] }),
        link: tree.symlink('target', { xattrs: some }),
        device: tree.device(0o060600, 0x1111_0370),
      }),
      tree,
    );
    expect(debugfs('ea_get /block user.attribute39')).toContain('user.attribute39 (2) = "39"\n');
    expect(debugfs('stat /device')).toContain('Device major/minor number: 259:70000');
  });

  it('has files that are cut by groups, and directories of many blocks', () => {
    const tree = new DiskTree();
    const names = Array.from({ length: 3000 }, (_, i) => [
      `${i}`.repeat(12),
      tree.file(Uint8Array.of(i & 255)),
    ]);
    // More groups than an inode has room for extents.
    const size = 5 * 128 * MEBIBYTE;
    const zeros = new Uint8Array(MEBIBYTE);
    const large: DiskNode = { ...tree.file(zeros), size, verity: true };
    const read = tree.read;
    const many = tree.directory(Object.fromEntries(names));
    const giving = Object.assign(new DiskTree(), {
      read: (node: DiskNode, take: (piece: Uint8Array) => void) => {
        if (node !== large) read(node, take);
        else for (let at = 0; at < size; at += zeros.length) take(zeros);
      },
    });
    check(tree.directory({ large, many }), giving);
    expect(debugfs('stat /large')).toMatch(/Flags: 0x180000\b/);
    expect(debugfs('dump_extents /large')).toMatch(/^ *0\/ *1 /m);
    expect(debugfs('ls -l /many').trim().split('\n').length).toBeGreaterThanOrEqual(3002);
  }, 120_000);
});
