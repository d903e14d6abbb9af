/**
 * The end of a transaction: what it has collected is renamed to where readers look.
 * @module
 */
import { closeSync, constants, fsyncSync, openSync, readdirSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { isErrno } from '../node/io-error.ts';
import { makeDirectoryAt, renameat2 } from '../node/syscalls.ts';
import type { ObjectStore } from './object-store.ts';

const { O_RDONLY, O_DIRECTORY } = constants;

const TWO_DIGITS = /^[0-9a-f]{2}$/;

/**
 * Renames what is staged into `objects`: a whole folder at once where there is none of its name yet. Commits come
 * last, so that there is none without its objects if the process dies on the way.
 */
export function publishStaged({ objects, staging, stagingPath }: ObjectStore): void {
  const commits: ByteString[] = [];
  for (const folder of readdirSync(fsPath(stagingPath), 'latin1') as ByteString[]) {
    if (!TWO_DIGITS.test(folder)) continue;
    const names = readdirSync(fsPath(joinPath(stagingPath, folder)), 'latin1');
    const hasCommit = names.some((name) => name.endsWith('.commit'));
    if (hasCommit) ensureObjectFolder(objects, folder);
    else if (renameUnlessThere(folder, folder, [staging, objects])) continue;
    for (const name of names) {
      const path = byteString(`${folder}/${name}`);
      if (name.endsWith('.commit')) commits.push(path);
      // Detached metadata is named after its commit, not its content: the new one replaces the old one.
      else if (name.endsWith('.commitmeta')) renameat2(path, path, 'replace', [staging, objects]);
      else renameUnlessThere(path, path, [staging, objects]);
    }
  }
  for (const path of commits) renameUnlessThere(path, path, [staging, objects]);
}

function ensureObjectFolder(objects: number, folder: ByteString): void {
  try {
    makeDirectoryAt(objects, folder, 0o777);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
}

/** @returns false if the target is there already */
function renameUnlessThere(
  from: ByteString,
  to: ByteString,
  directories: readonly [number, number],
): boolean {
  try {
    renameat2(from, to, 'noreplace', directories);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

/**
 * All of them, not only those written to: an object found to be there may have been renamed a moment ago by
 * a process that has not come to synchronise its folder.
 */
export function syncObjectFolders(objects: number): void {
  const path = `/proc/self/fd/${objects}`;
  for (const folder of readdirSync(path, 'latin1')) {
    if (TWO_DIGITS.test(folder)) syncFolder(byteString(`${path}/${folder}`));
  }
  fsyncSync(objects);
}

function syncFolder(path: ByteString): void {
  const fd = openSync(fsPath(path), O_RDONLY | O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
