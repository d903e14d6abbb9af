/**
 * The three-way merge of /etc: what the administrator changed in the deployment before is changed in the new one, too.
 * A file that also changed in the new tree stays as the administrator had it. Rules are ostree's.
 * @module
 */
import { closeSync, constants } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { isDirectory, isRegular, isSymlink } from '../core/fs/mode.ts';
import { joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { type FileStatus, makeDirectoryAt, openAt, unlinkAt } from '../node/syscalls.ts';
import { statIfThere } from '../repo/checkout-file.ts';
import { diffTrees, fileSystemDirectory } from '../repo/diff.ts';
import { copyTree } from './copy-tree.ts';
import { copyDirectoryAttributes, copyFile, openDirectory, removeTree, statusOf } from './files.ts';
import { resolveInside } from './inside.ts';

const DIRECTORY_ITSELF = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
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
    const original = fileSystemDirectory(resolveInside(before, byteString('usr/etc')) ?? before, DIFF);
    const { modified, removed, added } = diffTrees(original, fileSystemDirectory(modifiedEtc, DIFF));
    const counts = `${modified.length} modified, ${removed.length} removed, ${added.length} added`;
    report(`Copying /etc changes: ${counts}`);
    requireDirectory(before, 'usr/etc');
    requireDirectory(before, 'etc');
    requireDirectory(after, 'etc');
    for (const path of removed) removeBelow(newEtc, path);
    for (const path of [...modified, ...added]) {
      try {
        copyChanged(modifiedEtc, newEtc, path);
      } catch (error) {
        const conflict = error instanceof SealtreeError && error.code === 'mismatch';
        throw conflict ? error : ioError(`Copying ${displayByteString(path)}`, error);
      }
    }
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
  const status = statusOf(source);
  if (status === undefined)
    throw new SealtreeError('io', `Reading modified config file: ${displayByteString(path)}`);
  const { parent, name } = splitPath(path);
  const directory = openFromTemplate(modifiedEtc, newEtc, parent);
  try {
    const there = statIfThere(directory, name);
    if (there !== undefined && isDirectory(there.mode)) {
      if (isDirectory(status.mode)) return;
      const shown = displayByteString(path);
      const message = `Modified config file newly defaults to directory '${shown}', cannot merge`;
      throw new SealtreeError('mismatch', message);
    }
    if (there !== undefined) unlinkAt(directory, name);
    if (isDirectory(status.mode)) copyTree(source, directory, name);
    else copyOne(source, status, directory, name);
  } finally {
    closeSync(directory);
  }
}

/** Removes what the administrator removed, unless a directory on the way to it has become something else. */
function removeBelow(newEtc: ByteString, path: ByteString): void {
  const { parent, name } = splitPath(path);
  let directory: number;
  try {
    directory = openBelow(newEtc, parent, (fd, part) => openAt(fd, part, DIRECTORY_ITSELF));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return;
    throw error;
  }
  try {
    removeTree(joinPath(byteString(`/proc/self/fd/${directory}`), name));
  } finally {
    closeSync(directory);
  }
}

function splitPath(path: ByteString): { parent: ByteString[]; name: ByteString } {
  const parts = path.split('/').map(byteString);
  const name = parts.pop() ?? path;
  return { parent: parts, name };
}

/**
 * Opens the directory that a changed file is in, and makes it and those above it where they are missing. It gets what
 * attributes the administrator gave it, and so do those that are made.
 */
function openFromTemplate(modifiedEtc: ByteString, newEtc: ByteString, parts: readonly ByteString[]): number {
  let template = modifiedEtc;
  let left = parts.length;
  return openBelow(newEtc, parts, (fd, part) => {
    template = joinPath(template, part);
    left--;
    let made = false;
    try {
      makeDirectoryAt(fd, part, 0o700);
      made = true;
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw ioError('mkdirat', error);
    }
    const opened = openAt(fd, part, DIRECTORY_ITSELF);
    if (made || left === 0) copyAttributes(template, opened);
    return opened;
  });
}

/** Follows no symlink: the new tree could lead to anywhere. */
function openBelow(
  root: ByteString,
  parts: readonly ByteString[],
  open: (fd: number, part: ByteString) => number,
): number {
  let fd = openDirectory(root, { follow: false });
  for (const part of parts) {
    try {
      const next = open(fd, part);
      closeSync(fd);
      fd = next;
    } catch (error) {
      closeSync(fd);
      throw ioError(`opendir(${displayByteString(part)})`, error);
    }
  }
  return fd;
}

function copyAttributes(source: ByteString, target: number): void {
  const from = openDirectory(source, { follow: false });
  try {
    copyDirectoryAttributes(from, target, true);
  } finally {
    closeSync(from);
  }
}

/** Sockets, pipes and devices are left behind. */
function copyOne(source: ByteString, status: FileStatus, directory: number, name: ByteString): void {
  if (!isRegular(status.mode) && !isSymlink(status.mode)) return;
  copyFile(source, status, directory, name, { xattrs: true, replace: true });
}
