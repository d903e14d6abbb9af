/**
 * Where everything of a new ext4 file system goes: groups, inode numbers, blocks. Nothing is written here; the same
 * tree gives the same layout on every machine.
 * Defined by Linux: Documentation/filesystems/ext4.
 * @module
 */
import { roundUp } from '../bytes/align.ts';
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import { malformed, SealtreeError } from '../errors.ts';
import type { DiskNode } from '../fs/disk-node.ts';
import { isDirectory, isRegular, isSymlink } from '../fs/mode.ts';
import { verityParameters } from '../verity/descriptor.ts';
import { treeOffsets } from '../verity/merkle.ts';
import { recordSize } from './directory.ts';
import type { Extent } from './extents.ts';
import {
  BLOCK_SIZE,
  BLOCKS_PER_GROUP,
  DESCRIPTOR_SIZE_64,
  DIRECTORY_TAIL_SIZE,
  EXTENT_MAX_LENGTH,
  EXTENTS_IN_BLOCK,
  EXTENTS_IN_INODE,
  EXTRA_INODE_SIZE,
  FAST_SYMLINK_LIMIT,
  FIRST_INODE,
  hasBackup,
  INODE_SIZE,
  ROOT_INODE,
  VERITY_ALIGNMENT,
} from './format.ts';
import { encodeInodeXattrs, encodeXattrBlock } from './xattrs.ts';

export interface PlacedNode {
  readonly node: DiskNode;
  readonly number: number;
  readonly links: number;
  readonly extents: readonly Extent[];
  /** Blocks that hold extents which the inode has no room for. */
  readonly extentBlocks: readonly number[];
  /** Encoded for the inode, or for a block. */
  readonly inlineXattrs: Uint8Array | undefined;
  readonly xattrBlock: { readonly block: number; readonly data: Uint8Array } | undefined;
  /** Of a directory: itself and the one above. */
  readonly parent: PlacedNode | undefined;
  /** Of a directory: its blocks, each with the entries in it. */
  readonly directory: readonly (readonly DirectoryEntry[])[] | undefined;
}

export interface DirectoryEntry {
  readonly name: ByteString;
  readonly node: PlacedNode;
}

export interface Group {
  /** First block; that of the copy of the superblock, if it has one. */
  readonly start: number;
  readonly blocks: number;
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
  readonly dataStart: number;
  /** End of what is allocated in it. */
  used: number;
}

export interface Layout {
  /** Bytes. */
  readonly size: number;
  readonly blocks: number;
  readonly groups: readonly Group[];
  readonly inodesPerGroup: number;
  readonly descriptorBlocks: number;
  readonly nodes: readonly PlacedNode[];
  readonly journal: readonly Extent[];
  readonly journalBlocks: number;
  /** The highest inode number in use. */
  readonly lastInode: number;
}

/** One inode for so many blocks, as mke2fs has it. */
const BLOCKS_PER_INODE = 4;
const MAX_INODES_PER_GROUP = BLOCKS_PER_GROUP;
const INODES_IN_BLOCK = BLOCK_SIZE / INODE_SIZE;
/** The last group is dropped if less than this is left of it besides what it needs for itself. */
const MIN_GROUP_DATA = 64;
const MAX_NAME = 255;

export const LOST_AND_FOUND = byteString('lost+found');

type Building = { -readonly [Key in keyof PlacedNode]: PlacedNode[Key] };

/** Bytes in the journal, tree and file of a file with verity. */
interface Pieces {
  /** Runs of blocks: first block of the file, number. */
  readonly runs: readonly (readonly [logical: number, count: number])[];
}

/**
 * Lays a file system out.
 *
 * @param size bytes that it may take; undefined for what the tree needs and `free` more
 * @param free bytes to be free at least
 * @throws SealtreeError `unsupported` if the tree does not fit, or a file of it cannot be stored
 */
export function layOut(root: DiskNode, { size, free }: { size?: number | undefined; free: number }): Layout {
  const nodes = numberNodes(root);
  const needed = nodes.reduce((sum, node) => sum + blocksOf(node), 0) + Math.ceil(free / BLOCK_SIZE);
  const lastInode = FIRST_INODE + nodes.length - 2;
  const geometry = size === undefined ? fitting(needed, lastInode) : givenSize(size, needed, lastInode);
  const allocate = makeAllocator(geometry.groups);
  const journal = allocate(0, geometry.journalBlocks);
  for (const node of nodes) if (node.node.entries !== undefined) place(node, allocate);
  for (const node of nodes) if (node.node.entries === undefined) place(node, allocate);
  return { ...geometry, nodes, journal, lastInode };
}

/** Bytes where descriptor and tree of a file with verity lie behind its end, and how many blocks they take. */
export function verityPlace(size: number): { start: number; treeSize: number; blocks: number } {
  const start = roundUp(size, VERITY_ALIGNMENT);
  const levels = treeOffsets(size, verityParameters());
  let treeSize = 0;
  if (levels.length > 0) {
    // Level 0 is last: one block for each 128 of the file.
    treeSize = (levels[0] as number) + Math.ceil(size / BLOCK_SIZE / 128) * BLOCK_SIZE;
  }
  return { start, treeSize, blocks: treeSize / BLOCK_SIZE + 1 };
}

/** Numbers the tree depth first: the root is 2, lost+found 11, the others follow. */
function numberNodes(root: DiskNode): Building[] {
  const known = new Map<DiskNode, Building>();
  const placedRoot = building(root, ROOT_INODE, undefined);
  const lost = building(root.entries?.get(LOST_AND_FOUND) ?? lostAndFound(root), FIRST_INODE, placedRoot);
  known.set(root, placedRoot);
  known.set(lost.node, lost);
  const nodes = [placedRoot, lost];
  const pending = [placedRoot];
  let next = FIRST_INODE + 1;
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    const entries: DirectoryEntry[] = [];
    const children = new Map(directory.node.entries);
    if (directory === placedRoot) children.set(LOST_AND_FOUND, lost.node);
    const below: Building[] = [];
    for (const name of [...children.keys()].sort()) {
      if (name.length === 0 || name.length > MAX_NAME) throw malformed(`name of ${name.length} bytes`);
      const node = children.get(name) as DiskNode;
      let placed = known.get(node);
      if (placed === undefined) {
        placed = building(node, next++, directory);
        known.set(node, placed);
        nodes.push(placed);
        if (node.entries !== undefined) below.push(placed);
      } else if (placed === lost) {
        below.push(placed);
      } else {
        if (node.entries !== undefined) throw malformed('a directory has two names');
        placed.links++;
      }
      if (node.entries !== undefined) directory.links++;
      entries.push({ name, node: placed });
    }
    pending.push(...below.reverse());
    directory.directory = packDirectory(entries);
  }
  return nodes;
}

function lostAndFound(root: DiskNode): DiskNode {
  return { ...root, mode: 0o040700, uid: 0, gid: 0, xattrs: [], immutable: false, entries: new Map() };
}

function building(node: DiskNode, number: number, parent: PlacedNode | undefined): Building {
  const inlineXattrs =
    node.xattrs.length === 0
      ? undefined
      : encodeInodeXattrs(node.xattrs, INODE_SIZE - 128 - EXTRA_INODE_SIZE);
  let xattrBlock: Building['xattrBlock'];
  if (inlineXattrs === undefined && node.xattrs.length > 0) {
    const data = encodeXattrBlock(node.xattrs, BLOCK_SIZE);
    if (data === undefined)
      throw new SealtreeError('unsupported', `xattrs of inode ${number} are more than a block holds`);
    xattrBlock = { block: 0, data };
  }
  return {
    node,
    number,
    links: isDirectory(node.mode) ? 2 : 1,
    extents: [],
    extentBlocks: [],
    inlineXattrs,
    xattrBlock,
    parent,
    directory: undefined,
  };
}

/** Distributes entries to blocks; `.` and `..` are in the first. */
function packDirectory(entries: readonly DirectoryEntry[]): DirectoryEntry[][] {
  const blocks: DirectoryEntry[][] = [[]];
  let used = 24;
  for (const entry of entries) {
    const size = recordSize(entry.name);
    if (used + size > BLOCK_SIZE - DIRECTORY_TAIL_SIZE) {
      blocks.push([]);
      used = 0;
    }
    used += size;
    blocks.at(-1)?.push(entry);
  }
  return blocks;
}

function piecesOf({ node, directory }: PlacedNode): Pieces {
  if (directory !== undefined) return { runs: [[0, directory.length]] };
  if (isSymlink(node.mode)) return { runs: (node.target ?? '').length < FAST_SYMLINK_LIMIT ? [] : [[0, 1]] };
  if (!isRegular(node.mode)) return { runs: [] };
  const content = Math.ceil(node.size / BLOCK_SIZE);
  const runs: [number, number][] = content > 0 ? [[0, content]] : [];
  if (node.verity) {
    const { start, blocks } = verityPlace(node.size);
    runs.push([start / BLOCK_SIZE, blocks]);
  }
  return { runs };
}

/** Blocks that a file may take at most: groups may cut its runs, but not often. */
function blocksOf(node: PlacedNode): number {
  const content = piecesOf(node).runs.reduce((sum, [, count]) => sum + count, 0);
  const extents = content < BLOCKS_PER_GROUP / 2 ? 0 : EXTENTS_IN_INODE;
  return content + extents + (node.xattrBlock === undefined ? 0 : 1);
}

type Geometry = Pick<
  Layout,
  'size' | 'blocks' | 'groups' | 'inodesPerGroup' | 'descriptorBlocks' | 'journalBlocks'
>;

/** The smallest geometry that has room for so many blocks and inodes. */
function fitting(needed: number, lastInode: number): Geometry {
  let blocks = roundUp(needed, BLOCKS_PER_GROUP);
  for (;;) {
    const geometry = makeGeometry(blocks, lastInode);
    if (geometry !== undefined && roomOf(geometry) >= needed) return geometry;
    blocks += BLOCKS_PER_GROUP;
  }
}

function givenSize(size: number, needed: number, lastInode: number): Geometry {
  const geometry = makeGeometry(Math.floor(size / BLOCK_SIZE), lastInode);
  const room = geometry === undefined ? 0 : roomOf(geometry);
  if (geometry !== undefined && room >= needed) return geometry;
  throw new SealtreeError(
    'unsupported',
    `a file system of ${size} bytes has room for ${room * BLOCK_SIZE}, the tree needs ${needed * BLOCK_SIZE}`,
    { expected: needed * BLOCK_SIZE, found: room * BLOCK_SIZE },
  );
}

function roomOf({ groups, journalBlocks }: Geometry): number {
  const room = groups.reduce((sum, { start, blocks, dataStart }) => sum + start + blocks - dataStart, 0);
  return room - journalBlocks;
}

/** @returns undefined if so many blocks are too few for anything */
function makeGeometry(wanted: number, lastInode: number): Geometry | undefined {
  let blocks = wanted;
  for (;;) {
    const count = Math.ceil(blocks / BLOCKS_PER_GROUP);
    const usual = BLOCKS_PER_GROUP / BLOCKS_PER_INODE;
    // An eighth more than there are, so that the system can make files.
    const inodesPerGroup = roundUp(
      Math.max(usual, Math.ceil((lastInode * 9) / 8 / count)),
      8 * INODES_IN_BLOCK,
    );
    if (inodesPerGroup > MAX_INODES_PER_GROUP) return undefined;
    const descriptorBlocks = Math.ceil((count * DESCRIPTOR_SIZE_64) / BLOCK_SIZE);
    const groups = Array.from({ length: count }, (_, group): Group => {
      const start = group * BLOCKS_PER_GROUP;
      const blockBitmap = start + (hasBackup(group) ? 1 + descriptorBlocks : 0);
      const inodeTable = blockBitmap + 2;
      const dataStart = inodeTable + inodesPerGroup / INODES_IN_BLOCK;
      return {
        start,
        blocks: Math.min(BLOCKS_PER_GROUP, blocks - start),
        blockBitmap,
        inodeBitmap: blockBitmap + 1,
        inodeTable,
        dataStart,
        used: dataStart,
      };
    });
    const last = groups.at(-1);
    if (last === undefined) return undefined;
    if (last.start + last.blocks >= last.dataStart + MIN_GROUP_DATA) {
      const journalBlocks = journalSize(blocks);
      return { size: blocks * BLOCK_SIZE, blocks, groups, inodesPerGroup, descriptorBlocks, journalBlocks };
    }
    blocks = last.start;
  }
}

/** As mke2fs chooses it. */
function journalSize(blocks: number): number {
  const steps = [
    [32768, 1024],
    [256 * 1024, 4096],
    [512 * 1024, 8192],
    [4096 * 1024, 16384],
    [8192 * 1024, 32768],
  ] as const;
  return steps.find(([limit]) => blocks < limit)?.[1] ?? 65536;
}

type Allocate = (logical: number, count: number) => Extent[];

/** Gives out blocks in order, each run as long as its group allows. */
function makeAllocator(groups: readonly Group[]): Allocate {
  let current = 0;
  return (logical, count) => {
    const extents: Extent[] = [];
    for (let done = 0; done < count; ) {
      const group = groups[current];
      if (group === undefined) throw new SealtreeError('unsupported', 'the file system is too small');
      const length = Math.min(count - done, group.start + group.blocks - group.used, EXTENT_MAX_LENGTH);
      if (length > 0) {
        extents.push({ logical: logical + done, physical: group.used, length });
        group.used += length;
        done += length;
      } else current++;
    }
    return extents;
  };
}

function place(node: Building, allocate: Allocate): void {
  const extents = piecesOf(node).runs.flatMap(([logical, count]) => allocate(logical, count));
  node.extents = extents;
  if (extents.length > EXTENTS_IN_INODE) {
    const count = Math.ceil(extents.length / EXTENTS_IN_BLOCK);
    if (count > EXTENTS_IN_INODE)
      throw new SealtreeError('unsupported', `a file of ${node.node.size} bytes is too large`);
    node.extentBlocks = Array.from({ length: count }, () => (allocate(0, 1)[0] as Extent).physical);
  }
  if (node.xattrBlock !== undefined)
    node.xattrBlock = { ...node.xattrBlock, block: (allocate(0, 1)[0] as Extent).physical };
}
