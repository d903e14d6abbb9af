/** Walks over file trees, without recursion: a tree may be deeper than any stack. @module */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import { type DirectoryEntry, type Inode, isHardLink } from './file-tree.ts';

/**
 * Visits the root and then every name in it, depth first, the names of a directory in byte order. A hard link is
 * visited, what it links to is not entered through it.
 *
 * @param visit gets the path, `/` for the root, and what stands there
 */
export function walkTree(root: Inode, visit: (path: ByteString, entry: DirectoryEntry) => void): void {
  visit(byteString('/'), root);
  const walks = [startWalk(root, 0)];
  let path = '';
  while (walks.length > 0) {
    const walk = walks[walks.length - 1] as Walk;
    if (walk.next === walk.names.length) {
      walks.pop();
      continue;
    }
    const name = walk.names[walk.next++] as ByteString;
    const entry = walk.children.get(name) as DirectoryEntry;
    // One path is cut and grown again, so that a deep tree does not hold a copy of it for every level.
    path = `${path.slice(0, walk.pathLength)}/${name}`;
    visit(byteString(path), entry);
    if (!isHardLink(entry) && entry.children !== undefined && entry.children.size > 0) {
      walks.push(startWalk(entry, path.length));
    }
  }
}

/** Names in byte order. */
export function sortedNames(children: ReadonlyMap<ByteString, DirectoryEntry>): ByteString[] {
  return [...children.keys()].sort();
}

/**
 * The inode that an entry stands for.
 *
 * @returns undefined for a cycle of links
 */
export function resolveEntry(entry: DirectoryEntry): Inode | undefined {
  // Two steps against one: they meet if the links go in a circle.
  let slow: DirectoryEntry = entry;
  let fast: DirectoryEntry = entry;
  while (isHardLink(fast)) {
    fast = fast.linkTo;
    if (!isHardLink(fast)) break;
    fast = fast.linkTo;
    slow = isHardLink(slow) ? slow.linkTo : slow;
    if (slow === fast && isHardLink(slow)) return undefined;
  }
  return fast as Inode;
}

interface Walk {
  readonly children: ReadonlyMap<ByteString, DirectoryEntry>;
  readonly names: ByteString[];
  readonly pathLength: number;
  next: number;
}

function startWalk(directory: Inode, pathLength: number): Walk {
  const children = directory.children ?? new Map<ByteString, DirectoryEntry>();
  return { children, names: sortedNames(children), pathLength, next: 0 };
}
