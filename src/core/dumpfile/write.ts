/** Writes trees as composefs dump files, as `composefs-info dump` prints them: composefs-dump(5). @module */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import { type DirectoryEntry, type Inode, isHardLink } from '../fs/file-tree.ts';
import { resolveEntry, walkTree } from '../fs/walk.ts';
import { escapeField } from './escape.ts';

/** Bytes that are handed out at a time. */
const CHUNK_SIZE = 1 << 16;

/**
 * Writes a tree, one line for each name, depth first and in byte order. The first name of an inode in that order is
 * where the tree must hold it; further ones are lines that repeat it with `@` and the path.
 *
 * @throws SealtreeError `malformed` if a hard link leads nowhere in the tree
 */
export function writeDump(root: Inode, emit: (text: ByteString) => void): void {
  const linked = pathsOfLinked(root);
  let pending = '';
  walkTree(root, (path, entry) => {
    const inode = resolveEntry(entry);
    const link = isHardLink(entry) ? linked.get(inode as Inode) : undefined;
    if (inode === undefined || (isHardLink(entry) && link === undefined)) {
      throw malformed(`hard link ${displayByteString(path)} does not lead to an inode of the tree`);
    }
    pending += dumpLine(path, inode, link);
    if (pending.length >= CHUNK_SIZE) {
      emit(byteString(pending));
      pending = '';
    }
  });
  if (pending !== '') emit(byteString(pending));
}

/**
 * The line of one name, with its newline.
 *
 * @param link for a hard link: the path of the inode it names
 */
export function dumpLine(path: ByteString, inode: Inode, link?: ByteString): string {
  const payload = link ?? inode.payload;
  let line =
    `${escapeField(path)} ${inode.size} ${link === undefined ? '' : '@'}${inode.mode.toString(8)}` +
    ` ${inode.nlink} ${inode.uid} ${inode.gid} ${inode.rdev} ${inode.mtimeSec}.${inode.mtimeNsec}` +
    ` ${payload === undefined ? '-' : escapeField(payload, { loneDash: true })}` +
    ` ${inode.content ? escapeField(inode.content, { loneDash: true }) : '-'}` +
    ` ${inode.digest ?? '-'}`;
  for (const [key, value] of inode.xattrs) {
    line += ` ${escapeField(key, { equal: true })}=${escapeField(value, { equal: true })}`;
  }
  return `${line}\n`;
}

/** Paths of the inodes that hard links name. */
function pathsOfLinked(root: Inode): Map<Inode, ByteString> {
  const targets = new Set<Inode>();
  walkTree(root, (_path, entry) => {
    const target = isHardLink(entry) ? resolveEntry(entry) : undefined;
    if (target !== undefined) targets.add(target);
  });
  const paths = new Map<Inode, ByteString>();
  if (targets.size === 0) return paths;
  walkTree(root, (path: ByteString, entry: DirectoryEntry) => {
    if (!isHardLink(entry) && targets.has(entry)) paths.set(entry, path);
  });
  return paths;
}
