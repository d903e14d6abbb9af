/**
 * File objects of a `bare-user-only` repository: the file with its mode; owners are 0:0 and there are no xattrs.
 * @module
 */
import type { Repo } from '../repo.ts';
import { bareFileObject, statObject } from './bare.ts';
import { type FileObject, openingContent } from './file-object.ts';

/** Undefined if this repository has no such object. */
export function readBareUserOnlyFile(repo: Repo, checksum: string): FileObject | undefined {
  return openingContent(checksum, () => {
    const stat = statObject(repo.objectFile('file', checksum));
    return stat && bareFileObject(repo, checksum, stat, { uid: 0, gid: 0 }, () => []);
  });
}
