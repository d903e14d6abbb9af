/**
 * Where the files of an EROFS image lie, of any image and not only of one for composefs. Compressed content has no place
 * that could be told without its index, and so has none here.
 * Defined by the kernel: fs/erofs/erofs_fs.h.
 * @module
 */
import { type ByteString, byteString, byteStringFrom } from '../bytes/byte-string.ts';
import { isDirectory, isRegular } from '../fs/mode.ts';
import { orElse, type PlacedFiles } from '../fs/owner.ts';
import {
  CHUNK_ADDRESS_SIZE,
  COMPACT_INODE,
  COMPACT_INODE_SIZE,
  DIRENT_SIZE,
  EROFS_MAGIC,
  EXTENDED_INODE,
  EXTENDED_INODE_SIZE,
  LAYOUT_CHUNKS,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  SLOT_SIZE,
  SUPERBLOCK,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
  XATTR_AREA_HEADER_SIZE,
  XATTR_ENTRY_HEADER_SIZE,
} from './format.ts';
import { ImageBytes, type ImageSource } from './image-source.ts';

type Range = readonly [start: number, end: number];

const MAX_CHUNKS = 1 << 20;
const CHUNK_INDEX_SIZE = 8;
const HOLE = 0xffffffff;

/** @returns undefined if it is no EROFS */
export function erofsFiles(source: ImageSource): PlacedFiles | undefined {
  if (source.size < SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE) return undefined;
  const image = new ImageBytes(source);
  const field = (offset: number, read: (view: DataView, at: number) => number, length: number) => {
    const at = image.locate(offset, length, 'EROFS');
    return read(image.view, at);
  };
  const u16 = (offset: number) => field(offset, (view, at) => view.getUint16(at, true), 2);
  const u32 = (offset: number) => field(offset, (view, at) => view.getUint32(at, true), 4);
  if (u32(SUPERBLOCK_OFFSET + SUPERBLOCK.magic) !== EROFS_MAGIC) return undefined;
  const blockBits = u16(SUPERBLOCK_OFFSET + SUPERBLOCK.blockBits) & 0xff;
  if (blockBits < 9 || blockBits > 16) return undefined;
  const blockSize = 2 ** blockBits;
  const metaStart = u32(SUPERBLOCK_OFFSET + SUPERBLOCK.metaBlock) * blockSize;

  const rangesOf = (nid: number): { mode: number; ranges: Range[] } => {
    const offset = metaStart + nid * SLOT_SIZE;
    const format = u16(offset);
    const [names, inodeSize] =
      (format & 1) === 0 ? [COMPACT_INODE, COMPACT_INODE_SIZE] : [EXTENDED_INODE, EXTENDED_INODE_SIZE];
    const mode = u16(offset + names.mode);
    const low = u32(offset + names.size);
    const size = (format & 1) === 0 ? low : low + u32(offset + names.size + 4) * 2 ** 32;
    const union = u32(offset + names.union);
    const xattrCount = u16(offset + names.xattrCount);
    const xattrSize =
      xattrCount === 0 ? 0 : XATTR_AREA_HEADER_SIZE + (xattrCount - 1) * XATTR_ENTRY_HEADER_SIZE;
    const tail = offset + inodeSize + xattrSize;
    const layout = (format >> 1) & 7;
    if (size === 0 || size > 2 ** 52) return { mode, ranges: [] };
    if (layout === LAYOUT_PLAIN) return { mode, ranges: [[union * blockSize, union * blockSize + size]] };
    if (layout === LAYOUT_INLINE) {
      const whole = Math.floor(size / blockSize) * blockSize;
      const ranges: Range[] = [
        [union * blockSize, union * blockSize + whole],
        [tail, tail + size - whole],
      ];
      return { mode, ranges: ranges.filter(([start, end]) => end > start) };
    }
    return { mode, ranges: layout === LAYOUT_CHUNKS ? chunkRanges(tail, size, union) : [] };
  };

  const chunkRanges = (tail: number, size: number, chunkFormat: number): Range[] => {
    const chunkSize = 2 ** (blockBits + (chunkFormat & 31));
    const hasIndexes = (chunkFormat & 32) !== 0;
    const step = hasIndexes ? CHUNK_INDEX_SIZE : CHUNK_ADDRESS_SIZE;
    const start = Math.ceil(tail / step) * step;
    const ranges: Range[] = [];
    const count = Math.min(Math.ceil(size / chunkSize), MAX_CHUNKS);
    for (let i = 0; i < count; i++) {
      const block = u32(start + i * step + (hasIndexes ? 4 : 0));
      if (block === HOLE) continue;
      const length = Math.min(chunkSize, size - i * chunkSize);
      ranges.push([block * blockSize, block * blockSize + length]);
    }
    return ranges;
  };

  const entriesOf = (nid: number): Map<ByteString, number> | undefined => {
    const { mode, ranges } = rangesOf(nid);
    if (!isDirectory(mode)) return undefined;
    const entries = new Map<ByteString, number>();
    for (const [start, end] of ranges) {
      for (let at = start; at < end; at += blockSize) {
        readBlock(at, Math.min(blockSize, end - at), entries);
      }
    }
    return entries;
  };

  const readBlock = (offset: number, length: number, entries: Map<ByteString, number>) => {
    const at = image.locate(offset, length, 'EROFS directory');
    const { view, bytes } = image;
    const firstName = length < DIRENT_SIZE ? 0 : view.getUint16(at + 8, true);
    const count = Math.floor(firstName / DIRENT_SIZE);
    if (firstName > length) return;
    for (let i = 0; i < count; i++) {
      const entry = at + i * DIRENT_SIZE;
      const nid = view.getUint32(entry, true) + view.getUint32(entry + 4, true) * 2 ** 32;
      const nameStart = view.getUint16(entry + 8, true);
      const nameEnd = i + 1 < count ? view.getUint16(entry + DIRENT_SIZE + 8, true) : length;
      if (nameEnd > length || nameEnd <= nameStart) continue;
      const name = byteStringFrom(bytes, at + nameStart, at + nameEnd).replace(/\0.*$/s, '');
      if (name !== '.' && name !== '..') entries.set(byteString(name), nid);
    }
  };

  return {
    root: u16(SUPERBLOCK_OFFSET + SUPERBLOCK.rootNid),
    entries: (nid) => orElse(undefined, () => entriesOf(nid)),
    ranges: (nid) =>
      orElse([], () => {
        const { mode, ranges } = rangesOf(nid);
        return isDirectory(mode) || isRegular(mode) ? ranges : [];
      }),
  };
}
