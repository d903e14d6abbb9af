/**
 * Writes an ext4 file system of which files have fs-verity on, on a host whose kernel and tools need not have either:
 * the Merkle tree and the descriptor of such a file stand in its own blocks behind its end, as the kernel puts them
 * there when it is told to turn verity on.
 * Defined by Linux: Documentation/filesystems/ext4, fs/ext4/verity.c; the journal's superblock: journal.rst there.
 * @module
 */
import { type ByteString, byteString, bytesOf, writeByteString } from '../bytes/byte-string.ts';
import { crc32c } from '../bytes/crc.ts';
import { SealtreeError } from '../errors.ts';
import type { ReadContent, Sink } from '../fs/disk-node.ts';
import { isRegular, isSymlink } from '../fs/mode.ts';
import type { Hash } from '../hash.ts';
import { DESCRIPTOR_SIZE, verityParameters } from '../verity/descriptor.ts';
import { VerityHash } from '../verity/digest.ts';
import { treeOffsets } from '../verity/merkle.ts';
import {
  BLOCK_SIZE,
  BLOCKS_PER_GROUP,
  COMPAT,
  checksumSeed,
  DESCRIPTOR_SIZE_64,
  DIRECTORY_TAIL_SIZE,
  DIRECTORY_TAIL_TYPE,
  EXTENT_MAGIC,
  EXTENTS_IN_BLOCK,
  EXTENTS_IN_INODE,
  EXTRA_INODE_SIZE,
  FILE_TYPE,
  FIRST_INODE,
  groupChecksum,
  hasBackup,
  INCOMPAT,
  INODE,
  INODE_FLAG,
  INODE_SIZE,
  inodeChecksum,
  inodeSeed,
  JOURNAL_INODE,
  RO_COMPAT,
  SUPERBLOCK_MAGIC,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
  xattrBlockChecksum,
} from './format.ts';
import { type Extent, entrySize, type Group, type Layout, type PlacedNode, verityPlace } from './layout.ts';

export interface Ext4Options {
  /** 16 bytes each: what names the file system, and what its directory hashes begin with. */
  readonly uuid: Uint8Array;
  readonly hashSeed: Uint8Array;
  /** At most 16 bytes. */
  readonly label: ByteString;
  /** Seconds since 1970: when it was made. */
  readonly timestamp: number;
}

/** What the kernel does by itself: go on after errors, mount with xattrs and ACLs. */
const ERRORS_CONTINUE = 1;
const MOUNT_XATTR_ACL = 0xc;
const HALF_MD4 = 1;
const SIGNED_HASH = 1;
const MAX_LINKS = 65000;
const INODE_ZEROED = 4;

/** Writes everything; files are read one after the other. */
export function writeExt4(
  layout: Layout,
  options: Ext4Options,
  hash: Hash,
  read: ReadContent,
  sink: Sink,
): void {
  const seed = checksumSeed(options.uuid);
  writeInodeTables(layout, options, seed, sink);
  writeJournal(layout, options, sink);
  const verity = new VerityWriter(hash);
  for (const placed of layout.nodes) {
    const { node } = placed;
    const own = inodeSeed(seed, placed.number, 0);
    if (placed.xattrBlock !== undefined) writeXattrBlock(placed.xattrBlock, seed, sink);
    writeExtentBlocks(placed, own, sink);
    if (placed.directory !== undefined) writeDirectory(placed, own, sink);
    else if (isSymlink(node.mode) && placed.extents.length > 0)
      writeAt(placed.extents, 0, bytesOf(node.target ?? byteString('')), sink);
    else if (isRegular(node.mode)) writeFile(placed, verity, read, sink);
  }
  writeGroups(layout, options, seed, sink);
}

// ---- content

/** The verity data of one file after the other. */
class VerityWriter {
  readonly #hash: VerityHash;
  #block: (level: number, index: number, block: Uint8Array) => void = () => {};

  constructor(hash: Hash) {
    this.#hash = new VerityHash(hash, {}, (level, index, block) => this.#block(level, index, block));
  }

  start(placed: PlacedNode, sink: Sink): void {
    const { size } = placed.node;
    const { start } = verityPlace(size);
    const offsets = treeOffsets(size, verityParameters());
    this.#hash.reset();
    this.#block = (level, index, block) =>
      writeAt(placed.extents, start + (offsets[level] as number) + index * BLOCK_SIZE, block, sink);
  }

  update(piece: Uint8Array): void {
    this.#hash.update(piece);
  }

  /** Writes the descriptor behind the tree; the size of it ends the block. */
  end(placed: PlacedNode, sink: Sink): void {
    const { start, treeSize } = verityPlace(placed.node.size);
    const block = new Uint8Array(BLOCK_SIZE);
    block.set(this.#hash.descriptor());
    new DataView(block.buffer).setUint32(BLOCK_SIZE - 4, DESCRIPTOR_SIZE, true);
    writeAt(placed.extents, start + treeSize, block, sink);
  }
}

function writeFile(placed: PlacedNode, verity: VerityWriter, read: ReadContent, sink: Sink): void {
  const { node } = placed;
  if (node.verity) verity.start(placed, sink);
  let at = 0;
  if (node.size > 0) {
    read(node, (piece) => {
      if (at + piece.length > node.size)
        throw new SealtreeError('internal', `more than the ${node.size} bytes of a file were given`);
      writeAt(placed.extents, at, piece, sink);
      if (node.verity) verity.update(piece);
      at += piece.length;
    });
  }
  if (at !== node.size)
    throw new SealtreeError('internal', `${at} of the ${node.size} bytes of a file were given`);
  if (node.verity) verity.end(placed, sink);
}

/** Writes to a place in a file, which may be cut by extents. */
function writeAt(extents: readonly Extent[], at: number, data: Uint8Array, sink: Sink): void {
  for (let done = 0; done < data.length; ) {
    const block = Math.floor((at + done) / BLOCK_SIZE);
    const extent = findExtent(extents, block);
    const offset = at + done - extent.logical * BLOCK_SIZE;
    const length = Math.min(data.length - done, extent.length * BLOCK_SIZE - offset);
    sink(extent.physical * BLOCK_SIZE + offset, data.subarray(done, done + length));
    done += length;
  }
}

function findExtent(extents: readonly Extent[], block: number): Extent {
  let low = 0;
  for (let high = extents.length; high - low > 1; ) {
    const middle = (low + high) >>> 1;
    if ((extents[middle] as Extent).logical <= block) low = middle;
    else high = middle;
  }
  return extents[low] as Extent;
}

// ---- directories, extents, xattrs

function writeDirectory(placed: PlacedNode, own: number, sink: Sink): void {
  const room = BLOCK_SIZE - DIRECTORY_TAIL_SIZE;
  placed.directory?.forEach((entries, index) => {
    const block = new Uint8Array(BLOCK_SIZE);
    const view = new DataView(block.buffer);
    const named: (readonly [ByteString, PlacedNode])[] = entries.map(({ name, node }) => [name, node]);
    if (index === 0) named.unshift([byteString('.'), placed], [byteString('..'), placed.parent ?? placed]);
    let at = 0;
    named.forEach(([name, { number, node }], i) => {
      const size = i === named.length - 1 ? room - at : entrySize(name);
      view.setUint32(at, number, true);
      view.setUint16(at + 4, size, true);
      view.setUint8(at + 6, name.length);
      view.setUint8(at + 7, FILE_TYPE[node.mode >>> 12] ?? 0);
      writeByteString(block, at + 8, name);
      at += size;
    });
    view.setUint16(room + 4, DIRECTORY_TAIL_SIZE, true);
    view.setUint8(room + 7, DIRECTORY_TAIL_TYPE);
    view.setUint32(room + 8, crc32c(own, block.subarray(0, room)), true);
    writeAt(placed.extents, index * BLOCK_SIZE, block, sink);
  });
}

function writeXattrBlock(
  { block, data }: { block: number; data: Uint8Array },
  seed: number,
  sink: Sink,
): void {
  const out = data.slice();
  new DataView(out.buffer).setUint32(0x10, xattrBlockChecksum(seed, block, out), true);
  sink(block * BLOCK_SIZE, out);
}

function writeExtentBlocks({ extents, extentBlocks }: PlacedNode, own: number, sink: Sink): void {
  extentBlocks.forEach((physical, i) => {
    const block = new Uint8Array(BLOCK_SIZE);
    const view = new DataView(block.buffer);
    writeLeaves(view, 0, extents.slice(i * EXTENTS_IN_BLOCK, (i + 1) * EXTENTS_IN_BLOCK), EXTENTS_IN_BLOCK);
    const tail = 12 + 12 * EXTENTS_IN_BLOCK;
    view.setUint32(tail, crc32c(own, block.subarray(0, tail)), true);
    sink(physical * BLOCK_SIZE, block);
  });
}

function writeExtentHeader(view: DataView, at: number, count: number, max: number, depth: number): void {
  view.setUint16(at, EXTENT_MAGIC, true);
  view.setUint16(at + 2, count, true);
  view.setUint16(at + 4, max, true);
  view.setUint16(at + 6, depth, true);
}

function writeLeaves(view: DataView, at: number, extents: readonly Extent[], max: number): void {
  writeExtentHeader(view, at, extents.length, max, 0);
  extents.forEach(({ logical, physical, length }, i) => {
    const entry = at + 12 + 12 * i;
    view.setUint32(entry, logical, true);
    view.setUint16(entry + 4, length, true);
    view.setUint16(entry + 6, Math.floor(physical / 2 ** 32), true);
    view.setUint32(entry + 8, physical % 2 ** 32, true);
  });
}

/** The root of the extents in an inode. */
function writeExtentRoot(
  view: DataView,
  at: number,
  extents: readonly Extent[],
  blocks: readonly number[],
): void {
  if (blocks.length === 0) {
    writeLeaves(view, at, extents, EXTENTS_IN_INODE);
    return;
  }
  writeExtentHeader(view, at, blocks.length, EXTENTS_IN_INODE, 1);
  blocks.forEach((physical, i) => {
    const entry = at + 12 + 12 * i;
    view.setUint32(entry, (extents[i * EXTENTS_IN_BLOCK] as Extent).logical, true);
    view.setUint32(entry + 4, physical % 2 ** 32, true);
    view.setUint16(entry + 8, Math.floor(physical / 2 ** 32), true);
  });
}

// ---- inodes

function writeInodeTables(layout: Layout, options: Ext4Options, seed: number, sink: Sink): void {
  const { groups, inodesPerGroup } = layout;
  const inodes = [journalInode(layout, options, seed), ...layout.nodes];
  let table = new Uint8Array(0);
  let current = -1;
  const flush = () => {
    if (current >= 0) sink((groups[current] as Group).inodeTable * BLOCK_SIZE, table);
  };
  // The root has the number before the journal's; all others follow in order.
  inodes.sort((a, b) => a.number - b.number);
  for (const inode of inodes) {
    const group = Math.floor((inode.number - 1) / inodesPerGroup);
    if (group !== current) {
      flush();
      current = group;
      table = new Uint8Array(inodesPerGroup * INODE_SIZE);
    }
    const at = ((inode.number - 1) % inodesPerGroup) * INODE_SIZE;
    table.set('data' in inode ? inode.data : encodeInode(inode, options, seed), at);
  }
  flush();
}

function encodeInode(placed: PlacedNode, { timestamp }: Ext4Options, seed: number): Uint8Array {
  const { node, extents, extentBlocks, xattrBlock, inlineXattrs } = placed;
  const out = new Uint8Array(INODE_SIZE);
  const view = new DataView(out.buffer);
  const isFast = isSymlink(node.mode) && extents.length === 0;
  const hasExtents =
    placed.directory !== undefined || isRegular(node.mode) || (isSymlink(node.mode) && !isFast);
  const size =
    placed.directory !== undefined
      ? placed.directory.length * BLOCK_SIZE
      : (node.target?.length ?? node.size);
  const blocks =
    extents.reduce((sum, { length }) => sum + length, 0) +
    extentBlocks.length +
    (xattrBlock === undefined ? 0 : 1);
  view.setUint16(0x00, node.mode, true);
  view.setUint16(0x02, node.uid & 0xffff, true);
  view.setUint16(0x18, node.gid & 0xffff, true);
  view.setUint16(0x78, node.uid >>> 16, true);
  view.setUint16(0x7a, node.gid >>> 16, true);
  view.setUint32(0x04, size % 2 ** 32, true);
  view.setUint32(0x6c, Math.floor(size / 2 ** 32), true);
  view.setUint16(0x1a, placed.links > MAX_LINKS && placed.directory !== undefined ? 1 : placed.links, true);
  view.setUint32(0x1c, (blocks * BLOCK_SIZE) / 512, true);
  view.setUint32(
    0x20,
    (hasExtents ? INODE_FLAG.extents : 0) |
      (node.verity ? INODE_FLAG.verity : 0) |
      (node.immutable ? INODE_FLAG.immutable : 0),
    true,
  );
  if (isFast) writeByteString(out, INODE.block, node.target ?? byteString(''));
  else if (hasExtents) writeExtentRoot(view, INODE.block, extents, extentBlocks);
  else writeDevice(view, node.rdev);
  if (xattrBlock !== undefined) {
    view.setUint32(INODE.xattrBlock, xattrBlock.block % 2 ** 32, true);
    view.setUint16(0x76, Math.floor(xattrBlock.block / 2 ** 32), true);
  }
  view.setUint16(INODE.extraSize, EXTRA_INODE_SIZE, true);
  writeTime(view, 0x08, 0x8c, node.mtime);
  writeTime(view, 0x0c, 0x84, timestamp);
  writeTime(view, 0x10, 0x88, node.mtime);
  writeTime(view, 0x90, 0x94, timestamp);
  if (inlineXattrs !== undefined) out.set(inlineXattrs, 128 + EXTRA_INODE_SIZE);
  return withChecksum(out, view, placed.number, seed);
}

function withChecksum(out: Uint8Array, view: DataView, number: number, seed: number): Uint8Array {
  const checksum = inodeChecksum(seed, number, out);
  view.setUint16(INODE.checksumLow, checksum & 0xffff, true);
  view.setUint16(INODE.checksumHigh, checksum >>> 16, true);
  return out;
}

/** Seconds since 1970 in 34 bits: the two above 32 stand beside the nanoseconds. */
function writeTime(view: DataView, at: number, extra: number, seconds: number): void {
  const low = seconds | 0;
  view.setInt32(at, low, true);
  view.setUint32(extra, ((seconds - low) / 2 ** 32) & 3, true);
}

/** Small numbers as they always were, others as the kernel packs them. */
function writeDevice(view: DataView, rdev: number): void {
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  if (major < 256 && minor < 256) view.setUint32(INODE.block, (major << 8) | minor, true);
  else view.setUint32(INODE.block + 4, rdev, true);
}

// ---- journal

function journalInode(
  { journal, journalBlocks }: Layout,
  { timestamp }: Ext4Options,
  seed: number,
): { number: number; data: Uint8Array } {
  const data = new Uint8Array(INODE_SIZE);
  const view = new DataView(data.buffer);
  if (journal.length > EXTENTS_IN_INODE)
    throw new SealtreeError('internal', 'the journal is in too many pieces');
  view.setUint16(0x00, 0o100600, true);
  view.setUint32(0x04, (journalBlocks * BLOCK_SIZE) % 2 ** 32, true);
  view.setUint16(0x1a, 1, true);
  view.setUint32(0x1c, (journalBlocks * BLOCK_SIZE) / 512, true);
  view.setUint32(0x20, INODE_FLAG.extents, true);
  writeLeaves(view, INODE.block, journal, EXTENTS_IN_INODE);
  view.setUint16(INODE.extraSize, EXTRA_INODE_SIZE, true);
  for (const [at, extra] of [
    [0x08, 0x8c],
    [0x0c, 0x84],
    [0x10, 0x88],
    [0x90, 0x94],
  ] as const)
    writeTime(view, at, extra, timestamp);
  return { number: JOURNAL_INODE, data: withChecksum(data, view, JOURNAL_INODE, seed) };
}

/** An empty journal is its superblock. */
function writeJournal({ journal, journalBlocks }: Layout, { uuid }: Ext4Options, sink: Sink): void {
  const block = new Uint8Array(BLOCK_SIZE);
  const view = new DataView(block.buffer);
  view.setUint32(0x00, 0xc03b3998);
  view.setUint32(0x04, 4); // superblock, version 2
  view.setUint32(0x0c, BLOCK_SIZE);
  view.setUint32(0x10, journalBlocks);
  view.setUint32(0x14, 1); // first block of the log
  view.setUint32(0x18, 1); // first commit expected in it
  block.set(uuid, 0x30);
  view.setUint32(0x40, 1); // used by one file system
  writeAt(journal, 0, block, sink);
}

// ---- groups and superblocks

function writeGroups(layout: Layout, options: Ext4Options, seed: number, sink: Sink): void {
  const { groups, inodesPerGroup, descriptorBlocks } = layout;
  const descriptors = new Uint8Array(descriptorBlocks * BLOCK_SIZE);
  const directories = countDirectories(layout);
  let freeBlocks = 0;
  groups.forEach((group, number) => {
    const usedInodes = Math.min(Math.max(layout.lastInode - number * inodesPerGroup, 0), inodesPerGroup);
    const blockBitmap = bitmap(group.used - group.start, group.blocks, BLOCKS_PER_GROUP);
    const inodeBitmap = bitmap(usedInodes, inodesPerGroup, inodesPerGroup);
    const inodeBitmapBlock = new Uint8Array(BLOCK_SIZE).fill(0xff);
    inodeBitmapBlock.set(inodeBitmap);
    sink(group.blockBitmap * BLOCK_SIZE, blockBitmap);
    sink(group.inodeBitmap * BLOCK_SIZE, inodeBitmapBlock);
    const free = group.start + group.blocks - group.used;
    freeBlocks += free;
    const descriptor = descriptors.subarray(number * DESCRIPTOR_SIZE_64, (number + 1) * DESCRIPTOR_SIZE_64);
    const view = new DataView(descriptor.buffer, descriptor.byteOffset, DESCRIPTOR_SIZE_64);
    const set = (low: number, high: number, value: number) => {
      view.setUint32(low, value % 2 ** 32, true);
      view.setUint32(high, Math.floor(value / 2 ** 32), true);
    };
    set(0x00, 0x20, group.blockBitmap);
    set(0x04, 0x24, group.inodeBitmap);
    set(0x08, 0x28, group.inodeTable);
    view.setUint16(0x0c, free, true);
    view.setUint16(0x0e, inodesPerGroup - usedInodes, true);
    view.setUint16(0x10, directories[number] ?? 0, true);
    view.setUint16(0x12, INODE_ZEROED, true);
    const blockSum = crc32c(seed, blockBitmap);
    const inodeSum = crc32c(seed, inodeBitmap);
    view.setUint16(0x18, blockSum & 0xffff, true);
    view.setUint16(0x1a, inodeSum & 0xffff, true);
    view.setUint16(0x1c, inodesPerGroup - usedInodes, true);
    view.setUint16(0x38, blockSum >>> 16, true);
    view.setUint16(0x3a, inodeSum >>> 16, true);
    view.setUint16(0x1e, groupChecksum(seed, number, descriptor), true);
  });
  groups.forEach(({ start }, number) => {
    if (!hasBackup(number)) return;
    const superblock = encodeSuperblock(layout, options, { group: number, freeBlocks });
    sink(start * BLOCK_SIZE + (number === 0 ? SUPERBLOCK_OFFSET : 0), superblock);
    sink((start + 1) * BLOCK_SIZE, descriptors);
  });
}

function countDirectories({ nodes, inodesPerGroup }: Layout): number[] {
  const counts: number[] = [];
  for (const { number, directory } of nodes) {
    if (directory === undefined) continue;
    const group = Math.floor((number - 1) / inodesPerGroup);
    counts[group] = (counts[group] ?? 0) + 1;
  }
  return counts;
}

/** Bits that are set up to `used` and from `end` on. */
function bitmap(used: number, end: number, bits: number): Uint8Array {
  const out = new Uint8Array(bits / 8);
  const set = (from: number, to: number) => {
    let bit = from;
    for (; bit < to && bit % 8 !== 0; bit++) out[bit >>> 3] = (out[bit >>> 3] as number) | (1 << (bit & 7));
    const whole = Math.floor((to - bit) / 8);
    if (whole > 0) out.fill(0xff, bit >>> 3, (bit >>> 3) + whole);
    for (bit += whole * 8; bit < to; bit++) out[bit >>> 3] = (out[bit >>> 3] as number) | (1 << (bit & 7));
  };
  set(0, used);
  set(end, bits);
  return out;
}

function encodeSuperblock(
  layout: Layout,
  { uuid, hashSeed, label, timestamp }: Ext4Options,
  { group, freeBlocks }: { group: number; freeBlocks: number },
): Uint8Array {
  const { blocks, groups, inodesPerGroup, lastInode } = layout;
  const out = new Uint8Array(SUPERBLOCK_SIZE);
  const view = new DataView(out.buffer);
  const u16 = (at: number, value: number) => view.setUint16(at, value, true);
  const u32 = (at: number, value: number) => view.setUint32(at, value, true);
  const inodes = groups.length * inodesPerGroup;
  u32(0x00, inodes);
  u32(0x04, blocks % 2 ** 32);
  u32(0x150, Math.floor(blocks / 2 ** 32));
  u32(0x0c, freeBlocks % 2 ** 32);
  u32(0x158, Math.floor(freeBlocks / 2 ** 32));
  u32(0x10, inodes - lastInode);
  u32(0x18, 2); // block size: 1024 << 2
  u32(0x1c, 2);
  u32(0x20, BLOCKS_PER_GROUP);
  u32(0x24, BLOCKS_PER_GROUP);
  u32(0x28, inodesPerGroup);
  u32(0x30, timestamp);
  u16(0x36, 0xffff); // no check after so many mounts
  u16(0x38, SUPERBLOCK_MAGIC);
  u16(0x3a, 1); // clean
  u16(0x3c, ERRORS_CONTINUE);
  u32(0x40, timestamp);
  u32(0x4c, 1); // inodes of any size
  u32(0x54, FIRST_INODE);
  u16(0x58, INODE_SIZE);
  u16(0x5a, group);
  u32(0x5c, COMPAT.hasJournal | COMPAT.extAttr | COMPAT.dirIndex);
  u32(0x60, INCOMPAT.filetype | INCOMPAT.extents | INCOMPAT.bit64);
  u32(
    0x64,
    RO_COMPAT.sparseSuper |
      RO_COMPAT.largeFile |
      RO_COMPAT.hugeFile |
      RO_COMPAT.dirNlink |
      RO_COMPAT.extraIsize |
      RO_COMPAT.metadataCsum |
      RO_COMPAT.verity,
  );
  out.set(uuid, 0x68);
  writeByteString(out, 0x78, byteString(label.slice(0, 16)));
  u32(0xe0, JOURNAL_INODE);
  out.set(hashSeed, 0xec);
  out[0xfc] = HALF_MD4;
  out[0xfd] = 1; // a copy of the journal's extents follows
  u16(0xfe, DESCRIPTOR_SIZE_64);
  u32(0x100, MOUNT_XATTR_ACL);
  u32(0x108, timestamp);
  writeLeaves(view, 0x10c, layout.journal, EXTENTS_IN_INODE);
  u32(0x10c + 64, layout.journalBlocks * BLOCK_SIZE);
  u16(0x15c, EXTRA_INODE_SIZE);
  u16(0x15e, EXTRA_INODE_SIZE);
  u32(0x160, SIGNED_HASH);
  out[0x175] = 1; // checksums are CRC-32C
  u32(0x3fc, crc32c(0xffffffff, out.subarray(0, 0x3fc)));
  return out;
}
