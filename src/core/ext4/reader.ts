/**
 * Reads ext4 without mounting it: files, directories, symlinks, xattrs, and what lies behind the end of a file with
 * fs-verity. Nothing of the file system is trusted: every number is checked before it is used, and where the file
 * system has checksums they must be right.
 * Defined by Linux: Documentation/filesystems/ext4.
 * @module
 */
import { type ByteString, byteString, byteStringFrom } from '../bytes/byte-string.ts';
import { crc32c } from '../bytes/crc.ts';
import type { ImageSource } from '../erofs/image-source.ts';
import { malformed, SealtreeError } from '../errors.ts';
import type { Xattr } from '../fs/file-tree.ts';
import { isDirectory, isRegular, isSymlink } from '../fs/mode.ts';
import {
  DIRECTORY_TAIL_SIZE,
  DIRECTORY_TAIL_TYPE,
  EXTENT_MAGIC,
  EXTENT_MAX_LENGTH,
  FAST_SYMLINK_LIMIT,
  groupChecksum,
  hasBackup,
  INODE,
  INODE_FLAG,
  inodeChecksum,
  inodeSeed,
  ROOT_INODE,
  XATTR_HEADER_SIZE,
  XATTR_MAGIC,
  xattrBlockChecksum,
} from './format.ts';
import { type ReadSuperblock, readSuperblock } from './read-superblock.ts';
import { decodeXattrs } from './xattrs.ts';

export interface Ext4Inode {
  readonly number: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes before the end of the file. */
  readonly size: number;
  /** Whether the kernel checks what is read of it. */
  readonly verity: boolean;
  readonly links: number;
  /** All of it, for what is seldom asked for. */
  readonly data: Uint8Array;
}

/** Blocks of a file that lie behind each other on the disk. */
export interface MappedExtent {
  readonly logical: number;
  readonly physical: number;
  readonly length: number;
  /** Allocated but not written: reads as zeros. */
  readonly unwritten: boolean;
}

const MAX_EXTENT_DEPTH = 5;
const MAX_SYMLINK = 4096;
/** Entries of one directory: a million objects have 4000 a folder. */
const MAX_DIRECTORY_ENTRIES = 4 * 1024 * 1024;

/** Reads one file system; nothing is kept but the superblock and the extents of the file that was read last. */
export class Ext4Reader {
  readonly #source: ImageSource;
  readonly #superblock: ReadSuperblock;
  /** The file whose extents were asked for last: content is read piece by piece. */
  #mapped: { number: number; extents: readonly MappedExtent[] } | undefined;

  /** @throws SealtreeError `malformed` if it is no ext4, `unsupported` if it has what is not read here */
  constructor(source: ImageSource) {
    this.#source = source;
    this.#superblock = readSuperblock(source);
  }

  /** Whether the kernel would take files with fs-verity on it. */
  get hasVerity(): boolean {
    return this.#superblock.hasVerity;
  }

  get blockSize(): number {
    return this.#superblock.blockSize;
  }

  /** Bytes of the whole file system. */
  get size(): number {
    return this.#superblock.blocks * this.#superblock.blockSize;
  }

  get root(): Ext4Inode {
    return this.inode(ROOT_INODE);
  }

  /** @throws SealtreeError `malformed` */
  inode(number: number): Ext4Inode {
    const { inodes, inodesPerGroup, inodeSize, blockSize, blocks, seed } = this.#superblock;
    if (number < 1 || number > inodes) throw malformed(`inode ${number}: there are ${inodes}`);
    const group = Math.floor((number - 1) / inodesPerGroup);
    const table = this.#inodeTable(group);
    const at = ((number - 1) % inodesPerGroup) * inodeSize;
    if (table < 1 || table + Math.floor(at / blockSize) >= blocks)
      throw malformed(`inode ${number}: its table is outside the file system`);
    const data = new Uint8Array(this.#source.read(table * blockSize + at, inodeSize));
    const view = viewOf(data);
    if (seed !== undefined) {
      const high = inodeSize > 128 && view.getUint16(INODE.extraSize, true) >= 4;
      const found =
        view.getUint16(INODE.checksumLow, true) +
        (high ? view.getUint16(INODE.checksumHigh, true) * 0x10000 : 0);
      const expected = inodeChecksum(seed, number, data);
      if (found !== (high ? expected : expected & 0xffff)) throw malformed(`inode ${number}: wrong checksum`);
    }
    const flags = view.getUint32(0x20, true);
    const size = view.getUint32(0x04, true) + view.getUint32(0x6c, true) * 2 ** 32;
    // Holes may make a file larger than what it is on, but not the files of these disks; reading has an end so.
    if (size > blocks * blockSize)
      throw malformed(`inode ${number}: ${size} bytes, more than the file system has`);
    return {
      number,
      mode: view.getUint16(0, true),
      uid: view.getUint16(0x02, true) + view.getUint16(0x78, true) * 0x10000,
      gid: view.getUint16(0x18, true) + view.getUint16(0x7a, true) * 0x10000,
      size,
      verity: (flags & INODE_FLAG.verity) !== 0,
      links: view.getUint16(0x1a, true),
      data,
    };
  }

  /**
   * Follows a path from the root; symlinks are not followed.
   *
   * @returns undefined if something on the way is not there, or no directory
   */
  lookUp(path: ByteString): Ext4Inode | undefined {
    let inode = this.root;
    for (const name of path.split('/')) {
      if (name === '' || name === '.') continue;
      if (!isDirectory(inode.mode)) return undefined;
      const number = this.readDirectory(inode).get(byteString(name));
      if (number === undefined) return undefined;
      inode = this.inode(number);
    }
    return inode;
  }

  /**
   * Names and inode numbers, without `.` and `..`. An index only leads to the same blocks faster: its own blocks
   * look like unused entries to those who read in order.
   */
  readDirectory(inode: Ext4Inode): Map<ByteString, number> {
    const what = `inode ${inode.number}: directory`;
    const entries = new Map<ByteString, number>();
    const { blockSize, seed } = this.#superblock;
    const indexed = (viewOf(inode.data).getUint32(0x20, true) & INODE_FLAG.index) !== 0;
    for (const { logical, physical, length, unwritten } of this.extents(inode)) {
      if (unwritten) throw malformed(`${what}: has a hole`);
      for (let i = 0; i < length && (logical + i) * blockSize < inode.size; i++) {
        const block = this.#source.read((physical + i) * blockSize, blockSize);
        if (seed !== undefined) this.#checkDirectoryBlock(inode, block, indexed, what);
        readEntries(block, entries, what);
        if (entries.size > MAX_DIRECTORY_ENTRIES) throw malformed(`${what}: too many entries`);
      }
    }
    return entries;
  }

  readLink(inode: Ext4Inode): ByteString {
    if (!isSymlink(inode.mode)) throw malformed(`inode ${inode.number}: no symlink`);
    const { size, data } = inode;
    const hasExtents = (viewOf(data).getUint32(0x20, true) & INODE_FLAG.extents) !== 0;
    if (!hasExtents && size < FAST_SYMLINK_LIMIT)
      return byteStringFrom(data, INODE.block, INODE.block + size);
    if (size > MAX_SYMLINK) throw malformed(`inode ${inode.number}: symlink of ${size} bytes`);
    return byteStringFrom(this.read(inode, 0, size));
  }

  /** All xattrs, sorted by their keys. */
  readXattrs(inode: Ext4Inode): Xattr[] {
    const { inodeSize, blockSize, blocks, seed } = this.#superblock;
    const { data, number } = inode;
    const view = viewOf(data);
    const what = `inode ${number}`;
    const xattrs: Xattr[] = [];
    const extra = inodeSize > 128 ? view.getUint16(INODE.extraSize, true) : 0;
    const room = 128 + extra;
    if (inodeSize > 128 && room + 4 <= inodeSize && extra % 4 === 0) {
      if (view.getUint32(room, true) === XATTR_MAGIC)
        xattrs.push(...decodeXattrs(data.subarray(room), 4, 4, what));
    }
    const block = view.getUint32(INODE.xattrBlock, true) + view.getUint16(0x76, true) * 2 ** 32;
    if (block !== 0) {
      if (block >= blocks) throw malformed(`${what}: xattr block ${block} is outside the file system`);
      const content = this.#source.read(block * blockSize, blockSize);
      const header = viewOf(content);
      if (header.getUint32(0, true) !== XATTR_MAGIC)
        throw malformed(`${what}: xattr block has no magic number`);
      if (seed !== undefined && xattrBlockChecksum(seed, block, content) !== header.getUint32(0x10, true))
        throw malformed(`${what}: xattr block has a wrong checksum`);
      xattrs.push(...decodeXattrs(content, XATTR_HEADER_SIZE, 0, what));
    }
    return xattrs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  }

  /**
   * Bytes of a file as they are on the disk, also behind its end; holes are zeros.
   *
   * @param length the caller bounds it
   */
  read(inode: Ext4Inode, at: number, length: number): Uint8Array {
    const { blockSize } = this.#superblock;
    const extents = this.extents(inode);
    const out = new Uint8Array(length);
    const end = at + length;
    for (let i = firstAtOrBehind(extents, Math.floor(at / blockSize)); i < extents.length; i++) {
      const { logical, physical, length: count, unwritten } = extents[i] as MappedExtent;
      const start = Math.max(at, logical * blockSize);
      if (start >= end) break;
      const stop = Math.min(end, (logical + count) * blockSize);
      if (stop <= start || unwritten) continue;
      const data = this.#source.read(physical * blockSize + start - logical * blockSize, stop - start);
      out.set(data, start - at);
    }
    return out;
  }

  /** Where the blocks of a file are, in the order of the file. */
  extents(inode: Ext4Inode): readonly MappedExtent[] {
    if (this.#mapped?.number === inode.number) return this.#mapped.extents;
    const extents = this.#readExtents(inode);
    this.#mapped = { number: inode.number, extents };
    return extents;
  }

  #readExtents(inode: Ext4Inode): MappedExtent[] {
    const what = `inode ${inode.number}`;
    const flags = viewOf(inode.data).getUint32(0x20, true);
    if ((flags & INODE_FLAG.inlineData) !== 0 || (flags & INODE_FLAG.extents) === 0) {
      if (inode.size === 0 && isRegular(inode.mode)) return [];
      throw new SealtreeError('unsupported', `${what}: content is not kept in extents`);
    }
    const { blockSize, blocks, seed } = this.#superblock;
    const extents: MappedExtent[] = [];
    const root = inode.data.subarray(INODE.block, INODE.block + 60);
    const pending = [{ node: root, at: 0, depth: viewOf(root).getUint16(6, true) }];
    if ((pending[0] as { depth: number }).depth > MAX_EXTENT_DEPTH)
      throw malformed(`${what}: extents are ${pending[0]?.depth} levels deep`);
    let next = 0;
    for (let top = pending.at(-1); top !== undefined; top = pending.at(-1)) {
      const view = viewOf(top.node);
      const count = entryCount(view, top.depth, what);
      if (top.at === count) {
        pending.pop();
        continue;
      }
      // No leaf may be empty and none may come twice, so that the work is bounded by what is really there.
      if (top.depth === 0) {
        for (let i = 0; i < count; i++) {
          const extent = decodeExtent(view, 12 + 12 * i);
          if (extent.logical < next || extent.length === 0 || extent.physical + extent.length > blocks)
            throw malformed(`${what}: extent of block ${extent.logical} is out of order or outside`);
          next = extent.logical + extent.length;
          extents.push(extent);
        }
        pending.pop();
        continue;
      }
      const entry = 12 + 12 * top.at++;
      const block = view.getUint32(entry + 4, true) + view.getUint16(entry + 8, true) * 2 ** 32;
      if (view.getUint32(entry, true) < next || block === 0 || block >= blocks)
        throw malformed(`${what}: extents lead out of order or outside`);
      const node = new Uint8Array(this.#source.read(block * blockSize, blockSize));
      const below = viewOf(node);
      if (below.getUint16(6, true) !== top.depth - 1 || entryCount(below, top.depth - 1, what) === 0)
        throw malformed(`${what}: block ${block} holds no extents`);
      if (seed !== undefined) {
        const tail = 12 + 12 * below.getUint16(4, true);
        const own = inodeSeed(seed, inode.number, viewOf(inode.data).getUint32(INODE.generation, true));
        if (tail + 4 > blockSize || crc32c(own, node.subarray(0, tail)) !== below.getUint32(tail, true))
          throw malformed(`${what}: extents in block ${block} have a wrong checksum`);
      }
      pending.push({ node, at: 0, depth: top.depth - 1 });
    }
    return extents;
  }

  #inodeTable(group: number): number {
    const {
      blockSize,
      descriptorSize,
      firstDataBlock,
      blocksPerGroup,
      firstMetaGroup,
      sparse,
      blocks,
      seed,
    } = this.#superblock;
    const inBlock = blockSize / descriptorSize;
    const index = Math.floor(group / inBlock);
    let block = firstDataBlock + 1 + index;
    if (firstMetaGroup !== undefined && index >= firstMetaGroup) {
      const first = index * inBlock;
      block = firstDataBlock + first * blocksPerGroup + (!sparse || hasBackup(first) ? 1 : 0);
    }
    if (block >= blocks) throw malformed(`group ${group}: descriptor is outside the file system`);
    const at = block * blockSize + (group % inBlock) * descriptorSize;
    const descriptor = new Uint8Array(this.#source.read(at, descriptorSize));
    const view = viewOf(descriptor);
    if (seed !== undefined && groupChecksum(seed, group, descriptor) !== view.getUint16(0x1e, true))
      throw malformed(`group ${group}: descriptor has a wrong checksum`);
    return view.getUint32(0x08, true) + (descriptorSize >= 64 ? view.getUint32(0x28, true) * 2 ** 32 : 0);
  }

  /** Blocks of an index have their checksum elsewhere; they hold no names. */
  #checkDirectoryBlock(inode: Ext4Inode, block: Uint8Array, indexed: boolean, what: string): void {
    const at = block.length - DIRECTORY_TAIL_SIZE;
    const view = viewOf(block);
    const hasTail =
      view.getUint32(at, true) === 0 &&
      view.getUint16(at + 4, true) === DIRECTORY_TAIL_SIZE &&
      view.getUint8(at + 7) === DIRECTORY_TAIL_TYPE;
    if (!hasTail) {
      if (indexed) return;
      throw malformed(`${what}: a block has no checksum`);
    }
    const { seed } = this.#superblock;
    const own = inodeSeed(seed as number, inode.number, viewOf(inode.data).getUint32(INODE.generation, true));
    if (crc32c(own, block.subarray(0, at)) !== view.getUint32(at + 8, true))
      throw malformed(`${what}: a block has a wrong checksum`);
  }
}

function readEntries(block: Uint8Array, entries: Map<ByteString, number>, what: string): void {
  const view = viewOf(block);
  for (let at = 0; at + 8 <= block.length; ) {
    const number = view.getUint32(at, true);
    // 65536 does not fit: the kernel writes 65535 or 0 for it.
    const given = view.getUint16(at + 4, true);
    const size = given === 65535 || given === 0 ? block.length : given;
    const nameLength = view.getUint8(at + 6);
    if (size < 8 || size % 4 !== 0 || at + size > block.length || 8 + nameLength > size)
      throw malformed(`${what}: entry at ${at} leads outside its block`);
    if (number !== 0) {
      const name = byteStringFrom(block, at + 8, at + 8 + nameLength);
      if (name !== '.' && name !== '..') {
        if (name === '' || name.includes('/') || name.includes('\0')) throw malformed(`${what}: bad name`);
        if (entries.has(name)) throw malformed(`${what}: one name twice`);
        entries.set(name, number);
      }
    }
    at += size;
  }
}

function entryCount(view: DataView, depth: number, what: string): number {
  const count = view.getUint16(2, true);
  if (view.getUint16(0, true) !== EXTENT_MAGIC) throw malformed(`${what}: extents have no magic number`);
  if (view.getUint16(6, true) !== depth || 12 + 12 * count > view.byteLength)
    throw malformed(`${what}: ${count} extents in ${view.byteLength} bytes`);
  return count;
}

function decodeExtent(view: DataView, at: number): MappedExtent {
  const length = view.getUint16(at + 4, true);
  const unwritten = length > EXTENT_MAX_LENGTH;
  return {
    logical: view.getUint32(at, true),
    length: unwritten ? length - EXTENT_MAX_LENGTH : length,
    physical: view.getUint16(at + 6, true) * 2 ** 32 + view.getUint32(at + 8, true),
    unwritten,
  };
}

/** Index of the first extent that ends behind `block`. */
function firstAtOrBehind(extents: readonly MappedExtent[], block: number): number {
  let low = 0;
  for (let high = extents.length; low < high; ) {
    const middle = (low + high) >>> 1;
    const { logical, length } = extents[middle] as MappedExtent;
    if (logical + length <= block) low = middle + 1;
    else high = middle;
  }
  return low;
}

function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
