/**
 * File objects of a `bare` repository: the file itself, with its owner, mode, xattrs, and symlinks as symlinks.
 * @module
 */
import { lstatSync, readlinkSync } from 'node:fs';
import { type ByteString, byteString } from '../../core/bytes/byte-string.ts';
import { malformed } from '../../core/errors.ts';
import { isRegular, isSymlink } from '../../core/fs/mode.ts';
import { fsPath } from '../../node/fs-path.ts';
import { readFileXattrs } from '../file-xattrs.ts';
import type { Repo } from '../repo.ts';
import { bareContent, type FileObject, openingContent } from './file-object.ts';

/** Undefined if this repository has no such object. */
export function readBareFile(repo: Repo, checksum: string): FileObject | undefined {
  return openingContent(checksum, () => {
    const path = repo.objectFile('file', checksum);
    const stat = statObject(path);
    if (stat === undefined) return undefined;
    return bareFileObject(repo, checksum, stat, {
      uid: stat.uid,
      gid: stat.gid,
      xattrs: repo.disableXattrs ? [] : readFileXattrs(path),
    });
  });
}

/** What lstat says of an object that is a file or a symlink, as all modes but bare-user store them. */
export function statObject(path: ByteString) {
  const stat = lstatSync(fsPath(path), { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if (!isRegular(stat.mode) && !isSymlink(stat.mode)) throw malformed('Not a regular file or symlink');
  return stat;
}

/** A file object whose type, mode and content are those of the file in the repository. */
export function bareFileObject(
  repo: Repo,
  checksum: string,
  stat: { readonly mode: number; readonly size: number },
  known: Pick<FileObject['header'], 'uid' | 'gid' | 'xattrs'>,
): FileObject {
  const path = repo.objectFile('file', checksum);
  const link = isSymlink(stat.mode);
  const size = link ? 0 : stat.size;
  return {
    header: {
      ...known,
      mode: stat.mode,
      rdev: 0,
      symlinkTarget: link ? byteString(readlinkSync(fsPath(path), 'latin1')) : byteString(''),
    },
    size,
    contentFile: link ? undefined : path,
    content: () => (link ? [] : bareContent(path, repo.objectPath('file', checksum), size)),
  };
}
