/**
 * Writes an ext4 file system of which files have fs-verity on, on a host whose kernel and tools need not have either:
 * the Merkle tree and the descriptor of such a file stand in its own blocks behind its end, as the kernel puts them
 * there when it is told to turn verity on.
 * Defined by Linux: Documentation/filesystems/ext4, fs/ext4/verity.c.
 * @module
 */
import { type ByteString, byteString, bytesOf } from '../bytes/byte-string.ts';
import type { ReadContent, Sink } from '../fs/disk-node.ts';
import { isRegular, isSymlink } from '../fs/mode.ts';
import type { Hash } from '../hash.ts';
import { type DirectoryRecord, encodeDirectoryBlock } from './directory.ts';
import { encodeExtentBlock, encodeExtentRoot } from './extents.ts';
import { FileWriter, writeAt } from './file-content.ts';
import {
  BLOCK_SIZE,
  BLOCKS_PER_GROUP,
  COMPAT,
  checksumSeed,
  DESCRIPTOR_SIZE_64,
  EXTENTS_IN_BLOCK,
  EXTRA_INODE_SIZE,
  hasBackup,
  INCOMPAT,
  INODE_FLAG,
  INODE_SIZE,
  inodeSeed,
  JOURNAL_INODE,
  RO_COMPAT,
  SUPERBLOCK_OFFSET,
  xattrBlockChecksum,
} from './format.ts';
import { encodeBitmap, encodeGroupDescriptor } from './group.ts';
import { deviceBody, encodeInode, inodeTime, symlinkBody } from './inode.ts';
import { encodeJournalInode, encodeJournalSuperblock } from './journal.ts';
import type { Group, Layout, PlacedNode } from './layout.ts';
import { encodeSuperblock } from './superblock.ts';

export interface Ext4Options {
  /** 16 bytes each: what names the file system, and what its directory hashes begin with. */
  readonly uuid: Uint8Array;
  readonly hashSeed: Uint8Array;
  /** At most 16 bytes. */
  readonly label: ByteString;
  /** Seconds since 1970: when it was made. */
  readonly timestamp: number;
}

/** What the kernel does by itself: mount with xattrs and ACLs. */
const MOUNT_XATTR_ACL = 0xc;
const NO_MAX_MOUNTS = 0xffff;
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
  writeAt(layout.journal, 0, encodeJournalSuperblock(layout.journalBlocks, options.uuid), sink);
  const files = new FileWriter(hash, read, sink);
  for (const placed of layout.nodes) {
    const { node } = placed;
    const own = inodeSeed(seed, placed.number, 0);
    if (placed.xattrBlock !== undefined) writeXattrBlock(placed.xattrBlock, seed, sink);
    placed.extentBlocks.forEach((block, i) => {
      const extents = placed.extents.slice(i * EXTENTS_IN_BLOCK, (i + 1) * EXTENTS_IN_BLOCK);
      sink(block * BLOCK_SIZE, encodeExtentBlock(extents, own));
    });
    if (placed.directory !== undefined) writeDirectory(placed, own, sink);
    else if (isSymlink(node.mode) && placed.extents.length > 0)
      writeAt(placed.extents, 0, bytesOf(node.target ?? byteString('')), sink);
    else if (isRegular(node.mode)) files.write(placed);
  }
  writeGroups(layout, options, seed, sink);
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

function writeDirectory(placed: PlacedNode, own: number, sink: Sink): void {
  placed.directory?.forEach((entries, index) => {
    const records = entries.map(({ name, node }) => recordOf(name, node));
    if (index === 0)
      records.unshift(recordOf(byteString('.'), placed), recordOf(byteString('..'), placed.parent ?? placed));
    writeAt(placed.extents, index * BLOCK_SIZE, encodeDirectoryBlock(records, own), sink);
  });
}

function recordOf(name: ByteString, { number, node }: PlacedNode): DirectoryRecord {
  return { name, inode: number, mode: node.mode };
}

// ---- inodes

function writeInodeTables(layout: Layout, options: Ext4Options, seed: number, sink: Sink): void {
  const { groups, inodesPerGroup, nodes, journal, journalBlocks } = layout;
  let table = new Uint8Array(0);
  let current = -1;
  const flush = () => {
    if (current >= 0) sink((groups[current] as Group).inodeTable * BLOCK_SIZE, table);
  };
  // The root has the number before the journal's; all others follow in order.
  const inodes: { readonly number: number; readonly placed: PlacedNode | undefined }[] = [
    { number: JOURNAL_INODE, placed: undefined },
    ...nodes.map((placed) => ({ number: placed.number, placed })),
  ];
  inodes.sort((a, b) => a.number - b.number);
  for (const { number, placed } of inodes) {
    const group = Math.floor((number - 1) / inodesPerGroup);
    if (group !== current) {
      flush();
      current = group;
      table = new Uint8Array(inodesPerGroup * INODE_SIZE);
    }
    const data =
      placed === undefined
        ? encodeJournalInode(journal, journalBlocks, options.timestamp, seed)
        : encodeNode(placed, options, seed);
    table.set(data, ((number - 1) % inodesPerGroup) * INODE_SIZE);
  }
  flush();
}

function encodeNode(placed: PlacedNode, { timestamp }: Ext4Options, seed: number): Uint8Array {
  const { node, number, extents, extentBlocks, xattrBlock } = placed;
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
  const modified = inodeTime(node.mtime);
  const made = inodeTime(timestamp);
  return encodeInode(
    {
      mode: node.mode,
      uid: node.uid,
      gid: node.gid,
      size,
      links: placed.links > MAX_LINKS && placed.directory !== undefined ? 1 : placed.links,
      blocks: (blocks * BLOCK_SIZE) / 512,
      flags:
        (hasExtents ? INODE_FLAG.extents : 0) |
        (node.verity ? INODE_FLAG.verity : 0) |
        (node.immutable ? INODE_FLAG.immutable : 0),
      body: hasExtents
        ? encodeExtentRoot(extents, extentBlocks)
        : isFast
          ? symlinkBody(node.target ?? byteString(''))
          : deviceBody(node.rdev),
      xattrBlock: xattrBlock?.block ?? 0,
      accessed: modified,
      changed: made,
      modified,
      created: made,
      extraSize: EXTRA_INODE_SIZE,
      xattrs: placed.inlineXattrs,
    },
    { seed, number },
  );
}

// ---- groups

function writeGroups(layout: Layout, options: Ext4Options, seed: number, sink: Sink): void {
  const { groups, inodesPerGroup, descriptorBlocks } = layout;
  const descriptors = new Uint8Array(descriptorBlocks * BLOCK_SIZE);
  const directories = countDirectories(layout);
  let freeBlocks = 0;
  groups.forEach((group, number) => {
    const usedInodes = Math.min(Math.max(layout.lastInode - number * inodesPerGroup, 0), inodesPerGroup);
    const blocks = encodeBitmap(group.used - group.start, group.blocks, BLOCKS_PER_GROUP);
    const inodes = encodeBitmap(usedInodes, inodesPerGroup, inodesPerGroup);
    const inodeBitmapBlock = new Uint8Array(BLOCK_SIZE).fill(0xff);
    inodeBitmapBlock.set(inodes);
    sink(group.blockBitmap * BLOCK_SIZE, blocks);
    sink(group.inodeBitmap * BLOCK_SIZE, inodeBitmapBlock);
    const free = group.start + group.blocks - group.used;
    freeBlocks += free;
    const descriptor = encodeGroupDescriptor(
      {
        number,
        blockBitmap: group.blockBitmap,
        inodeBitmap: group.inodeBitmap,
        inodeTable: group.inodeTable,
        freeBlocks: free,
        freeInodes: inodesPerGroup - usedInodes,
        directories: directories[number] ?? 0,
        unusedInodes: inodesPerGroup - usedInodes,
        flags: INODE_ZEROED,
      },
      DESCRIPTOR_SIZE_64,
      { seed, blocks, inodes },
    );
    descriptors.set(descriptor, number * DESCRIPTOR_SIZE_64);
  });
  groups.forEach(({ start }, group) => {
    if (!hasBackup(group)) return;
    sink(
      start * BLOCK_SIZE + (group === 0 ? SUPERBLOCK_OFFSET : 0),
      superblock(layout, options, group, freeBlocks),
    );
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

function superblock(layout: Layout, options: Ext4Options, group: number, freeBlocks: number): Uint8Array {
  const { blocks, groups, inodesPerGroup, lastInode, journal, journalBlocks } = layout;
  const inodes = groups.length * inodesPerGroup;
  return encodeSuperblock({
    ...options,
    blocks,
    freeBlocks,
    inodes,
    freeInodes: inodes - lastInode,
    inodesPerGroup,
    group,
    compat: COMPAT.hasJournal | COMPAT.extAttr | COMPAT.dirIndex,
    incompat: INCOMPAT.filetype | INCOMPAT.extents | INCOMPAT.bit64,
    roCompat:
      RO_COMPAT.sparseSuper |
      RO_COMPAT.largeFile |
      RO_COMPAT.hugeFile |
      RO_COMPAT.dirNlink |
      RO_COMPAT.extraIsize |
      RO_COMPAT.metadataCsum |
      RO_COMPAT.verity,
    extraInodeSize: EXTRA_INODE_SIZE,
    maxMounts: NO_MAX_MOUNTS,
    mountOptions: MOUNT_XATTR_ACL,
    logGroupsPerFlex: 0,
    lostAndFound: 0,
    journal: { extents: journal, blocks: journalBlocks },
  });
}
