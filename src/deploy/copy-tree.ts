/** Directories copied as they are. @module */
import { closeSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { isDirectory, isRegular, isSymlink } from '../core/fs/mode.ts';
import { readEntries } from '../node/directory.ts';
import { joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { AT_FDCWD, makeDirectoryAt, statAt } from '../node/syscalls.ts';
import { copyDirectoryAttributes, copyFile, openDirectory } from './files.ts';

/**
 * Copies a directory and all in it.
 *
 * @param xattrs whether extended attributes go along
 */
export function copyTree(source: ByteString, directory: number, name: ByteString, xattrs = true): void {
  const base = byteString(`/proc/self/fd/${directory}`);
  const waiting = [{ source, target: joinPath(base, name) }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    try {
      makeDirectoryAt(AT_FDCWD, next.target, 0o700);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw ioError('mkdirat', error);
    }
    const from = openDirectory(next.source, { follow: false });
    try {
      const to = openDirectory(next.target, { follow: false });
      try {
        copyDirectoryAttributes(from, to, xattrs);
        for (const { name: child } of readEntries(from)) {
          const path = joinPath(next.source, child);
          const status = statAt(from, child);
          if (isDirectory(status.mode)) waiting.push({ source: path, target: joinPath(next.target, child) });
          else if (isRegular(status.mode) || isSymlink(status.mode))
            copyFile(path, status, to, child, { xattrs, replace: true });
        }
      } finally {
        closeSync(to);
      }
    } finally {
      closeSync(from);
    }
  }
}
