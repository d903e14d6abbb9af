/** The extended attributes of a file as ostree takes them into objects. @module */
import type { Xattr } from '../core/fs/file-tree.ts';
import { type FileReference, readXattrs } from '../node/syscalls.ts';

/** All attributes, sorted by key, but for those with an empty value: ostree skips them when it reads a file. */
export function readFileXattrs(file: FileReference): Xattr[] {
  return readXattrs(file).filter(([, value]) => value !== '');
}
