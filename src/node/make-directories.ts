/** Making a directory with all that lead to it. @module */
import { mkdirSync, statSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { systemCallError } from '../core/errno.ts';
import { fsPath } from './fs-path.ts';
import { isErrno } from './io-error.ts';

/**
 * Makes the directory `path` and those above it that are not there; symlinks to directories will do. Node's own
 * `recursive` never ends where a file system refuses to make a directory with ENOENT, as /proc does.
 *
 * @param mode permission bits of those that are made, before the umask
 */
export function makeDirectories(path: ByteString, mode: number): void {
  if (isDirectory(path)) return;
  for (let end = path.indexOf('/', 1); end >= 0; end = path.indexOf('/', end + 1)) {
    makeDirectory(byteString(path.slice(0, end)), mode);
  }
  makeDirectory(path, mode);
}

function makeDirectory(path: ByteString, mode: number): void {
  if (isDirectory(path)) return;
  try {
    mkdirSync(fsPath(path), { mode });
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (!isErrno(error, 'EEXIST') || !isDirectory(path)) throw error;
  }
}

/** @throws SealtreeError `io` (ENOTDIR) if something else has that name */
function isDirectory(path: ByteString): boolean {
  const status = statSync(fsPath(path), { throwIfNoEntry: false });
  if (status === undefined || status.isDirectory()) return status !== undefined;
  throw systemCallError('mkdir', 'ENOTDIR');
}
