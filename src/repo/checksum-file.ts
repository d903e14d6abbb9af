/** The checksum that a file of a file system would have as an object. @module */
import { createHash } from 'node:crypto';
import { closeSync, constants, openSync } from 'node:fs';
import type { ByteString } from '../core/bytes/byte-string.ts';
import { byteString } from '../core/bytes/byte-string.ts';
import { malformed } from '../core/errors.ts';
import { isRegular, isSymlink, S_IFMT } from '../core/fs/mode.ts';
import { encodeFileHeader } from '../core/ostree/file-header.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { AT_FDCWD, type FileStatus, readLinkAt } from '../node/syscalls.ts';
import { readFileXattrs } from './file-xattrs.ts';
import { readPieces } from './modes/file-object.ts';

export interface ChecksumOptions {
  /** Whether the xattrs of the file count; none do otherwise. */
  readonly xattrs: boolean;
  /** Owner 0:0, and of the mode of a regular file only 0755 counts, as in a bare-user-only repository. */
  readonly canonical?: boolean;
}

/**
 * @param status what `path` is known to be
 * @throws SealtreeError `io`; `malformed` for what can be no object
 */
export function checksumFile(
  path: ByteString,
  status: Pick<FileStatus, 'mode' | 'uid' | 'gid' | 'size'>,
  { xattrs, canonical = false }: ChecksumOptions,
): string {
  const { mode } = status;
  if (!isRegular(mode) && !isSymlink(mode)) throw malformed('Not a regular file or symlink');
  const header = encodeFileHeader({
    uid: canonical ? 0 : status.uid,
    gid: canonical ? 0 : status.gid,
    mode: canonical && isRegular(mode) ? (mode & S_IFMT) | (mode & 0o755) : mode,
    rdev: 0,
    symlinkTarget: isSymlink(mode) ? readLinkAt(AT_FDCWD, path) : byteString(''),
    xattrs: xattrs ? readFileXattrs(path) : [],
  });
  const hash = createHash('sha256').update(header);
  if (isRegular(mode)) hashContent(hash, path, status.size);
  return hash.digest('hex');
}

function hashContent(hash: ReturnType<typeof createHash>, path: ByteString, size: number): void {
  try {
    const fd = openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      for (const piece of readPieces(fd, 0, size)) hash.update(piece);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw ioError('openat', error);
  }
}
