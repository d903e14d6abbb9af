/**
 * Paths inside a commit: what `ls`, `cat` and `checkout --subpath` are given, followed through dirtree objects.
 * Rules: those of the real tool, which knows no `.` and `..` there and follows no symlink but the last one, for reading.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { isSymlink } from '../core/fs/mode.ts';
import type { Dirmeta } from '../core/ostree/dirmeta.ts';
import type { Dirtree } from '../core/ostree/dirtree.ts';
import type { FileObject } from './modes/file-object.ts';
import type { Repo } from './repo.ts';

/** Linux's own limit on symlinks followed for one path. */
const LINK_LIMIT = 40;

export interface TreeDirectory {
  readonly kind: 'directory';
  /** Absolute, `/` for the root. */
  readonly path: ByteString;
  readonly dirtree: string;
  readonly dirmeta: string;
  readonly content: Dirtree;
  readonly meta: Dirmeta;
}

export interface TreeFile {
  readonly kind: 'file';
  readonly path: ByteString;
  readonly checksum: string;
}

export type TreeEntry = TreeDirectory | TreeFile;

/** The root directory of a commit. */
export function rootOf(repo: Repo, commit: string): TreeDirectory {
  const { rootDirtree, rootDirmeta } = repo.commit(commit);
  return readDirectory(repo, byteString('/'), rootDirtree, rootDirmeta);
}

/** Reads a directory whose two checksums are known. */
export function readDirectory(repo: Repo, path: ByteString, dirtree: string, dirmeta: string): TreeDirectory {
  return {
    kind: 'directory',
    path,
    dirtree,
    dirmeta,
    content: repo.dirtree(dirtree),
    meta: repo.dirmeta(dirmeta),
  };
}

/** The path of an entry of a directory. */
export function childPath(directory: ByteString, name: ByteString): ByteString {
  return byteString(directory === '/' ? `/${name}` : `${directory}/${name}`);
}

/**
 * What stands at a path, a symlink not followed.
 *
 * @param path absolute or relative to the root
 * @throws SealtreeError `missing`: `No such file or directory: /a/b`, or `Not a directory`
 */
export function lookUp(repo: Repo, root: TreeDirectory, path: ByteString): TreeEntry {
  return follow(repo, root, segmentsOf([], path));
}

/**
 * The file that reading a path gives: symlinks at its end are followed.
 *
 * @throws SealtreeError as {@link lookUp}; `Can't open directory`
 */
export function openPath(repo: Repo, root: TreeDirectory, path: ByteString): FileObject {
  let segments = segmentsOf([], path);
  for (let links = 0; links <= LINK_LIMIT; links++) {
    const entry = follow(repo, root, segments);
    if (entry.kind === 'directory') throw new SealtreeError('usage', "Can't open directory", { help: 'no' });
    const file = repo.file(entry.checksum);
    if (!isSymlink(file.header.mode)) return file;
    segments = segmentsOf(segments.slice(0, -1), file.header.symlinkTarget);
  }
  throw malformed(`Too many levels of symbolic links: ${displayByteString(path)}`);
}

/**
 * Splits a path as the real tool does: a slash where a name should begin leads back to the root, one at the end stands
 * for an empty name, which nothing has.
 */
function segmentsOf(from: readonly ByteString[], path: ByteString): ByteString[] {
  let segments = [...from];
  for (let rest: string | undefined = path; rest !== undefined; ) {
    if (rest === '/') return [];
    if (rest.startsWith('/')) {
      if (segments.length > 0) {
        segments = [];
        rest = rest.slice(1);
        continue;
      }
      rest = rest.slice(1);
    }
    const slash: number = rest.indexOf('/');
    segments.push(byteString(slash < 0 ? rest : rest.slice(0, slash)));
    rest = slash < 0 ? undefined : rest.slice(slash + 1);
  }
  return segments;
}

function follow(repo: Repo, root: TreeDirectory, segments: readonly ByteString[]): TreeEntry {
  let entry: TreeEntry = root;
  let path = '';
  for (const name of segments) {
    if (entry.kind !== 'directory') throw new SealtreeError('missing', 'Not a directory', { path });
    path += `/${name}`;
    entry = childOf(repo, entry, name, byteString(path));
  }
  return entry;
}

function childOf(repo: Repo, { content }: TreeDirectory, name: ByteString, path: ByteString): TreeEntry {
  const file = find(content.files, name);
  if (file !== undefined) return { kind: 'file', path, checksum: file.checksum };
  const directory = find(content.dirs, name);
  if (directory !== undefined) return readDirectory(repo, path, directory.dirtree, directory.dirmeta);
  const shown = displayByteString(path);
  throw new SealtreeError('missing', `No such file or directory: ${shown}`, { path: shown });
}

/** Binary search: the entries are sorted, and a directory may have 70,000 of them. */
function find<T extends { readonly name: ByteString }>(
  entries: readonly T[],
  name: ByteString,
): T | undefined {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle] as T).name < name) low = middle + 1;
    else high = middle;
  }
  return entries[low]?.name === name ? entries[low] : undefined;
}
