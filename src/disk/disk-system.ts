/**
 * The System port over an ext4 file system that is not mounted. What the kernel would answer about fs-verity is
 * read from the descriptor behind the end of the file.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { SUPERBLOCK_MAGIC } from '../core/ext4/format.ts';
import type { Ext4Inode, Ext4Reader } from '../core/ext4/reader.ts';
import { measureVerity } from '../core/ext4/verity.ts';
import { isDirectory, isRegular, isSymlink } from '../core/fs/mode.ts';
import type { Hash } from '../core/hash.ts';
import type { FileKind, System } from '../core/system.ts';

const MAX_LINKS = 40;

/**
 * @param at the path that stands for the root of the file system
 * @param elsewhere answers for all other paths
 */
export function diskSystem(reader: Ext4Reader, at: ByteString, hash: Hash, elsewhere: System): System {
  /** The path on the disk; undefined if it is not there. */
  const below = (path: ByteString): ByteString | undefined =>
    path === at
      ? byteString('')
      : path.startsWith(`${at}/`)
        ? byteString(path.slice(at.length + 1))
        : undefined;
  return {
    readFile(path, limit) {
      const own = below(path);
      if (own === undefined) return elsewhere.readFile(path, limit);
      const inode = resolve(reader, own, true);
      if (inode === undefined) return undefined;
      const shown = displayByteString(path);
      if (!isRegular(inode.mode)) throw malformed(`${shown}: not a regular file`);
      if (inode.size > limit) throw malformed(`${shown}: ${inode.size} bytes, at most ${limit} are allowed`);
      return reader.read(inode, 0, inode.size);
    },
    readLink(path) {
      const own = below(path);
      if (own === undefined) return elsewhere.readLink(path);
      const inode = resolve(reader, own, false);
      return inode === undefined || !isSymlink(inode.mode) ? undefined : reader.readLink(inode);
    },
    readDirectory(path) {
      const own = below(path);
      if (own === undefined) return elsewhere.readDirectory(path);
      const inode = resolve(reader, own, true);
      if (inode === undefined || !isDirectory(inode.mode)) return undefined;
      return [...reader.readDirectory(inode).keys()].sort();
    },
    kindOf(path): FileKind | undefined {
      const own = below(path);
      if (own === undefined) return elsewhere.kindOf(path);
      const inode = resolve(reader, own, false);
      if (inode === undefined) return undefined;
      if (isRegular(inode.mode)) return 'file';
      if (isDirectory(inode.mode)) return 'directory';
      return isSymlink(inode.mode) ? 'symlink' : 'other';
    },
    examineVerity(path) {
      const own = below(path);
      if (own === undefined) return elsewhere.examineVerity(path);
      const inode = resolve(reader, own, true);
      if (inode === undefined) return undefined;
      const digest = measureVerity(reader, inode, hash);
      return { fileSystem: SUPERBLOCK_MAGIC, enforced: inode.verity, digest };
    },
    fileSystemOf(path) {
      const own = below(path);
      if (own === undefined) return elsewhere.fileSystemOf(path);
      return resolve(reader, own, true) === undefined ? undefined : SUPERBLOCK_MAGIC;
    },
  };
}

/** Follows symlinks that stay on the disk: an absolute one leads to wherever the disk will be mounted. */
function resolve(reader: Ext4Reader, path: ByteString, followLast: boolean): Ext4Inode | undefined {
  const todo = path.split('/').reverse();
  const above: Ext4Inode[] = [reader.root];
  for (let links = 0; todo.length > 0; ) {
    const name = todo.pop() as string;
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (above.length > 1) above.pop();
      continue;
    }
    const directory = above.at(-1) as Ext4Inode;
    if (!isDirectory(directory.mode)) return undefined;
    const number = reader.readDirectory(directory).get(byteString(name));
    if (number === undefined) return undefined;
    const inode = reader.inode(number);
    if (!isSymlink(inode.mode) || (!followLast && todo.length === 0)) {
      above.push(inode);
      continue;
    }
    if (++links > MAX_LINKS)
      throw new SealtreeError('io', `${displayByteString(path)}: Too many levels of symbolic links`);
    const target = reader.readLink(inode);
    if (target.startsWith('/')) return undefined;
    todo.push(...target.split('/').reverse());
  }
  return above.at(-1);
}
