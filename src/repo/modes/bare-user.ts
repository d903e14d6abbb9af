/**
 * File objects of a `bare-user` repository: owner, mode and xattrs stand in the xattr `user.ostreemeta`, and a symlink
 * is a regular file that holds its target and a NUL byte.
 * @module
 */
import { type ByteString, byteString, bytesOf } from '../../core/bytes/byte-string.ts';
import { malformed } from '../../core/errors.ts';
import { isRegular, isSymlink } from '../../core/fs/mode.ts';
import { decodeBareUserMeta } from '../../core/ostree/file-header.ts';
import { getXattr } from '../../node/syscalls.ts';
import type { Repo } from '../repo.ts';
import { statObject } from './bare.ts';
import { bareContent, type FileObject, openingContent } from './file-object.ts';

/** Linux's PATH_MAX, NUL included: no symlink has a longer target. */
const TARGET_LIMIT = 4096;

/** Undefined if this repository has no such object. */
export function readBareUserFile(repo: Repo, checksum: string): FileObject | undefined {
  return openingContent(checksum, () => {
    const path = repo.objectFile('file', checksum);
    const stat = statObject(path);
    if (stat === undefined) return undefined;
    if (!isRegular(stat.mode)) throw malformed('Not a regular file');
    const name = repo.objectPath('file', checksum);
    const value = getXattr(path, byteString('user.ostreemeta'));
    if (value === undefined) throw malformed(`${name}: fgetxattr(user.ostreemeta): No data available`);
    const meta = metaOf(value, name);
    const link = isSymlink(meta.mode);
    const symlinkTarget = link ? readTarget(path, name, stat.size) : byteString('');
    return {
      header: { ...meta, symlinkTarget },
      size: link ? 0 : stat.size,
      contentFile: link ? undefined : path,
      content: () => (link ? [] : bareContent(path, name, stat.size)),
    };
  });
}

type BareUserMeta = ReturnType<typeof decodeBareUserMeta>;

/** What short values came to: most files of a repository have one of very few. */
const known = new Map<ByteString, BareUserMeta>();
const KNOWN_LENGTH = 256;
const MAX_KNOWN = 256;

function metaOf(value: ByteString, name: string): BareUserMeta {
  let meta = known.get(value);
  if (meta === undefined) {
    meta = decodeBareUserMeta(bytesOf(value), `${name}: user.ostreemeta`);
    if (value.length <= KNOWN_LENGTH && known.size < MAX_KNOWN) known.set(value, meta);
  }
  return meta;
}

function readTarget(path: ByteString, name: string, size: number): ByteString {
  if (size > TARGET_LIMIT)
    throw malformed(`${name}: symlink target of ${size} bytes, at most ${TARGET_LIMIT} are allowed`);
  let text = '';
  for (const piece of bareContent(path, name, size)) text += Buffer.from(piece).toString('latin1');
  const target = text.replace(/\0$/, '');
  if (target.includes('\0')) throw malformed(`${name}: symlink target holds a NUL byte`);
  return byteString(target);
}
