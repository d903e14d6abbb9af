/** The headers of a composefs image: libcomposefs's own, and the superblock of EROFS. @module */
import {
  BLOCK_BITS,
  BLOCK_SIZE,
  COMPOSEFS_HEADER_VERSION,
  COMPOSEFS_MAGIC,
  EROFS_MAGIC,
  FLAG_HAS_ACL,
  HEADER,
  SUPERBLOCK,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
} from './format.ts';
import type { ImageBytes } from './image-source.ts';
import { hex, small, wrong } from './wrong.ts';

/** What the headers of an image say. */
export interface ImageInfo {
  readonly version: number;
  readonly hasAcl: boolean;
  readonly inodeCount: number;
  readonly blocks: number;
}

export interface Headers {
  readonly info: ImageInfo;
  /** Offset of the inode with number 0. */
  readonly metaStart: number;
  /** Offset of the shared xattrs. */
  readonly sharedStart: number;
  readonly rootNid: number;
  /** Seconds since 1970; what compact inodes have for their time. */
  readonly buildTime: number | bigint;
  readonly buildTimeNsec: number;
}

/** @throws SealtreeError `malformed` if it is no composefs image */
export function readHeaders(image: ImageBytes): Headers {
  if (image.size < BLOCK_SIZE) {
    throw wrong('image', 0, `at least ${BLOCK_SIZE} bytes`, image.size);
  }
  const at = image.locate(0, SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE, 'headers');
  const { view } = image;
  const u32 = (offset: number) => view.getUint32(at + offset, true);
  const expect = (what: string, offset: number, expected: number, found: number) => {
    if (found !== expected) throw wrong(what, offset, hex(expected), hex(found));
  };
  expect('composefs magic number', HEADER.magic, COMPOSEFS_MAGIC, u32(HEADER.magic));
  expect(
    'composefs header version',
    HEADER.headerVersion,
    COMPOSEFS_HEADER_VERSION,
    u32(HEADER.headerVersion),
  );
  const base = SUPERBLOCK_OFFSET;
  expect('EROFS magic number', base, EROFS_MAGIC, u32(base + SUPERBLOCK.magic));
  expect(
    'EROFS block size exponent',
    base + SUPERBLOCK.blockBits,
    BLOCK_BITS,
    view.getUint8(at + base + SUPERBLOCK.blockBits),
  );
  const info: ImageInfo = {
    version: u32(HEADER.formatVersion),
    hasAcl: (u32(HEADER.flags) & FLAG_HAS_ACL) !== 0,
    inodeCount: Number(view.getBigUint64(at + base + SUPERBLOCK.inodeCount, true)),
    blocks: u32(base + SUPERBLOCK.blocks),
  };
  return {
    info,
    rootNid: view.getUint16(at + base + SUPERBLOCK.rootNid, true),
    buildTime: small(view.getBigInt64(at + base + SUPERBLOCK.buildTime, true)),
    buildTimeNsec: u32(base + SUPERBLOCK.buildTimeNsec),
    metaStart: u32(base + SUPERBLOCK.metaBlock) * BLOCK_SIZE,
    sharedStart: u32(base + SUPERBLOCK.xattrBlock) * BLOCK_SIZE,
  };
}
