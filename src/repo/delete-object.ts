/** Taking objects out of a repository, and saying that a commit is no longer whole. @module */
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { type ByteString, byteString, bytesOf } from '../core/bytes/byte-string.ts';
import { prefixed } from '../core/errors.ts';
import { encodeCommitmeta } from '../core/ostree/commitmeta.ts';
import { writeFileAtomically } from '../node/atomic-file.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import type { ObjectName } from './reachable.ts';
import type { Repo } from './repo.ts';

/**
 * Removes an object; with a commit its detached metadata.
 *
 * @param tombstones whether a commit leaves an object that says it was here (`core.tombstone-commits`)
 * @throws SealtreeError `io` (`Deleting object H.file: …`)
 */
export function deleteObject(repo: Repo, { type, checksum }: ObjectName, tombstones: boolean): void {
  if (type === 'commit') removeIfThere(repo.objectFile('commitmeta', checksum));
  try {
    unlinkSync(fsPath(repo.objectFile(type, checksum)));
  } catch (error) {
    throw prefixed(`Deleting object ${checksum}.${type}`, ioError('unlinkat', error));
  }
  if (type !== 'commit' || !tombstones) return;
  const value = { type: 'ay', value: bytesOf(byteString(`${checksum}\0`)) };
  const data = encodeCommitmeta([[byteString('commit'), value]]);
  writeFileAtomically(repo.objectFile('tombstone-commit', checksum), data, { mode: 0o644 });
}

/**
 * Marks a commit as one of which objects are missing: fsck found so, or they are yet to come.
 *
 * @returns false if it was marked before
 */
export function markPartial(repo: Repo, commit: string, reason: 'fsck' | 'pull'): boolean {
  if (repo.commitState(commit) !== 'complete') return false;
  const name = `state/${commit}.commitpartial`;
  try {
    const descriptor = openSync(fsPath(byteString(`${repo.path}/${name}`)), 'wx', 0o644);
    try {
      if (reason === 'fsck') writeSync(descriptor, 'f');
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw ioError(`open(${name})`, error);
  }
  return true;
}

function removeIfThere(path: ByteString): void {
  try {
    unlinkSync(fsPath(path));
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw ioError('unlinkat', error);
  }
}
