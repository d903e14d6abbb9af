/**
 * What differs between two trees, each a commit's or a directory of the file system. Rules and order are those of the
 * real tool: objects are compared by their checksums, so owner, mode and xattrs count.
 * @module
 */
import { closeSync, constants } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { SealtreeError } from '../core/errors.ts';
import { isDirectory, isRegular, isSymlink } from '../core/fs/mode.ts';
import { encodeDirmeta } from '../core/ostree/dirmeta.ts';
import { readEntries } from '../node/directory.ts';
import { joinPath } from '../node/fs-path.ts';
import { opensslHash } from '../node/hash.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { AT_FDCWD, type FileStatus, openAt, statAt } from '../node/syscalls.ts';
import { checksumFile } from './checksum-file.ts';
import { readFileXattrs } from './file-xattrs.ts';
import type { Repo } from './repo.ts';
import { childPath, readDirectory, rootOf, type TreeDirectory } from './tree-path.ts';

export interface DiffOptions {
  /** Whether xattrs of files in the file system count. */
  readonly xattrs: boolean;
  /** What stands for the owner of everything in the second tree, if that is a directory. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/** Paths: absolute in a commit, relative to the directory otherwise. */
export interface Differences {
  readonly modified: ByteString[];
  readonly removed: ByteString[];
  readonly added: ByteString[];
}

/** A directory to compare. */
export interface DiffDirectory {
  /** Checksum of its content, where it has one. */
  readonly dirtree: string | undefined;
  children(): DiffEntry[];
  child(name: ByteString): DiffEntry | undefined;
}

/** Entries that GIO sorts at once. */
const GIO_CHUNK = 1000;

interface DiffEntry {
  readonly name: ByteString;
  readonly path: ByteString;
  readonly type: 'regular' | 'directory' | 'symlink' | 'special';
  /** Of the file system; 0 in a commit. */
  readonly ino: bigint;
  checksum(): string;
  directory(): DiffDirectory;
}

/** The tree of a commit. */
export function commitDirectory(repo: Repo, commit: string): DiffDirectory {
  return treeDirectory(repo, rootOf(repo, commit));
}

/**
 * A directory of the file system.
 *
 * @param options.uid stands for the owner of all in it
 */
export function fileSystemDirectory(root: ByteString, options: DiffOptions): DiffDirectory {
  return nativeDirectory(root, byteString(''), options);
}

/** Compares two directories and all in them, in the order in which ostree lists the differences. */
export function diffTrees(a: DiffDirectory, b: DiffDirectory): Differences {
  const found: Differences = { modified: [], removed: [], added: [] };
  const stack = [frameOf(a, b)];
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const child = frame.children[frame.next++];
    if (child === undefined) {
      if (!frame.same) findAdded(frame, found.added);
      stack.pop();
      continue;
    }
    const other = frame.b.child(child.name);
    if (other === undefined) found.removed.push(child.path);
    else if (other.type !== child.type) found.modified.push(child.path);
    else {
      if (child.checksum() !== other.checksum()) found.modified.push(child.path);
      if (child.type === 'directory') stack.push(frameOf(child.directory(), other.directory()));
    }
  }
  return found;
}

interface Frame {
  readonly a: DiffDirectory;
  readonly b: DiffDirectory;
  readonly same: boolean;
  readonly children: readonly DiffEntry[];
  next: number;
}

function frameOf(a: DiffDirectory, b: DiffDirectory): Frame {
  const same = a.dirtree !== undefined && a.dirtree === b.dirtree;
  return { a, b, same, children: same ? [] : a.children(), next: 0 };
}

/** What is only in the second of two directories, and all below it. */
function findAdded({ a, b }: Frame, added: ByteString[]): void {
  for (const entry of b.children()) {
    if (a.child(entry.name) !== undefined) continue;
    const waiting = [entry];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      added.push(next.path);
      if (next.type === 'directory') waiting.push(...next.directory().children().reverse());
    }
  }
}

function treeDirectory(repo: Repo, directory: TreeDirectory): DiffDirectory {
  const { path, content } = directory;
  const entries: DiffEntry[] = [
    ...content.files.map(({ name, checksum }) => fileEntry(repo, name, childPath(path, name), checksum)),
    ...content.dirs.map(({ name, dirtree, dirmeta }): DiffEntry => {
      const below = childPath(path, name);
      const read = () => treeDirectory(repo, readDirectory(repo, below, dirtree, dirmeta));
      return { name, path: below, type: 'directory', ino: 0n, checksum: () => dirmeta, directory: read };
    }),
  ];
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  return { dirtree: directory.dirtree, children: () => entries, child: (name) => byName.get(name) };
}

function fileEntry(repo: Repo, name: ByteString, path: ByteString, checksum: string): DiffEntry {
  return {
    name,
    path,
    get type() {
      return isSymlink(repo.file(checksum).header.mode) ? 'symlink' : 'regular';
    },
    ino: 0n,
    checksum: () => checksum,
    directory: notDirectory,
  };
}

function nativeDirectory(place: ByteString, path: ByteString, options: DiffOptions): DiffDirectory {
  const entryOf = (name: ByteString) => nativeEntry(place, path, name, options);
  return {
    dirtree: undefined,
    children: () => inInodeOrder(namesIn(place).flatMap((name) => entryOf(name) ?? [])),
    child: entryOf,
  };
}

function nativeEntry(
  directory: ByteString,
  path: ByteString,
  name: ByteString,
  options: DiffOptions,
): DiffEntry | undefined {
  const place = joinPath(directory, name);
  const status = statusOf(place);
  if (status === undefined) return undefined;
  const below = joinPath(path, name);
  const owned = { ...status, uid: options.uid ?? status.uid, gid: options.gid ?? status.gid };
  return {
    name,
    path: below,
    type: typeOf(status.mode),
    ino: status.ino,
    checksum: () => nativeChecksum(place, owned, options.xattrs),
    directory: () => nativeDirectory(place, below, options),
  };
}

function nativeChecksum(place: ByteString, status: FileStatus, xattrs: boolean): string {
  if (!isDirectory(status.mode)) return checksumFile(place, status, { xattrs });
  const { uid, gid, mode } = status;
  const data = encodeDirmeta({ uid, gid, mode, xattrs: xattrs ? readFileXattrs(place) : [] });
  return hexOf(opensslHash.digest('sha256', data));
}

function typeOf(mode: number): DiffEntry['type'] {
  if (isDirectory(mode)) return 'directory';
  if (isSymlink(mode)) return 'symlink';
  return isRegular(mode) ? 'regular' : 'special';
}

function statusOf(place: ByteString): FileStatus | undefined {
  try {
    return statAt(AT_FDCWD, place);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw ioError(`Error when getting information for file “${displayByteString(place)}”`, error);
  }
}

/** As GIO lists a directory: a thousand entries at a time, sorted by their inodes. */
function inInodeOrder(entries: readonly DiffEntry[]): DiffEntry[] {
  const ordered: DiffEntry[] = [];
  for (let at = 0; at < entries.length; at += GIO_CHUNK) {
    const chunk = entries.slice(at, at + GIO_CHUNK);
    ordered.push(...chunk.sort((a, b) => (a.ino < b.ino ? -1 : a.ino > b.ino ? 1 : 0)));
  }
  return ordered;
}

/** In the order of the file system. */
function namesIn(place: ByteString): ByteString[] {
  try {
    const fd = openAt(AT_FDCWD, place, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      return readEntries(fd).map(({ name }) => name);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw ioError(`Error opening directory “${displayByteString(place)}”`, error);
  }
}

function notDirectory(): never {
  throw new SealtreeError('internal', 'not a directory');
}
