/**
 * The end of a compact ext4 file system: directories, inodes, bitmaps, and then the blocks at its begin, which need to know
 * all of that. The layout is that of hcsshim's compactext4.
 * @module
 */
import { type ByteString, byteString } from '../../bytes/byte-string.ts';
import { malformed } from '../../errors.ts';
import { isDirectory } from '../../fs/mode.ts';
import { type DirectoryRecord, encodeDirectoryBlock, recordSize } from '../directory.ts';
import {
  BLOCK_SIZE,
  BLOCKS_PER_GROUP,
  COMPAT,
  DESCRIPTOR_SIZE,
  FIRST_INODE,
  INCOMPAT,
  INODE_SIZE,
  RO_COMPAT,
  ROOT_INODE,
  SUPERBLOCK_OFFSET,
} from '../format.ts';
import { encodeBitmap, encodeGroupDescriptor } from '../group.ts';
import { encodeSuperblock } from '../superblock.ts';
import type { CompactWriter } from './writer.ts';
import { COMPACT_EXTRA_SIZE } from './xattrs.ts';

/** Inodes in a block: groups have whole blocks of them. */
const IN_BLOCK = BLOCK_SIZE / INODE_SIZE;
const MAX_INODES_PER_GROUP = 8 * BLOCK_SIZE;
/** A record that is in no use ends each block of a directory. */
const LAST_RECORD: DirectoryRecord = { name: byteString(''), inode: 0, mode: 0 };
const MIN_LEFT = 12;
/** All groups together. */
const LOG_GROUPS_PER_FLEX = 31;

const NO_UUID = new Uint8Array(16);

interface Geometry {
  readonly groups: number;
  readonly inodesPerGroup: number;
}

/** Writes all that is left. @returns blocks of the file system */
export function finishCompact(writer: CompactWriter): number {
  writer.finishFile();
  writeDirectories(writer);
  const inodeTable = writer.position / BLOCK_SIZE;
  const geometry = bestGeometry(inodeTable, writer.inodes.last);
  for (const piece of writer.inodes.pieces()) writer.write(piece);
  const { groups, inodesPerGroup } = geometry;
  writer.zeros((groups * inodesPerGroup - writer.inodes.last) * INODE_SIZE);
  return writeGroups(writer, geometry, inodeTable);
}

/** A directory, then those in it in the order of their inodes, each with what is in it. */
function writeDirectories(writer: CompactWriter): void {
  const pending = [{ directory: ROOT_INODE, parent: ROOT_INODE }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { directory, parent } = next;
    const children = [...writer.childrenOf(directory)].sort(
      ([a, i], [b, j]) => i - j || (a < b ? -1 : a > b ? 1 : 0),
    );
    writeDirectory(writer, directory, parent, children);
    for (const [, inode] of children.reverse()) {
      if (isDirectory(writer.inodes.mode(inode))) pending.push({ directory: inode, parent: directory });
    }
  }
}

function writeDirectory(
  writer: CompactWriter,
  directory: number,
  parent: number,
  children: readonly (readonly [ByteString, number])[],
): void {
  const start = writer.position;
  let records: DirectoryRecord[] = [];
  let left = BLOCK_SIZE;
  const endBlock = () => {
    records.push(LAST_RECORD);
    writer.write(encodeDirectoryBlock(records, undefined));
    records = [];
    left = BLOCK_SIZE;
  };
  const add = (name: ByteString, inode: number) => {
    const size = recordSize(name);
    if (left < size + MIN_LEFT) endBlock();
    records.push({ name, inode, mode: writer.inodes.mode(inode) });
    left -= size;
  };
  add(byteString('.'), directory);
  add(byteString('..'), parent);
  for (const [name, inode] of children) add(name, inode);
  endBlock();
  writer.setExtents(directory, start, writer.position - start);
}

/**
 * The fewest groups that have room for all, and of those the one with the fewest inodes in a group.
 *
 * @param blocks before the inodes
 * @param inodes the highest number
 */
function bestGeometry(blocks: number, inodes: number): Geometry {
  let best: Geometry = { groups: Number.POSITIVE_INFINITY, inodesPerGroup: 0 };
  for (let perGroup = IN_BLOCK; perGroup <= MAX_INODES_PER_GROUP; perGroup += IN_BLOCK) {
    // A group has its part of the inodes, and two bitmaps.
    const data = BLOCKS_PER_GROUP - perGroup / IN_BLOCK - 2;
    const needed = Math.max(blocks, Math.floor((inodes - 1) / perGroup) * data + 1);
    const groups = Math.ceil(needed / data);
    if (groups < best.groups) best = { groups, inodesPerGroup: perGroup };
  }
  return best;
}

function writeGroups(writer: CompactWriter, geometry: Geometry, inodeTable: number): number {
  const { groups, inodesPerGroup } = geometry;
  const { inodes, descriptorBlocks } = writer;
  const bitmaps = writer.position / BLOCK_SIZE;
  const used = bitmaps + 2 * groups;
  const blocks = Math.max(used, (groups - 1) * BLOCKS_PER_GROUP + 1);
  const usedDescriptors = Math.ceil((groups * DESCRIPTOR_SIZE) / BLOCK_SIZE);
  if (usedDescriptors > descriptorBlocks)
    throw malformed(`the file system needs ${groups} groups of blocks, more than its size allows`);
  const descriptors = new Uint8Array(descriptorBlocks * BLOCK_SIZE);
  const directories = countDirectories(writer, geometry);
  let freeBlocks = 0;
  let freeInodes = 0;
  for (let group = 0; group < groups; group++) {
    const start = group * BLOCKS_PER_GROUP;
    const inGroup = Math.min(Math.max(used - start, 0), BLOCKS_PER_GROUP);
    const end = Math.min(blocks - start, BLOCKS_PER_GROUP);
    const bitmap = encodeBitmap(inGroup, end, BLOCKS_PER_GROUP);
    let free = end - inGroup;
    if (group === 0) {
      // Room for descriptors that is not needed is free.
      for (let block = 1 + usedDescriptors; block < 1 + descriptorBlocks; block++, free++)
        bitmap[block >>> 3] = (bitmap[block >>> 3] as number) & ~(1 << (block & 7));
    }
    const usedInodes = Math.min(Math.max(inodes.last - group * inodesPerGroup, 0), inodesPerGroup);
    writer.write(bitmap);
    writer.write(encodeBitmap(usedInodes, 8 * BLOCK_SIZE, 8 * BLOCK_SIZE));
    const descriptor = encodeGroupDescriptor(
      {
        number: group,
        blockBitmap: bitmaps + 2 * group,
        inodeBitmap: bitmaps + 2 * group + 1,
        inodeTable: inodeTable + (group * inodesPerGroup) / IN_BLOCK,
        freeBlocks: free,
        freeInodes: inodesPerGroup - usedInodes,
        directories: directories[group] ?? 0,
        unusedInodes: 0,
        flags: 0,
      },
      DESCRIPTOR_SIZE,
      undefined,
    );
    descriptors.set(descriptor, group * DESCRIPTOR_SIZE);
    freeBlocks += free;
    freeInodes += inodesPerGroup - usedInodes;
  }
  writer.zeros((blocks - used) * BLOCK_SIZE);
  writer.rewrite(BLOCK_SIZE, descriptors);
  writer.rewrite(0, firstBlock({ blocks, freeBlocks, freeInodes, ...geometry }));
  return blocks;
}

function countDirectories({ inodes }: CompactWriter, { inodesPerGroup }: Geometry): number[] {
  const counts: number[] = [];
  for (let inode = ROOT_INODE; inode <= inodes.last; inode++) {
    if (!isDirectory(inodes.mode(inode))) continue;
    const group = Math.floor((inode - 1) / inodesPerGroup);
    counts[group] = (counts[group] ?? 0) + 1;
  }
  return counts;
}

/** Only the first group has a superblock. It says nothing of who wrote it or when. */
function firstBlock({
  blocks,
  freeBlocks,
  freeInodes,
  groups,
  inodesPerGroup,
}: Geometry & { blocks: number; freeBlocks: number; freeInodes: number }): Uint8Array {
  const out = new Uint8Array(BLOCK_SIZE);
  const superblock = encodeSuperblock({
    blocks,
    freeBlocks,
    inodes: groups * inodesPerGroup,
    freeInodes,
    inodesPerGroup,
    group: 0,
    compat: COMPAT.sparseSuper2 | COMPAT.extAttr,
    incompat: INCOMPAT.filetype | INCOMPAT.extents | INCOMPAT.flexBg,
    roCompat: RO_COMPAT.largeFile | RO_COMPAT.hugeFile | RO_COMPAT.extraIsize | RO_COMPAT.readonly,
    extraInodeSize: COMPACT_EXTRA_SIZE,
    timestamp: 0,
    uuid: NO_UUID,
    label: byteString(''),
    maxMounts: 0,
    mountOptions: 0,
    hashSeed: undefined,
    logGroupsPerFlex: LOG_GROUPS_PER_FLEX,
    lostAndFound: FIRST_INODE,
    journal: undefined,
  });
  out.set(superblock, SUPERBLOCK_OFFSET);
  return out;
}
