/** The image of a tree, in memory. @module */
import { writeImage } from '../../src/core/erofs/writer.ts';
import type { Inode } from '../../src/core/fs/file-tree.ts';

/** @param version of the format; by default as for a commit */
export function imageOf(root: Inode, version?: 0 | 1): Uint8Array {
  const chunks: Uint8Array[] = [];
  const options = { minVersion: version ?? 0, maxVersion: version ?? 1 };
  writeImage(root, options, (chunk) => chunks.push(chunk.slice()));
  return Buffer.concat(chunks);
}
