/**
 * A directory on this machine as the tree of an ext4 file system: metadata and hard links as they are, content to be
 * read later.
 * @module
 */
import { closeSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import type { DiskNode, ReadContent } from '../core/fs/disk-node.ts';
import { isDirectory, isRegular, isSymlink } from '../core/fs/mode.ts';
import { DirectoryWalk, placeOf, readEntries } from '../node/directory.ts';
import { joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { type FileStamp, readStable } from '../node/stable-read.ts';
import { AT_FDCWD, type FileStatus, readLinkAt, readXattrs, statAt } from '../node/syscalls.ts';

export interface ScanRules {
  /** Which regular files are to have fs-verity on, by their path below the root: `ostree/repo/objects/…`. */
  readonly verity: (path: ByteString) => boolean;
  readonly immutable: (path: ByteString) => boolean;
  /** Directories of which only the metadata is taken. */
  readonly empty: (path: ByteString) => boolean;
  /** Seconds since 1970; nothing is younger. */
  readonly timestamp: number;
}

export interface ScannedTree {
  readonly root: DiskNode;
  /** Reads the content of one of its regular files. */
  readonly read: ReadContent;
  /** Gives back what deep directories need; nothing can be read then. */
  readonly close: () => void;
}

interface Source {
  readonly path: ByteString;
  readonly place: ByteString;
  readonly stamp: FileStamp;
}

interface Directory {
  readonly path: ByteString;
  readonly place: ByteString;
  readonly status: FileStatus;
  readonly entries: Map<ByteString, DiskNode>;
}

const BUFFER_SIZE = 1024 * 1024;

/**
 * @param path of a directory, or of a single file
 * @throws SealtreeError `io`: `reading PATH: …`
 */
export function scanTree(path: ByteString, rules: ScanRules): ScannedTree {
  const walk = new DirectoryWalk();
  const sources = new Map<DiskNode, Source>();
  const links = new Map<string, DiskNode>();
  const pending: Directory[] = [];
  const take = (directory: number, name: ByteString, place: ByteString, below: ByteString): DiskNode => {
    const status = statAt(directory, name);
    const key = `${status.dev}:${status.ino}`;
    const known = isDirectory(status.mode) || status.nlink < 2 ? undefined : links.get(key);
    if (known !== undefined) {
      // A link elsewhere may be the one that asks for verity.
      if (rules.verity(below)) (known as { verity: boolean }).verity = isRegular(status.mode);
      return known;
    }
    const node = makeNode(directory, name, place, status, below, rules);
    if (status.nlink > 1) links.set(key, node);
    if (node.entries !== undefined && !rules.empty(below))
      pending.push({ path: below, place, status, entries: node.entries as Map<ByteString, DiskNode> });
    if (isRegular(status.mode)) sources.set(node, { path: below, place, stamp: status });
    return node;
  };
  try {
    const root = reading(path, () => take(AT_FDCWD, path, path, byteString('')));
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const { path: below, place, status, entries } = next;
      reading(joinPath(path, below), () => {
        const directory = below === '' ? walk.openRoot(place) : walk.open(place, status);
        try {
          for (const { name } of readEntries(directory.fd))
            entries.set(name, take(directory.fd, name, placeOf(directory, name), joinPath(below, name)));
        } finally {
          closeSync(directory.fd);
        }
      });
    }
    const buffer = Buffer.alloc(BUFFER_SIZE);
    return {
      root,
      read: (node, consume) => {
        const { path: below, place, stamp } = sources.get(node) as Source;
        reading(joinPath(path, below), () => readStable(place, stamp, buffer, consume));
      },
      close: () => walk.close(),
    };
  } catch (error) {
    walk.close();
    throw error;
  }
}

function makeNode(
  directory: number,
  name: ByteString,
  place: ByteString,
  status: FileStatus,
  path: ByteString,
  { verity, immutable, timestamp }: ScanRules,
): DiskNode {
  const { mode, uid, gid, rdev, size, mtimeSec } = status;
  return {
    mode,
    uid,
    gid,
    rdev,
    mtime: Math.min(mtimeSec, timestamp),
    xattrs: readXattrs(place),
    size: isRegular(mode) ? size : 0,
    target: isSymlink(mode) ? readLinkAt(directory, name) : undefined,
    verity: isRegular(mode) && verity(path),
    immutable: immutable(path),
    entries: isDirectory(mode) ? new Map() : undefined,
  };
}

function reading<T>(path: ByteString, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw ioError(`reading ${displayByteString(path)}`, error);
  }
}
