/**
 * File objects of a `bare` repository: the file itself, with its owner, mode, xattrs, and symlinks as symlinks.
 * @module
 */
import { readlinkSync } from 'node:fs';
import { type ByteString, byteString } from '../../core/bytes/byte-string.ts';
import { malformed } from '../../core/errors.ts';
import type { Xattr } from '../../core/fs/file-tree.ts';
import { isRegular, isSymlink } from '../../core/fs/mode.ts';
import { fsPath } from '../../node/fs-path.ts';
import { isErrno, plainError } from '../../node/io-error.ts';
import { AT_FDCWD, type FileStatus, statAt } from '../../node/syscalls.ts';
import { readFileXattrs } from '../file-xattrs.ts';
import type { Repo } from '../repo.ts';
import { bareContent, type FileObject, openingContent } from './file-object.ts';

/** Undefined if this repository has no such object. */
export function readBareFile(repo: Repo, checksum: string): FileObject | undefined {
  return openingContent(checksum, () => {
    const path = repo.objectFile('file', checksum);
    const stat = statObject(path);
    if (stat === undefined) return undefined;
    const xattrsOf = () => (repo.disableXattrs ? [] : readFileXattrs(path));
    return bareFileObject(repo, checksum, stat, stat, xattrsOf);
  });
}

/** What lstat says of an object that is a file or a symlink, as all modes but bare-user store them. */
export function statObject(path: ByteString): FileStatus | undefined {
  let stat: FileStatus;
  try {
    stat = statAt(AT_FDCWD, path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw plainError(error);
  }
  if (!isRegular(stat.mode) && !isSymlink(stat.mode)) throw malformed('Not a regular file or symlink');
  return stat;
}

/**
 * A file object whose type, mode and content are those of the file in the repository.
 *
 * @param xattrsOf reads the xattrs, when they are first asked for: a hard link needs none
 */
export function bareFileObject(
  repo: Repo,
  checksum: string,
  { mode, size: fileSize }: { readonly mode: number; readonly size: number },
  { uid, gid }: { readonly uid: number; readonly gid: number },
  xattrsOf: () => readonly Xattr[],
): FileObject {
  const path = repo.objectFile('file', checksum);
  const link = isSymlink(mode);
  const size = link ? 0 : fileSize;
  const symlinkTarget = byteString(link ? readlinkSync(fsPath(path), 'latin1') : '');
  let xattrs: readonly Xattr[] | undefined;
  return {
    header: {
      uid,
      gid,
      mode,
      rdev: 0,
      symlinkTarget,
      get xattrs() {
        xattrs ??= openingContent(checksum, xattrsOf);
        return xattrs;
      },
    },
    size,
    contentFile: link ? undefined : path,
    content: () => (link ? [] : bareContent(path, repo.objectPath('file', checksum), size)),
  };
}
