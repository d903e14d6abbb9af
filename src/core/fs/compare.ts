/**
 * Says where two trees differ, in words: when a digest is not what it should be, this tells why.
 * Compare like with like: two trees that were read from images, or two from dump files, since an image does not keep
 * everything that a dump file can say (sizes of directories, lengths of special files).
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { type DirectoryEntry, type Inode, isHardLink } from './file-tree.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from './mode.ts';
import { resolveEntry, walkTree } from './walk.ts';

export interface Difference {
  readonly path: ByteString;
  /**
   * `entry` (there or not), `type`, `mode`, `nlink`, `uid`, `gid`, `rdev`, `size`, `mtime`, `target`, `backing file`,
   * `digest`, `content`, `hard link` or `xattr NAME`.
   */
  readonly field: string;
  /** For people; `none` where there is nothing. */
  readonly expected: string;
  readonly found: string;
}

export interface CompareOptions {
  /** Stop after so many differences; 100 if not given. */
  readonly limit?: number;
}

/**
 * Compares two trees name by name, depth first and in byte order. Of a name that only one has, what is below is not
 * listed. Which of several names a tree holds an inode under makes no difference.
 *
 * @param a the tree as it should be
 * @param b the tree as it is
 */
export function compareTrees(a: Inode, b: Inode, options: CompareOptions = {}): Difference[] {
  const limit = options.limit ?? 100;
  const differences: Difference[] = [];
  const sideA = new Side(a);
  const sideB = new Side(b);
  compareInodes(a, b, byteString('/'), differences);
  const walks = [startWalk(a, b, 0)];
  let path = '';
  while (walks.length > 0 && differences.length < limit) {
    const walk = walks[walks.length - 1] as Walk;
    if (walk.next === walk.names.length) {
      walks.pop();
      continue;
    }
    const name = walk.names[walk.next++] as ByteString;
    path = `${path.slice(0, walk.pathLength)}/${name}`;
    const at = byteString(path);
    const entryA = walk.a.get(name);
    const entryB = walk.b.get(name);
    if (entryA === undefined || entryB === undefined) {
      differences.push({ path: at, field: 'entry', expected: kindOf(entryA), found: kindOf(entryB) });
      continue;
    }
    const inodeA = resolveEntry(entryA);
    const inodeB = resolveEntry(entryB);
    if (inodeA === undefined || inodeB === undefined) {
      if (inodeA !== inodeB) {
        differences.push({ path: at, field: 'entry', expected: kindOf(entryA), found: kindOf(entryB) });
      }
      continue;
    }
    const firstA = sideA.firstPath(inodeA, at);
    const firstB = sideB.firstPath(inodeB, at);
    if (firstA !== firstB) {
      differences.push({
        path: at,
        field: 'hard link',
        expected: firstA === at ? 'none' : quoted(firstA),
        found: firstB === at ? 'none' : quoted(firstB),
      });
    }
    if (firstA === at && firstB === at) {
      compareInodes(inodeA, inodeB, at, differences);
      if (inodeA.children !== undefined && inodeB.children !== undefined) {
        walks.push(startWalk(inodeA, inodeB, path.length));
      }
    }
  }
  return differences.slice(0, limit);
}

/** One difference as a sentence: `/usr/bin/su: mode is 755, expected 4755`. */
export function describeDifference({ path, field, expected, found }: Difference): string {
  const where = displayByteString(path);
  switch (field) {
    case 'entry':
      if (found === 'none') return `${where}: is missing, expected ${expected}`;
      if (expected === 'none') return `${where}: is ${found}, expected nothing of that name`;
      return `${where}: is ${found}, expected ${expected}`;
    case 'type':
      return `${where}: is ${found}, expected ${expected}`;
    default:
      return `${where}: ${field} is ${found}, expected ${expected}`;
  }
}

/** One of the two trees: which path is the first of an inode that has several. */
class Side {
  readonly #paths = new Map<Inode, ByteString | undefined>();

  constructor(root: Inode) {
    walkTree(root, (_path, entry) => {
      const target = isHardLink(entry) ? resolveEntry(entry) : undefined;
      if (target !== undefined) this.#paths.set(target, undefined);
    });
    if (this.#paths.has(root)) this.#paths.set(root, byteString('/'));
  }

  /** The path under which `inode` was asked for first; now is `path`. */
  firstPath(inode: Inode, path: ByteString): ByteString {
    if (!this.#paths.has(inode)) return path;
    const first = this.#paths.get(inode);
    if (first === undefined) this.#paths.set(inode, path);
    return first ?? path;
  }
}

interface Walk {
  readonly a: ReadonlyMap<ByteString, DirectoryEntry>;
  readonly b: ReadonlyMap<ByteString, DirectoryEntry>;
  readonly names: ByteString[];
  readonly pathLength: number;
  next: number;
}

function startWalk(a: Inode, b: Inode, pathLength: number): Walk {
  const childrenA = a.children ?? new Map<ByteString, DirectoryEntry>();
  const childrenB = b.children ?? new Map<ByteString, DirectoryEntry>();
  const names = [...childrenA.keys()];
  for (const name of childrenB.keys()) if (!childrenA.has(name)) names.push(name);
  return { a: childrenA, b: childrenB, names: names.sort(), pathLength, next: 0 };
}

function compareInodes(a: Inode, b: Inode, path: ByteString, differences: Difference[]): void {
  const note = (field: string, expected: string | number | bigint, found: string | number | bigint) => {
    if (expected !== found) {
      differences.push({ path, field, expected: String(expected), found: String(found) });
    }
  };
  if ((a.mode & S_IFMT) !== (b.mode & S_IFMT)) {
    note('type', kindOf(a), kindOf(b));
    return;
  }
  note('mode', permissions(a), permissions(b));
  note('uid', a.uid, b.uid);
  note('gid', a.gid, b.gid);
  note('mtime', `${a.mtimeSec}.${a.mtimeNsec}`, `${b.mtimeSec}.${b.mtimeNsec}`);
  const type = a.mode & S_IFMT;
  if (type !== S_IFDIR) note('nlink', a.nlink, b.nlink);
  switch (type) {
    case S_IFREG:
      note('size', a.size, b.size);
      note('backing file', quoted(a.payload), quoted(b.payload));
      note('digest', a.digest ?? 'none', b.digest ?? 'none');
      compareContent(a.content ?? '', b.content ?? '', note);
      break;
    case S_IFLNK:
      note('target', quoted(a.payload), quoted(b.payload));
      break;
    case S_IFCHR:
    case S_IFBLK:
      note('rdev', a.rdev, b.rdev);
      break;
  }
  compareXattrs(a, b, note);
}

type Note = (field: string, expected: string, found: string) => void;

function compareContent(a: string, b: string, note: Note): void {
  if (a === b) return;
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  const show = (text: string) =>
    text === '' ? 'not in the image' : `${quoted(byteString(text.slice(at, at + 32)))} from byte ${at} on`;
  note('content', show(a), show(b));
}

function compareXattrs(a: Inode, b: Inode, note: Note): void {
  if (a.xattrs.length === 0 && b.xattrs.length === 0) return;
  const valuesA = new Map(a.xattrs);
  const valuesB = new Map(b.xattrs);
  for (const key of [...new Set([...valuesA.keys(), ...valuesB.keys()])].sort()) {
    note(`xattr ${displayByteString(key)}`, quoted(valuesA.get(key)), quoted(valuesB.get(key)));
  }
}

function kindOf(entry: DirectoryEntry | undefined): string {
  if (entry === undefined) return 'none';
  const inode = resolveEntry(entry);
  if (inode === undefined) return 'a hard link in a circle';
  switch (inode.mode & S_IFMT) {
    case S_IFREG:
      return 'a regular file';
    case S_IFDIR:
      return 'a directory';
    case S_IFLNK:
      return 'a symlink';
    case S_IFCHR:
      return inode.rdev === 0 ? 'a whiteout' : 'a character device';
    case S_IFBLK:
      return 'a block device';
    case S_IFIFO:
      return 'a fifo';
    case S_IFSOCK:
      return 'a socket';
    default:
      return 'of an unknown type';
  }
}

function permissions(inode: Inode): string {
  return (inode.mode & ~S_IFMT & 0xffff).toString(8);
}

function quoted(value: ByteString | undefined): string {
  return value === undefined ? 'none' : `'${displayByteString(value)}'`;
}
