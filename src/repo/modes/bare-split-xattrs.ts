/**
 * File objects of a `bare-split-xattrs` repository: the file with its owner and mode, and its xattrs as a GVariant in
 * an object of their own. ostree reads this mode and does not write it.
 * @module
 */
import type { ByteString } from '../../core/bytes/byte-string.ts';
import { malformed } from '../../core/errors.ts';
import type { Xattr } from '../../core/fs/file-tree.ts';
import { decodeVariant } from '../../core/gvariant/decode.ts';
import { xattrsFrom } from '../../core/ostree/xattrs.ts';
import type { Repo } from '../repo.ts';
import { bareFileObject, statObject } from './bare.ts';
import { type FileObject, openingContent } from './file-object.ts';

/** Undefined if this repository has no such object. */
export function readBareSplitXattrsFile(repo: Repo, checksum: string): FileObject | undefined {
  return openingContent(checksum, () => {
    const stat = statObject(repo.objectFile('file', checksum));
    if (stat === undefined) return undefined;
    return bareFileObject(repo, checksum, stat, stat, () => splitXattrs(repo, checksum));
  });
}

function splitXattrs(repo: Repo, checksum: string): Xattr[] {
  const data = repo.rawObject('file-xattrs-link', checksum);
  if (data === undefined) {
    const name = repo.objectPath('file-xattrs-link', checksum).slice('objects/'.length) as ByteString;
    throw malformed(`openat(${name}): No such file or directory`);
  }
  const what = `${checksum}.file-xattrs-link`;
  return xattrsFrom(decodeVariant('a(ayay)', data, what), what);
}
