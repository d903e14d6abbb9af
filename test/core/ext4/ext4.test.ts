/**
 * ext4 as our writer writes it, read by our reader. That both mean what e2fsprogs and the kernel mean:
 * test/live/image.test.ts.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../../src/core/bytes/hex.ts';
import { SealtreeError } from '../../../src/core/errors.ts';
import { layOut, verityPlace } from '../../../src/core/ext4/layout.ts';
import { type Ext4Inode, Ext4Reader } from '../../../src/core/ext4/reader.ts';
import { examineVerity } from '../../../src/core/ext4/verity.ts';
import { writeExt4 } from '../../../src/core/ext4/writer.ts';
import type { DiskNode } from '../../../src/core/fs/disk-node.ts';
import type { Xattr } from '../../../src/core/fs/file-tree.ts';
import { isDirectory, isRegular, isSymlink } from '../../../src/core/fs/mode.ts';
import { verityDigest } from '../../../src/core/verity/digest.ts';
import { opensslHash } from '../../../src/node/hash.ts';
import { DiskTree, type MemoryDisk, memoryDisk } from '../../memory-disk.ts';

const OPTIONS = {
  uuid: new Uint8Array(16).fill(0x42),
  hashSeed: new Uint8Array(16).fill(7),
  label: byteString('root'),
  timestamp: 1700000000,
};
const FREE = 1024 * 1024;

function write(root: DiskNode, tree: DiskTree): MemoryDisk {
  const layout = layOut(root, { size: undefined, free: FREE });
  const disk = memoryDisk(layout.size);
  writeExt4(layout, OPTIONS, opensslHash, tree.read, disk.sink);
  return disk;
}

function bytes(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => ((i * 2654435761 + seed) >>> 11) & 255);
}

function find(reader: Ext4Reader, path: string): Ext4Inode {
  const inode = reader.lookUp(byteString(path));
  if (inode === undefined) throw new Error(`${path} is not there`);
  return inode;
}

describe('an ext4 file system', () => {
  const tree = new DiskTree();
  const linked = tree.file(bytes(10), { uid: 70000, gid: 80000, mode: 0o104755 });
  const xattrs: Xattr[] = [
    [byteString('security.capability'), byteString('\x01\x00\x00\x02')],
    [byteString('user.name'), byteString('value')],
  ];
  const large: Xattr[] = [
    [byteString('trusted.large'), byteString('v'.repeat(3000))],
    ...xattrs,
  ].sort() as Xattr[];
  const acl = byteString(
    '\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x05\0\xe8\x03\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x05\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff',
  );
  const many = Object.fromEntries(
    Array.from({ length: 700 }, (_, i) => [`${'n'.repeat(i % 90)}${i}`, tree.file(bytes(i))]),
  );
  const root = tree.directory({
    'one name': linked,
    directory: tree.directory(
      { link: linked, many: tree.directory(many) },
      { mode: 0o041777, immutable: true },
    ),
    short: tree.symlink('target'),
    long: tree.symlink('t'.repeat(3000)),
    edge: tree.symlink('e'.repeat(59)),
    over: tree.symlink('o'.repeat(60)),
    null: tree.device(0o020666, 0x103),
    big: tree.device(0o060600, 0x1170_0370),
    fifo: tree.device(0o010644, 0),
    xattrs: tree.file(bytes(5000), { xattrs }),
    large: tree.file(bytes(1), { xattrs: large }),
    acl: tree.file(bytes(1), { xattrs: [[byteString('system.posix_acl_access'), acl]] }),
    '\xff\xfe': tree.file(new Uint8Array(0)),
  });
  const reader = new Ext4Reader(write(root, tree).source);

  it('has every entry with its metadata and content', () => {
    const pending: [DiskNode, Ext4Inode, string][] = [[root, reader.root, '/']];
    let seen = 0;
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const [node, inode, path] = next;
      seen++;
      expect({ path, mode: inode.mode, uid: inode.uid, gid: inode.gid }).toEqual({
        path,
        mode: node.mode,
        uid: node.uid,
        gid: node.gid,
      });
      expect(reader.readXattrs(inode), path).toEqual([...node.xattrs].sort());
      if (isSymlink(node.mode)) expect(reader.readLink(inode), path).toBe(node.target);
      if (isRegular(node.mode)) {
        const pieces: Uint8Array[] = [];
        if (node.size > 0) tree.read(node, (piece) => void pieces.push(piece));
        expect(inode.size, path).toBe(node.size);
        expect(hexOf(reader.read(inode, 0, inode.size)), path).toBe(hexOf(Buffer.concat(pieces)));
      }
      if (!isDirectory(node.mode)) continue;
      const entries = reader.readDirectory(inode);
      entries.delete(byteString('lost+found'));
      expect([...entries.keys()].sort(), path).toEqual([...(node.entries?.keys() ?? [])].sort());
      for (const [name, number] of entries)
        pending.push([node.entries?.get(name) as DiskNode, reader.inode(number), `${path}${name}/`]);
    }
    expect(seen).toBe(716);
  });

  it('has one inode for all names of a file', () => {
    const [a, b] = [find(reader, 'one name'), find(reader, 'directory/link')];
    expect({ number: b.number, links: b.links }).toEqual({ number: a.number, links: 2 });
  });

  it('is the same whatever the order of the names', () => {
    const turned = { ...root, entries: new Map([...(root.entries ?? [])].reverse()) };
    expect(Buffer.compare(write(turned, tree).bytes, write(root, tree).bytes)).toBe(0);
  });

  it('does not fit where there is no room', () => {
    const content = tree.directory({ a: tree.file(bytes(200 * 4096)) });
    expect(() => layOut(content, { size: 4 * 1024 * 1024, free: 0 })).toThrow(
      /has room for .* the tree needs/,
    );
  });
});

describe('a file with fs-verity', () => {
  // Sizes around what changes: one block, one level of the tree, two levels, the 64 KiB behind which the tree lies.
  const sizes = [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 128 * 4096, 128 * 4096 + 1];
  const tree = new DiskTree();
  const files = Object.fromEntries(
    sizes.map((size) => [`${size}`, tree.file(bytes(size, size), { verity: true })]),
  );
  const disk = write(tree.directory(files), tree);

  it.each(sizes)('of %d bytes is what the kernel would measure', (size) => {
    const reader = new Ext4Reader(disk.source);
    const inode = find(reader, `${size}`);
    const { digest, faults } = examineVerity(reader, inode, opensslHash);
    expect({ faults, verity: inode.verity, digest: hexOf(digest?.digest ?? new Uint8Array(0)) }).toEqual({
      faults: [],
      verity: true,
      digest: hexOf(verityDigest(opensslHash, bytes(size, size))),
    });
  });

  it.each([
    { what: 'content', size: 65537, at: 65536, fault: 'content: block 16: hash is not' },
    {
      what: 'content behind the end of the file',
      size: 65537,
      at: 65600,
      fault: 'content: block 16: hash is not',
    },
    { what: 'tree', size: 65537, at: 131072, fault: 'Merkle tree, level 0: block 0: hash is not' },
    {
      what: 'tree of two levels',
      size: 524289,
      at: 589824,
      fault: 'Merkle tree, level 1: block 0: hash is not',
    },
    {
      what: 'lower level',
      size: 524289,
      at: 589824 + 8192,
      fault: 'Merkle tree, level 0: block 1: hash is not',
    },
    {
      what: 'root hash',
      size: 4097,
      at: 65536 + 4096 + 20,
      fault: 'Merkle tree, level 0: block 0: hash is not',
    },
    { what: 'version', size: 4097, at: 65536 + 4096, fault: 'descriptor has version' },
    { what: 'size', size: 4097, at: 65536 + 4096 + 8, fault: 'descriptor is of' },
    {
      what: 'reserved bytes',
      size: 4097,
      at: 65536 + 4096 + 200,
      fault: 'descriptor has something in its reserved',
    },
    { what: 'padding', size: 4097, at: 65536 + 4096 + 1000, fault: 'something stands behind the descriptor' },
    { what: 'length', size: 4097, at: 65536 + 8191, fault: 'descriptor of' },
  ])('names a changed byte in its $what', ({ size, at, fault }) => {
    const copy = memoryDisk(disk.bytes.length);
    copy.bytes.set(disk.bytes);
    const reader = new Ext4Reader(copy.source);
    const inode = find(reader, `${size}`);
    const extent = reader.extents(inode).find(({ logical, length }) => at < (logical + length) * 4096);
    if (extent === undefined) throw new Error('no such byte');
    const place = (extent.physical - extent.logical) * 4096 + at;
    copy.bytes[place] = (copy.bytes[place] as number) ^ 0x10;
    const { faults } = examineVerity(new Ext4Reader(copy.source), inode, opensslHash);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(fault);
  });

  it('has its tree where ext4 puts it', () => {
    // fs/ext4/verity.c: from the next 64 KiB on; two levels of 1 and 2 blocks for 129 blocks of data.
    expect(verityPlace(128 * 4096 + 1)).toEqual({ start: 589824, treeSize: 3 * 4096, blocks: 4 });
    expect(verityPlace(4096)).toEqual({ start: 65536, treeSize: 0, blocks: 1 });
    expect(verityPlace(0)).toEqual({ start: 0, treeSize: 0, blocks: 1 });
  });
});

describe('the reader', () => {
  const tree = new DiskTree();
  const root = tree.directory({
    directory: tree.directory({
      file: tree.file(bytes(100000), { verity: true }),
      link: tree.symlink('x'.repeat(70)),
    }),
    xattrs: tree.file(bytes(1), { xattrs: [[byteString('user.a'), byteString('b'.repeat(500))]] }),
  });
  const disk = write(root, tree);
  // Bits of bitmaps and of what is free are not read.
  const written: number[] = [];
  disk.bytes.forEach((byte, at) => {
    if (byte !== 0 && byte !== 0xff) written.push(at);
  });

  /** Everything that can be read, however it is damaged. */
  function readAll(source: MemoryDisk['source']): void {
    const reader = new Ext4Reader(source);
    const pending = [2];
    const seen = new Set<number>();
    for (let number = pending.pop(); number !== undefined; number = pending.pop()) {
      if (seen.has(number)) continue;
      seen.add(number);
      const inode = reader.inode(number);
      reader.readXattrs(inode);
      if (isDirectory(inode.mode)) pending.push(...reader.readDirectory(inode).values());
      else if (isSymlink(inode.mode)) reader.readLink(inode);
      else if (inode.verity) examineVerity(reader, inode, opensslHash);
    }
  }

  it('refuses or reads whatever is changed, and never reads outside', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(written.length - 1), fc.integer({ min: 1, max: 255 })), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.boolean(),
        (changes, unchecked) => {
          const places = [...changes.map(([i]) => written[i] as number), 1024 + 0x65];
          const before = places.map((at) => disk.bytes[at] as number);
          changes.forEach(([, mask], i) => {
            disk.bytes[places[i] as number] = (before[i] as number) ^ mask;
          });
          // Without checksums, so that what lies behind them is reached.
          if (unchecked) disk.bytes[1024 + 0x65] = (disk.bytes[1024 + 0x65] as number) & ~0x04;
          try {
            readAll(disk.source);
          } catch (error) {
            if (!(error instanceof SealtreeError)) throw error;
          } finally {
            places.forEach((at, i) => {
              disk.bytes[at] = before[i] as number;
            });
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it.each([
    { what: 'superblock', at: 1024 + 0x20, message: 'ext4 superblock: wrong checksum' },
    { what: 'group descriptor', at: 4096 + 8, message: 'group 0: descriptor has a wrong checksum' },
  ])('notices a changed $what', ({ at, message }) => {
    const copy = memoryDisk(disk.bytes.length);
    copy.bytes.set(disk.bytes);
    copy.bytes[at] = (copy.bytes[at] as number) ^ 1;
    expect(() => readAll(copy.source)).toThrow(message);
  });

  it('asks for the journal to be replayed', () => {
    const copy = memoryDisk(disk.bytes.length);
    copy.bytes.set(disk.bytes);
    copy.bytes[1024 + 0x65] = (copy.bytes[1024 + 0x65] as number) & ~0x04;
    copy.bytes[1024 + 0x60] = (copy.bytes[1024 + 0x60] as number) | 0x04;
    expect(() => new Ext4Reader(copy.source)).toThrow(/journal must be replayed first/);
  });
});
