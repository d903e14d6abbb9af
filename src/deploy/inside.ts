/** Paths inside a tree that nobody vouches for: its symlinks lead to places in the tree, as after chroot(2). @module */
import { lstatSync, readlinkSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { systemCallError } from '../core/errno.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';

/** Linux's own limit on symlinks followed for one path. */
const LINK_LIMIT = 40;

/**
 * Follows all symlinks of a path as the tree itself would see them.
 *
 * @param root directory
 * @param path below it
 * @returns a path without symlinks that begins with `root`; undefined if there is no such file
 * @throws SealtreeError `io` if symlinks lead in a circle
 */
export function resolveInside(root: ByteString, path: ByteString): ByteString | undefined {
  const waiting = path.split('/').reverse();
  const parts: string[] = [];
  let links = 0;
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      parts.pop();
      continue;
    }
    const place = byteString([root, ...parts, part].join('/'));
    const target = linkTarget(place, path);
    if (target === 'nothing') return undefined;
    if (target === 'no link') {
      parts.push(part);
      continue;
    }
    if (++links > LINK_LIMIT) throw ioError(displayByteString(path), systemCallError('readlink', 'ELOOP'));
    if (target.link.startsWith('/')) parts.length = 0;
    waiting.push(...target.link.split('/').reverse());
  }
  return byteString([root, ...parts].join('/'));
}

function linkTarget(place: ByteString, path: ByteString): 'nothing' | 'no link' | { link: string } {
  try {
    const status = lstatSync(fsPath(place), { throwIfNoEntry: false });
    if (status === undefined) return 'nothing';
    return status.isSymbolicLink() ? { link: readlinkSync(fsPath(place), 'latin1') } : 'no link';
  } catch (error) {
    if (isErrno(error, 'ENOTDIR')) return 'nothing';
    throw ioError(`fstatat(${displayByteString(path)})`, error);
  }
}
