/**
 * The journal of a new file system: an inode of its own, and in its blocks nothing but the journal's superblock.
 * Defined by Linux: Documentation/filesystems/ext4/journal.rst.
 * @module
 */
import { SealtreeError } from '../errors.ts';
import { type Extent, encodeExtentRoot } from './extents.ts';
import { BLOCK_SIZE, EXTENTS_IN_INODE, EXTRA_INODE_SIZE, INODE_FLAG, JOURNAL_INODE } from './format.ts';
import { encodeInode, inodeTime } from './inode.ts';

const JOURNAL_MAGIC = 0xc03b3998;
const SUPERBLOCK_VERSION_2 = 4;

/**
 * Encodes the inode of the journal.
 *
 * @param seed as `checksumSeed` makes it
 * @throws SealtreeError `internal` if the extents do not fit into it
 */
export function encodeJournalInode(
  extents: readonly Extent[],
  blocks: number,
  timestamp: number,
  seed: number,
): Uint8Array {
  if (extents.length > EXTENTS_IN_INODE)
    throw new SealtreeError('internal', 'the journal is in too many pieces');
  const time = inodeTime(timestamp);
  const size = blocks * BLOCK_SIZE;
  return encodeInode(
    {
      mode: 0o100600,
      uid: 0,
      gid: 0,
      size,
      links: 1,
      blocks: size / 512,
      flags: INODE_FLAG.extents,
      body: encodeExtentRoot(extents, []),
      xattrBlock: 0,
      accessed: time,
      changed: time,
      modified: time,
      created: time,
      extraSize: EXTRA_INODE_SIZE,
      xattrs: undefined,
    },
    { seed, number: JOURNAL_INODE },
  );
}

/** The first block of an empty journal. @param uuid 16 bytes, of the file system */
export function encodeJournalSuperblock(blocks: number, uuid: Uint8Array): Uint8Array {
  const block = new Uint8Array(BLOCK_SIZE);
  const view = new DataView(block.buffer);
  view.setUint32(0x00, JOURNAL_MAGIC);
  view.setUint32(0x04, SUPERBLOCK_VERSION_2);
  view.setUint32(0x0c, BLOCK_SIZE);
  view.setUint32(0x10, blocks);
  view.setUint32(0x14, 1); // first block of the log
  view.setUint32(0x18, 1); // first commit expected in it
  block.set(uuid, 0x30);
  view.setUint32(0x40, 1); // used by one file system
  return block;
}
