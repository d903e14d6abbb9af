/** Which files of a file system the bytes at a place on its disk belong to. @module */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import { SealtreeError } from '../errors.ts';

/** A file system seen as places on its disk. Numbers stand for inodes. */
export interface PlacedFiles {
  readonly root: number;
  /** Of a directory; undefined for everything else. */
  entries(inode: number): ReadonlyMap<ByteString, number> | undefined;
  /** Where content of a file or directory lies, in bytes of the disk. */
  ranges(inode: number): Iterable<readonly [start: number, end: number]>;
}

/**
 * The files and directories, in the order of directories, that have any of the bytes from `start` to `end`.
 *
 * @param limit how many to find at most
 * @returns their paths
 */
export function ownersOf(files: PlacedFiles, start: number, end: number, limit: number): ByteString[] {
  const owners: ByteString[] = [];
  // No inode is looked at twice, so that hard links and circles end.
  const seen = new Set([files.root]);
  const pending: { path: string; inode: number }[] = [{ path: '', inode: files.root }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { path, inode } = next;
    for (const [from, to] of files.ranges(inode)) {
      if (from >= end || to <= start) continue;
      owners.push(byteString(path === '' ? '/' : path));
      break;
    }
    if (owners.length === limit) break;
    const entries = [...(files.entries(inode) ?? [])].reverse();
    for (const [name, number] of entries) {
      if (seen.has(number)) continue;
      seen.add(number);
      pending.push({ path: `${path}/${name}`, inode: number });
    }
  }
  return owners;
}

/** What cannot be read has no place: somebody asks about a disk of which something is known to be wrong. */
export function orElse<T>(otherwise: T, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealtreeError) return otherwise;
    throw error;
  }
}
