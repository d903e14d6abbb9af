/** Where the files of an ext4 file system lie. @module */
import { isDirectory, isRegular } from '../fs/mode.ts';
import { orElse, type PlacedFiles } from '../fs/owner.ts';
import { ROOT_INODE } from './format.ts';
import type { Ext4Reader } from './reader.ts';

/** What cannot be read has no place: this is for a disk of which something is known to be wrong. */
export function ext4Files(reader: Ext4Reader): PlacedFiles {
  const { blockSize } = reader;
  return {
    root: ROOT_INODE,
    entries: (number) =>
      orElse(undefined, () => {
        const inode = reader.inode(number);
        return isDirectory(inode.mode) ? reader.readDirectory(inode) : undefined;
      }),
    ranges: (number) =>
      orElse([], () => {
        const inode = reader.inode(number);
        if (!isDirectory(inode.mode) && !isRegular(inode.mode)) return [];
        return reader
          .extents(inode)
          .map(({ physical, length }) => [physical * blockSize, (physical + length) * blockSize] as const);
      }),
  };
}
