/** Disks that are made to mislead: what `image verify` says of them, read from memory. */
import { describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../src/core/bytes/hex.ts';
import { STRICT_CONFIG } from '../../src/core/conf/prepare-root.ts';
import { layOut } from '../../src/core/ext4/layout.ts';
import { Ext4Reader } from '../../src/core/ext4/reader.ts';
import { writeExt4 } from '../../src/core/ext4/writer.ts';
import type { DiskNode } from '../../src/core/fs/disk-node.ts';
import { encodeFileHeader } from '../../src/core/ostree/file-header.ts';
import { diskSystem } from '../../src/disk/disk-system.ts';
import { isDiskValid, verifyDisk } from '../../src/disk/verify-disk.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { nodeSystem } from '../../src/node/system.ts';
import { DiskTree, memoryDisk } from '../memory-disk.ts';

const DISK = byteString('/nowhere/disk.raw');

function readerOf(root: DiskNode, tree: DiskTree): Ext4Reader {
  const layout = layOut(root, { size: undefined, free: 0 });
  const disk = memoryDisk(layout.size);
  const options = {
    uuid: new Uint8Array(16).fill(1),
    hashSeed: new Uint8Array(16).fill(2),
    label: byteString('root'),
    timestamp: 0,
  };
  writeExt4(layout, options, opensslHash, tree.read, disk.sink);
  return new Ext4Reader(disk.source);
}

function checksumOf(content: string): string {
  const header = { uid: 0, gid: 0, mode: 0o100644, rdev: 0, symlinkTarget: byteString(''), xattrs: [] };
  const data = Buffer.concat([encodeFileHeader(header), Buffer.from(content)]);
  return hexOf(opensslHash.digest('sha256', data));
}

/** A physical root with these objects. */
function sysroot(
  tree: DiskTree,
  objects: Readonly<Record<string, DiskNode>>,
  stateroots: Readonly<Record<string, DiskNode>> = {},
): DiskNode {
  const folders: Record<string, Record<string, DiskNode>> = {};
  for (const [checksum, node] of Object.entries(objects)) {
    const folder = checksum.slice(0, 2);
    folders[folder] ??= {};
    folders[folder][`${checksum.slice(2)}.file`] = node;
  }
  const config = tree.file(Buffer.from('[core]\nrepo_version=1\nmode=bare\n'));
  const made = Object.entries(folders).map(([name, files]) => [name, tree.directory(files)] as const);
  const repo = tree.directory({ config, objects: tree.directory(Object.fromEntries(made)) });
  return tree.directory({ ostree: tree.directory({ repo, deploy: tree.directory(stateroots) }) });
}

function verify(reader: Ext4Reader) {
  return verifyDisk(reader, {
    system: nodeSystem,
    name: DISK,
    facts: {
      cmdline: byteString(''),
      root: byteString(''),
      given: { config: { path: undefined, config: STRICT_CONFIG }, keys: [] },
    },
    ownPolicy: false,
    onProgress: () => {},
  });
}

describe('verifyDisk', () => {
  const tree = new DiskTree();
  const content = (text: string, verity = true) => tree.file(Buffer.from(text), { verity });

  it('finds whole objects whole, and nothing to boot', () => {
    const found = verify(readerOf(sysroot(tree, { [checksumOf('one')]: content('one') }), tree));
    expect(found).toEqual({ counts: { files: 1, others: 0 }, damage: [], deployments: [] });
    expect(isDiskValid(found)).toBe(false);
  });

  it.each([
    {
      what: 'another content than its name says',
      node: content('two'),
      fault: /^Corrupted file object; checksum expected=/,
    },
    { what: 'no fs-verity', node: content('one', false), fault: /^fs-verity is not on$/ },
    { what: 'a pipe in its place', node: tree.device(0o010644, 0), fault: /^not a regular file$/ },
    {
      what: 'another owner',
      node: tree.file(Buffer.from('one'), { verity: true, uid: 1 }),
      fault: /^Corrupted file object/,
    },
  ])('names an object with $what', ({ node, fault }) => {
    const checksum = checksumOf('one');
    const { damage } = verify(readerOf(sysroot(tree, { [checksum]: node }), tree));
    expect(damage).toHaveLength(1);
    expect(damage[0]?.object).toBe(`ostree/repo/objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.file`);
    expect(damage[0]?.fault).toMatch(fault);
  });

  it('says no to a deployment that was cut off, by whatever policy, and goes on', () => {
    const name = `${'ab'.repeat(32)}.0`;
    const deploy = tree.directory({ [name]: tree.directory({}) });
    const reader = readerOf(sysroot(tree, {}, { os: tree.directory({ deploy }) }), tree);
    const [own] = verifyDisk(reader, {
      ...{ system: nodeSystem, name: DISK, ownPolicy: true, onProgress: () => {} },
      facts: { cmdline: byteString(''), root: byteString('') },
    }).deployments;
    const path = `ostree/deploy/os/deploy/${name}`;
    expect(own?.target.name).toBe(`/${path}`);
    expect(own?.checks).toEqual([
      { name: 'configuration', status: 'failed', message: `${path}/usr/lib/modules: no initramfs` },
    ]);
    const [given] = verify(reader).deployments;
    expect(given?.checks.some(({ status }) => status === 'failed')).toBe(true);
  });

  it('does not read one file again under every name that it is given', () => {
    const one = content('one');
    const names = [checksumOf('one'), ...Array.from({ length: 200 }, (_, i) => checksumOf(`${i}`))];
    const objects = Object.fromEntries(names.map((name) => [name, one]));
    const { damage } = verify(readerOf(sysroot(tree, objects), tree));
    expect(damage.filter(({ fault }) => fault.startsWith('is the same file as '))).toHaveLength(200);
  });
});

describe('diskSystem', () => {
  const tree = new DiskTree();
  const root = tree.directory({
    folder: tree.directory({ file: tree.file(Buffer.from('content')), up: tree.symlink('../other') }),
    other: tree.symlink('folder/file'),
    absolute: tree.symlink('/folder/file'),
    loop: tree.symlink('loop'),
  });
  const system = diskSystem(readerOf(root, tree), DISK, opensslHash, nodeSystem);
  const at = (path: string) => byteString(`${DISK}/${path}`);

  it('follows symlinks that stay on the disk', () => {
    for (const path of ['folder/file', 'other', 'folder/up', 'folder/../other'])
      expect(Buffer.from(system.readFile(at(path), 100) ?? []).toString(), path).toBe('content');
    expect(system.readFile(at('absolute'), 100)).toBeUndefined();
    expect(() => system.readFile(at('loop'), 100)).toThrow('Too many levels of symbolic links');
  });

  it('says what stands where', () => {
    const kinds = ['folder', 'other', 'folder/file', 'nothing', 'folder/file/x'].map((path) =>
      system.kindOf(at(path)),
    );
    expect(kinds).toEqual(['directory', 'symlink', 'file', undefined, undefined]);
    expect(system.readLink(at('other'))).toBe('folder/file');
    expect(system.readDirectory(at('folder'))).toEqual(['file', 'up']);
    expect(system.readDirectory(at('other'))).toBeUndefined();
    expect(system.fileSystemOf(at('folder'))).toBe(0xef53);
    expect(system.examineVerity(at('folder/file'))).toMatchObject({ enforced: false, digest: 'off' });
  });

  it('keeps to the limit, and leaves other paths to the machine', () => {
    expect(() => system.readFile(at('folder/file'), 3)).toThrow('7 bytes, at most 3 are allowed');
    expect(system.kindOf(byteString('/proc/self'))).toBe('symlink');
  });
});
