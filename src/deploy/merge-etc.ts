/**
 * The three-way merge of /etc: what the administrator changed in the deployment before is changed in the new one, too.
 * A file that also changed in the new tree stays as the administrator had it. Rules are ostree's.
 * @module
 */
import { closeSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { isDirectory, isRegular, isSymlink } from '../core/fs/mode.ts';
import { readEntries } from '../node/directory.ts';
import { joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { AT_FDCWD, type FileStatus, makeDirectoryAt, statAt, unlinkAt } from '../node/syscalls.ts';
import { diffTrees, fileSystemDirectory } from '../repo/diff.ts';
import { copyDirectoryAttributes, copyFile, openDirectory, removeTree, statusOf } from './files.ts';

const DIFF = { xattrs: false, uid: undefined, gid: undefined };

/**
 * @param before directory of the deployment whose changes are taken over
 * @param after directory of the new deployment, whose `etc` is as its commit has it
 * @param report gets the message for people
 * @throws SealtreeError in ostree's words, beginning `During /etc merge: `
 */
export function mergeEtc(before: ByteString, after: ByteString, report: (message: string) => void): void {
  try {
    const modifiedEtc = joinPath(before, byteString('etc'));
    const newEtc = joinPath(after, byteString('etc'));
    const original = fileSystemDirectory(joinPath(before, byteString('usr/etc')), DIFF);
    const { modified, removed, added } = diffTrees(original, fileSystemDirectory(modifiedEtc, DIFF));
    const counts = `${modified.length} modified, ${removed.length} removed, ${added.length} added`;
    report(`Copying /etc changes: ${counts}`);
    requireDirectory(before, 'usr/etc');
    requireDirectory(before, 'etc');
    requireDirectory(after, 'etc');
    for (const path of removed) removeTree(joinPath(newEtc, path));
    for (const path of [...modified, ...added]) copyChanged(modifiedEtc, newEtc, path);
  } catch (error) {
    throw ioError('During /etc merge', error);
  }
}

function requireDirectory(deployment: ByteString, name: string): void {
  if (isDirectory(statusOf(joinPath(deployment, byteString(name)))?.mode ?? 0)) return;
  throw new SealtreeError('missing', `opendir(${name}): No such file or directory`, { errno: 'ENOENT' });
}

/** Copies a file, or a directory with all in it, over what the new tree has there. */
function copyChanged(modifiedEtc: ByteString, newEtc: ByteString, path: ByteString): void {
  const source = joinPath(modifiedEtc, path);
  const target = joinPath(newEtc, path);
  const status = statusOf(source);
  if (status === undefined) throw ioError('Reading modified config file', new Error('it has gone'));
  const slash = path.lastIndexOf('/');
  const parent = byteString(slash < 0 ? '' : path.slice(0, slash));
  if (parent !== '') ensureFromTemplate(modifiedEtc, newEtc, parent);
  const there = statusOf(target);
  if (there !== undefined && isDirectory(there.mode)) {
    if (isDirectory(status.mode)) return;
    const shown = displayByteString(path);
    throw new SealtreeError(
      'mismatch',
      `Modified config file newly defaults to directory '${shown}', cannot merge`,
    );
  }
  const directory = openDirectory(parent === '' ? newEtc : joinPath(newEtc, parent), { follow: false });
  try {
    const name = byteString(path.slice(slash + 1));
    if (there !== undefined) unlinkAt(directory, name);
    if (isDirectory(status.mode)) copyTree(source, directory, name);
    else copyOne(source, status, directory, name);
  } catch (error) {
    throw ioError(`Copying ${displayByteString(path)}`, error);
  } finally {
    closeSync(directory);
  }
}

/** Makes the directories that lead to a changed file, each as the administrator has it. */
function ensureFromTemplate(modifiedEtc: ByteString, newEtc: ByteString, path: ByteString): void {
  // Deepest first: what is there already ends the search, as all above it is then there, too.
  const missing: ByteString[] = [];
  for (let at: ByteString = path; at !== ''; at = byteString(at.slice(0, Math.max(at.lastIndexOf('/'), 0)))) {
    if (statusOf(joinPath(newEtc, at)) !== undefined && at !== path) break;
    missing.push(at);
  }
  for (const at of missing.reverse()) {
    const target = joinPath(newEtc, at);
    try {
      makeDirectoryAt(AT_FDCWD, target, 0o700);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw ioError('mkdirat', error);
    }
    copyAttributes(joinPath(modifiedEtc, at), target);
  }
}

function copyAttributes(source: ByteString, target: ByteString): void {
  const from = openDirectory(source, { follow: false });
  try {
    const to = openDirectory(target, { follow: false });
    try {
      copyDirectoryAttributes(from, to, true);
    } finally {
      closeSync(to);
    }
  } finally {
    closeSync(from);
  }
}

/** Sockets, pipes and devices are left behind. */
function copyOne(source: ByteString, status: FileStatus, directory: number, name: ByteString): void {
  if (!isRegular(status.mode) && !isSymlink(status.mode)) return;
  copyFile(source, status, directory, name, { xattrs: true, replace: true });
}

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
