/**
 * A directory as the tree that mkcomposefs makes of it: metadata of every entry, small files inside, of larger
 * ones the fs-verity digest and the object path that follows from it. Hard links become files of their own.
 * @module
 */
import { closeSync, lstatSync } from 'node:fs';
import {
  type ByteString,
  byteString,
  compareByteStrings,
  displayByteString,
} from '../core/bytes/byte-string.ts';
import { systemCallError } from '../core/errno.ts';
import { type Inode, makeInode, type Xattr } from '../core/fs/file-tree.ts';
import { isRegular, isSymlink } from '../core/fs/mode.ts';
import { setXattr } from '../core/fs/xattr-account.ts';
import { fillDigestStore, objectPath, type StoredFile } from '../image/digest-store.ts';
import { DirectoryWalk, DT_BLK, DT_CHR, type Entry, placeOf, readEntries } from '../node/directory.ts';
import { type FileDigesterOptions, PooledDigester } from '../node/file-digester.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { makeNativeDigester, type NativeDigester } from '../node/native-digester.ts';
import { listDirectory, NO_XATTRS, SKIP_DEVICES, USER_XATTRS } from '../node/native-listing.ts';
import { type FileStamp, openStableAt } from '../node/stable-read.ts';
import { AT_FDCWD, type FileStatus, readLinkAt, readXattrs, statAt } from '../node/syscalls.ts';

export interface ScanOptions {
  /** Which extended attributes to take; all of them by default. */
  readonly xattrs?: 'all' | 'user' | 'none' | undefined;
  /** Makes every modification time 0. */
  readonly useEpoch?: boolean | undefined;
  /** Leaves out character and block devices. */
  readonly skipDevices?: boolean | undefined;
  /** Directory to which content that is not inside the image is copied, by digest. */
  readonly digestStore?: ByteString | undefined;
  /** Threads that digest and copy; as many as there are processors by default. */
  readonly threads?: number | undefined;
}

/** Files up to this size are put into the image, whose metadata for an outside file takes as much. */
const INLINE_LIMIT = 64;

interface FoundFile {
  readonly inode: Inode;
  /** The directory it is in, with the name it is found by; for people. */
  readonly directory: ByteString;
  readonly name: ByteString;
}

interface FileToStore extends FoundFile {
  /** For the kernel. */
  readonly place: ByteString;
  readonly stamp: FileStamp;
}

interface FoundDirectory {
  readonly inode: Inode;
  /** For people. */
  readonly path: ByteString;
  readonly place: ByteString;
  readonly status: FileStatus;
}

/**
 * Scans `path`. What is no directory becomes a tree of that one inode, for which there is no image.
 *
 * @throws SealtreeError `io` in the words of mkcomposefs: `error accessing PATH: …`,
 *   `error computing digest: PATH: …`, `cannot fill store: PATH: …`
 */
export async function scanDirectory(path: ByteString, options: ScanOptions = {}): Promise<Inode> {
  const pool = { threads: options.threads };
  const files: FileToStore[] = [];
  const walk = new DirectoryWalk();
  const digesting: FileDigesterOptions<FoundFile> = {
    pool,
    settle: ({ inode }, result) => setContent(inode, result),
    refuse: (file, error) => ioError(`error computing digest: ${displayByteString(pathOf(file))}`, error),
  };
  const digester =
    (isDirectoryItself(path) && makeNativeDigester(digesting)) || new PooledDigester(digesting);
  try {
    const root =
      digester instanceof PooledDigester
        ? await scanTree(path, walk, options, digester, files)
        : await scanNatively(path, walk, options, digester, files);
    await digester.finish();
    if (options.digestStore !== undefined) {
      await fillDigestStore(options.digestStore, files.filter(isOutside).map(storedFile), pool);
    }
    return root;
  } finally {
    await digester.close();
    walk.close();
  }
}

/** Whether there is a directory, which is no symlink. What else there is may be said by who looks closer. */
function isDirectoryItself(path: ByteString): boolean {
  return lstatSync(fsPath(path), { throwIfNoEntry: false })?.isDirectory() === true;
}

/** By the native part, which reads a directory at once and begins its files. */
async function scanNatively(
  path: ByteString,
  walk: DirectoryWalk,
  options: ScanOptions,
  digester: NativeDigester<FoundFile>,
  files: FileToStore[],
): Promise<Inode> {
  const flags =
    (options.skipDevices === true ? SKIP_DEVICES : 0) |
    (options.xattrs === 'none' ? NO_XATTRS : options.xattrs === 'user' ? USER_XATTRS : 0);
  const pending: FoundDirectory[] = [];
  const add = (
    directory: ByteString,
    place: ByteString,
    name: ByteString,
    inode: Inode,
    stamp: FileStatus,
  ) => {
    if (inode.children !== undefined) {
      pending.push({ inode, path: joinPath(directory, name), place: joinPath(place, name), status: stamp });
    } else if (isRegular(stamp.mode) && stamp.size > 0) {
      const file = { inode, directory, name };
      digester.expect(file, stamp.size);
      if (options.digestStore !== undefined) files.push({ ...file, place: joinPath(place, name), stamp });
    }
  };
  /** @param above the directory as it was found in the one above; undefined for the root */
  const scan = (path: ByteString, place: ByteString, above?: FoundDirectory): Inode => {
    let name = byteString('');
    return accessing(
      () => joinPath(path, name),
      () => {
        const reached = walk.withRoom(place, above?.status);
        const listed = listDirectory(digester, reached, flags, above?.status);
        if (!Array.isArray(listed)) {
          name = listed.name;
          throw listed.error;
        }
        let directory = above?.inode;
        for (const { name: found, status, target, xattrs } of listed) {
          name = found;
          const inode = makeFound(status, isSymlink(status.mode) ? target : undefined, xattrs, options);
          directory?.children?.set(name, inode);
          if (directory !== undefined) add(path, reached, name, inode, status);
          directory ??= inode;
        }
        return directory as Inode;
      },
    );
  };
  const root = scan(path, path);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    scan(next.path, next.place, next);
    await digester.turn();
  }
  return root;
}

async function scanTree(
  path: ByteString,
  walk: DirectoryWalk,
  options: ScanOptions,
  digester: PooledDigester<FoundFile>,
  files: FileToStore[],
): Promise<Inode> {
  const pending: FoundDirectory[] = [];
  const take = (directory: ByteString, name: ByteString, placeAt: () => ByteString, fd: number): Inode => {
    const status = statAt(fd, name);
    const isFilled = isRegular(status.mode) && status.size > 0;
    const opened = isFilled && digester.isForHere(status) ? tryOpen(fd, name) : undefined;
    try {
      const target = isSymlink(status.mode) ? readLinkAt(fd, name) : undefined;
      const inode = makeFound(status, target, xattrsOf(opened ?? placeAt, options), options);
      if (inode.children !== undefined) {
        pending.push({ inode, path: joinPath(directory, name), place: placeAt(), status });
      } else if (isFilled) {
        const file = { inode, directory, name };
        const isContent = status.size <= INLINE_LIMIT;
        if (options.digestStore !== undefined) files.push({ ...file, place: placeAt(), stamp: status });
        if (opened === undefined) digester.add(file, placeAt(), status, isContent);
        else digester.read(file, opened, status, isContent);
      }
      return inode;
    } finally {
      if (opened !== undefined) closeSync(opened);
    }
  };
  const root = accessing(
    () => path,
    () => take(byteString(''), path, () => path, AT_FDCWD),
  );
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { inode, path, place, status } = next;
    let name: ByteString | undefined;
    accessing(
      () => (name === undefined ? path : joinPath(path, name)),
      () => {
        const directory = inode === root ? walk.openRoot(place) : walk.open(place, status);
        try {
          // In the order in which the image has them: here it is sorted while workers read.
          for (const entry of readEntries(directory.fd).sort(byName)) {
            if (options.skipDevices === true && (entry.type === DT_CHR || entry.type === DT_BLK)) continue;
            name = entry.name;
            const found = entry.name;
            inode.children?.set(
              found,
              take(path, found, () => placeOf(directory, found), directory.fd),
            );
          }
        } finally {
          closeSync(directory.fd);
        }
      },
    );
    await digester.turn();
  }
  return root;
}

const byName = (a: Entry, b: Entry): number => compareByteStrings(a.name, b.name);

/** Opens a file for everything that is asked of it; undefined if that fails, which whoever reads it will tell. */
function tryOpen(directory: number, name: ByteString): number | undefined {
  try {
    return openStableAt(directory, name);
  } catch {
    return undefined;
  }
}

/**
 * The inode of one name, without the content of a file.
 *
 * @param target of a symlink
 */
function makeFound(
  status: FileStatus,
  target: ByteString | undefined,
  xattrs: readonly Xattr[],
  { useEpoch = false }: ScanOptions,
): Inode {
  const inode = makeInode(status.mode, status.uid, status.gid);
  inode.rdev = status.rdev;
  inode.size = target?.length ?? status.size;
  inode.payload = target;
  if (!useEpoch) {
    inode.mtimeSec = status.mtimeSec;
    inode.mtimeNsec = status.mtimeNsec;
  }
  setXattrs(inode, xattrs);
  return inode;
}

/** @param file the file open for reading, or its path */
function xattrsOf(file: number | (() => ByteString), { xattrs = 'all' }: ScanOptions): readonly Xattr[] {
  if (xattrs === 'none') return [];
  return readXattrs(typeof file === 'number' ? file : file(), xattrs === 'user' ? isUserXattr : undefined);
}

function setXattrs(inode: Inode, xattrs: readonly Xattr[]): void {
  if (xattrs.length === 0) return;
  const taken: Xattr[] = [];
  let cost: number | undefined = 0;
  for (const xattr of xattrs) {
    cost = setXattr(taken, xattr, cost);
    if (cost === undefined) throw systemCallError('xattrs', 'ERANGE');
  }
  inode.xattrs = taken;
}

const isUserXattr = (key: ByteString): boolean => key.startsWith('user.');

function setContent(inode: Inode, result: ByteString): void {
  if (Number(inode.size) <= INLINE_LIMIT) {
    inode.content = result;
    return;
  }
  inode.digest = result;
  inode.payload = objectPath(result);
}

const isOutside = ({ inode }: FoundFile): boolean => inode.digest !== undefined;

const pathOf = ({ directory, name }: FoundFile): ByteString => joinPath(directory, name);

function storedFile(file: FileToStore): StoredFile {
  return { digest: file.inode.digest as string, path: pathOf(file), place: file.place, stamp: file.stamp };
}

/** Runs one step, whose failure mkcomposefs tells with the path. */
function accessing<T>(path: () => ByteString, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw ioError(`error accessing ${displayByteString(path())}`, error);
  }
}
