/**
 * Writes a file tree as a composefs image, byte for byte as libcomposefs 1.0.8 does: format versions 0 and 1.
 * @module
 */
import { type ByteString, writeByteString } from '../bytes/byte-string.ts';
import type { Inode } from '../fs/file-tree.ts';
import {
  BLOCK_BITS,
  BLOCK_SIZE,
  COMPACT_INODE,
  COMPACT_INODE_SIZE,
  COMPOSEFS_HEADER_VERSION,
  COMPOSEFS_MAGIC,
  DIRENT_SIZE,
  EROFS_MAGIC,
  EXTENDED_INODE,
  EXTENDED_INODE_SIZE,
  FEATURE_COMPAT,
  FLAG_HAS_ACL,
  HEADER,
  INODES_START,
  LAYOUT_CHUNKS,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  SLOT_SIZE,
  SUPERBLOCK,
  SUPERBLOCK_OFFSET,
  XATTR_AREA_HEADER_SIZE,
} from './format.ts';
import { DEFAULT_VERSIONS, type FormatVersions, type InodeOrder, isWhiteout, orderInodes } from './order.ts';
import { chunksOf, directorySize, type Placement, placeInodes } from './placement.ts';
import { type ImageXattrs, imageXattrs, isExternal } from './xattrs.ts';

/** Bytes that are handed out at a time. */
const CHUNK_SIZE = 1 << 20;

export interface WrittenImage {
  /** Format version that was chosen. */
  readonly version: 0 | 1;
  /** Bytes of the image. */
  readonly size: number;
}

/**
 * Writes the image of a tree, which is not altered.
 *
 * @param emit gets the image in order, in chunks that are its to keep; hashing and storing them there takes one pass
 * @throws SealtreeError `malformed` if the format cannot hold the tree, with the words of the error number that
 *   mkcomposefs prints; nothing has been emitted then
 */
export function writeImage(
  root: Inode,
  versions: FormatVersions | undefined,
  emit: (chunk: Uint8Array) => void,
): WrittenImage {
  const order = orderInodes(root, versions ?? DEFAULT_VERSIONS);
  const xattrs = imageXattrs(order);
  const placement = placeInodes(order, xattrs);
  const out = new ImageOutput(emit);
  const image = { order, xattrs, placement };
  writeHeaders(out, image);
  writeInodes(out, image);
  writeSharedXattrs(out, image);
  writeBlocks(out, image);
  const size = placement.blocks * BLOCK_SIZE;
  out.finish(size);
  return { version: order.version, size };
}

interface Image {
  readonly order: InodeOrder;
  readonly xattrs: ImageXattrs;
  readonly placement: Placement;
}

/** The image as it grows: zeros until something else is written, handed out chunk by chunk. */
class ImageOutput {
  readonly #emit: (chunk: Uint8Array) => void;
  /** Offset in the image of the first of `bytes`. */
  #base = 0;
  /** The same memory twice, for writing at what `reserve` returned. */
  bytes = new Uint8Array(0);
  view = new DataView(this.bytes.buffer);

  constructor(emit: (chunk: Uint8Array) => void) {
    this.#emit = emit;
  }

  /**
   * Makes `length` bytes at `offset` of the image writable; all before is complete.
   *
   * @returns where they are in `bytes` and `view`
   */
  reserve(offset: number, length: number): number {
    if (offset + length > this.#base + this.bytes.length) this.#advance(offset, length);
    return offset - this.#base;
  }

  finish(size: number): void {
    const at = this.reserve(size, 0);
    if (at > 0) this.#emit(this.bytes.subarray(0, at));
  }

  #advance(offset: number, length: number): void {
    const complete = offset - this.#base;
    if (complete > this.bytes.length) {
      // A gap of zeros that reaches beyond the buffer.
      this.#emit(this.bytes);
      this.#emit(new Uint8Array(complete - this.bytes.length));
    } else if (complete > 0) {
      this.#emit(this.bytes.subarray(0, complete));
    }
    this.#base = offset;
    this.bytes = new Uint8Array(Math.max(CHUNK_SIZE, length));
    this.view = new DataView(this.bytes.buffer);
  }
}

function writeHeaders(out: ImageOutput, { order, xattrs, placement }: Image): void {
  out.reserve(0, INODES_START);
  const { view } = out;
  view.setUint32(HEADER.magic, COMPOSEFS_MAGIC, true);
  view.setUint32(HEADER.headerVersion, COMPOSEFS_HEADER_VERSION, true);
  view.setUint32(HEADER.flags, xattrs.hasAcl ? FLAG_HAS_ACL : 0, true);
  view.setUint32(HEADER.formatVersion, order.version, true);
  const at = SUPERBLOCK_OFFSET;
  view.setUint32(at + SUPERBLOCK.magic, EROFS_MAGIC, true);
  view.setUint32(at + SUPERBLOCK.featureCompat, FEATURE_COMPAT, true);
  view.setUint8(at + SUPERBLOCK.blockBits, BLOCK_BITS);
  view.setUint16(at + SUPERBLOCK.rootNid, placement.nids[0] as number, true);
  setUint64(view, at + SUPERBLOCK.inodeCount, order.inodes.length);
  setUint64(view, at + SUPERBLOCK.buildTime, order.minMtimeSec);
  view.setUint32(at + SUPERBLOCK.buildTimeNsec, order.minMtimeNsec, true);
  view.setUint32(at + SUPERBLOCK.blocks, placement.blocks, true);
  view.setUint32(at + SUPERBLOCK.metaBlock, Math.floor(INODES_START / BLOCK_SIZE), true);
  view.setUint32(at + SUPERBLOCK.xattrBlock, Math.floor(placement.inodesEnd / BLOCK_SIZE), true);
}

function writeInodes(out: ImageOutput, image: Image): void {
  const { order, xattrs, placement } = image;
  const sharedBase = (placement.inodesEnd % BLOCK_SIZE) / 4;
  let nextBlock = placement.dataStart / BLOCK_SIZE;
  let directory = 0;
  for (let ino = 0; ino < order.inodes.length; ino++) {
    const inode = order.inodes[ino] as Inode;
    const type = order.types[ino] as number;
    const isExtended = placement.extended[ino] === 1;
    const areaSize = xattrs.areaSizes[ino] as number;
    const tail = placement.tails[ino] as number;
    const blockCount = placement.blockCounts[ino] as number;
    const inodeSize = isExtended ? EXTENDED_INODE_SIZE : COMPACT_INODE_SIZE;
    const at = out.reserve((placement.nids[ino] as number) * SLOT_SIZE, inodeSize + areaSize + tail);
    const { view, bytes } = out;

    let layout = tail > 0 ? LAYOUT_INLINE : LAYOUT_PLAIN;
    let size: number | bigint = 0;
    let union = blockCount > 0 ? nextBlock : 0;
    let mode = inode.mode & 0xffff;
    let links = inode.nlink;
    const tailAt = at + inodeSize + areaSize;
    switch (type) {
      case 1:
        if (isExternal(inode)) {
          layout = LAYOUT_CHUNKS;
          size = inode.size;
          const { bits } = chunksOf(size) as { bits: number };
          // libcomposefs overwrites only the low half: what a spilled chunk array left in the high half stays.
          union = union - (union % 0x10000) + (bits - BLOCK_BITS);
          for (let i = 0; i < tail; i++) bytes[tailAt + i] = 0xff;
        } else if (inode.content && !isWhiteout(inode)) {
          size = inode.content.length;
          if (tail > 0) writeByteString(bytes, tailAt, inode.content.slice(-tail) as ByteString);
        } else {
          // An empty file, or a whiteout: only its marks tell it from one.
          mode = (mode & 0o7777) | 0o100000;
        }
        break;
      case 2:
        size = directorySize(blockCount, tail);
        links = order.directoryLinks[directory] as number;
        writeEntries(
          out,
          tailAt,
          image,
          order.tailEntries[directory] as number,
          order.firstEntries[directory + 1] as number,
        );
        directory++;
        break;
      case 3:
      case 4:
        union = inode.rdev;
        break;
      case 7: {
        const target = inode.payload as ByteString;
        size = target.length;
        if (tail > 0) writeByteString(bytes, tailAt, target);
        break;
      }
    }
    nextBlock += blockCount;

    const xattrCount = areaSize === 0 ? 0 : (areaSize - XATTR_AREA_HEADER_SIZE) / 4 + 1;
    if (isExtended) {
      view.setUint16(at + EXTENDED_INODE.format, (layout << 1) | 1, true);
      view.setUint16(at + EXTENDED_INODE.xattrCount, xattrCount, true);
      view.setUint16(at + EXTENDED_INODE.mode, mode, true);
      setUint64(view, at + EXTENDED_INODE.size, size);
      view.setUint32(at + EXTENDED_INODE.union, union, true);
      view.setUint32(at + EXTENDED_INODE.ino, ino, true);
      view.setUint32(at + EXTENDED_INODE.uid, inode.uid, true);
      view.setUint32(at + EXTENDED_INODE.gid, inode.gid, true);
      setUint64(view, at + EXTENDED_INODE.mtime, inode.mtimeSec);
      view.setUint32(at + EXTENDED_INODE.mtimeNsec, inode.mtimeNsec, true);
      view.setUint32(at + EXTENDED_INODE.nlink, links, true);
    } else {
      view.setUint16(at + COMPACT_INODE.format, layout << 1, true);
      view.setUint16(at + COMPACT_INODE.xattrCount, xattrCount, true);
      view.setUint16(at + COMPACT_INODE.mode, mode, true);
      view.setUint16(at + COMPACT_INODE.nlink, links, true);
      view.setUint32(at + COMPACT_INODE.size, size as number, true);
      view.setUint32(at + COMPACT_INODE.union, union, true);
      view.setUint32(at + COMPACT_INODE.ino, ino, true);
      view.setUint16(at + COMPACT_INODE.uid, inode.uid, true);
      view.setUint16(at + COMPACT_INODE.gid, inode.gid, true);
    }
    if (areaSize > 0) xattrs.writeArea(bytes, at + inodeSize, ino, sharedBase);
  }
}

function writeSharedXattrs(out: ImageOutput, { xattrs, placement }: Image): void {
  let offset = placement.inodesEnd;
  xattrs.eachShared((size, write) => {
    const at = out.reserve(offset, size);
    write(out.bytes, at);
    offset += size;
  });
}

function writeBlocks(out: ImageOutput, image: Image): void {
  const { order, placement } = image;
  let offset = placement.dataStart;
  let directory = 0;
  for (let ino = 0; ino < order.inodes.length; ino++) {
    const type = order.types[ino];
    const blocks = placement.blockCounts[ino] as number;
    if (type === 2) {
      if (blocks > 0) writeDirectoryBlocks(out, image, directory, offset);
      directory++;
    } else if (blocks > 0) {
      const inode = order.inodes[ino] as Inode;
      const at = out.reserve(offset, blocks * BLOCK_SIZE);
      if (type === 7) writeByteString(out.bytes, at, inode.payload as ByteString);
      else if (isExternal(inode)) out.bytes.fill(0xff, at, at + BLOCK_SIZE);
      else
        writeByteString(
          out.bytes,
          at,
          (inode.content as ByteString).slice(0, blocks * BLOCK_SIZE) as ByteString,
        );
    }
    offset += blocks * BLOCK_SIZE;
  }
}

function writeDirectoryBlocks(out: ImageOutput, image: Image, directory: number, start: number): void {
  const { order } = image;
  const end = order.tailEntries[directory] as number;
  let offset = start;
  for (let first = order.firstEntries[directory] as number; first < end; offset += BLOCK_SIZE) {
    let used = 0;
    let last = first;
    for (; last < end; last++) {
      used += DIRENT_SIZE + (order.entryNames[last] as string).length;
      if (used > BLOCK_SIZE) break;
    }
    writeEntries(out, out.reserve(offset, BLOCK_SIZE), image, first, last);
    first = last;
  }
}

/** Writes entries as one block or tail: the records, then the names. */
function writeEntries(out: ImageOutput, at: number, image: Image, first: number, end: number): void {
  const { order, placement } = image;
  const { view, bytes } = out;
  let nameOffset = (end - first) * DIRENT_SIZE;
  let record = at;
  for (let entry = first; entry < end; entry++) {
    const ino = order.entryInos[entry] as number;
    const name = order.entryNames[entry] as ByteString;
    setUint64(view, record, placement.nids[ino] as number);
    view.setUint16(record + 8, nameOffset, true);
    view.setUint8(record + 10, order.types[ino] as number);
    nameOffset = writeByteString(bytes, at + nameOffset, name) - at;
    record += DIRENT_SIZE;
  }
}

/** Writes a 64-bit integer, in two's complement if negative. */
function setUint64(view: DataView, at: number, value: number | bigint): void {
  if (typeof value === 'bigint') {
    view.setBigUint64(at, BigInt.asUintN(64, value), true);
    return;
  }
  const high = Math.floor(value / 0x100000000);
  view.setUint32(at, value - high * 0x100000000, true);
  view.setUint32(at + 4, high, true);
}
