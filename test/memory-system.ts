/**
 * A System port over a tree in memory: what stands at a path is a file, a link, a directory or something else. Paths
 * are followed as the kernel follows them.
 * @module
 */
import { type ByteString, byteString, bytesOf, displayByteString } from '../src/core/bytes/byte-string.ts';
import { bytesFromHex } from '../src/core/bytes/hex.ts';
import { malformed, SealtreeError } from '../src/core/errors.ts';
import type { FileKind, System } from '../src/core/system.ts';

export interface MemoryFile {
  readonly kind: FileKind;
  readonly data?: Uint8Array;
  /** Of a symlink. */
  readonly target?: string;
  /** fs-verity digest that the kernel measures, sha256 unless said otherwise; `off` if it says that there is none. */
  readonly verity?: string;
  readonly algorithm?: 'sha256' | 'sha512';
  /** STATX_ATTR_VERITY; true with a digest unless said otherwise. */
  readonly enforced?: boolean;
  /** Magic number; what the directory above has unless said otherwise, and ext4's at the root. */
  readonly fileSystem?: number;
  /** Error number that opening, reading and listing it ends with. */
  readonly errno?: string;
}

export type MemoryTree = Map<string, MemoryFile>;

export const EXT4 = 0xef53;
const MAX_LINKS = 40;
const PATH_MAX = 4096;
const NAME_MAX = 255;

export function file(data: string | Uint8Array, more: Partial<MemoryFile> = {}): MemoryFile {
  return { kind: 'file', data: typeof data === 'string' ? bytesOf(byteString(data)) : data, ...more };
}

export function link(target: string): MemoryFile {
  return { kind: 'symlink', target };
}

export const DIRECTORY: MemoryFile = { kind: 'directory' };

/** What a path leads to; undefined if there is nothing. */
export interface Found {
  /** Without links. */
  readonly path: string;
  readonly node: MemoryFile;
  readonly fileSystem: number;
}

/**
 * Follows a path. Parents of what is put into a tree are directories.
 *
 * @param implied directories that are there because something stands in them
 * @returns a function of a path, and whether a link in its last part is followed
 * @throws SealtreeError `io` with the error number of the kernel, ENOENT apart
 */
export function pathFinder(
  tree: MemoryTree,
  implied = impliedDirectories(tree),
): (path: string, last: boolean) => Found | undefined {
  const at = (path: string): MemoryFile | undefined =>
    tree.get(path) ?? (implied.has(path) ? DIRECTORY : undefined);
  return (path, last) => {
    if (path === '') return undefined;
    if (path.includes('\0')) throw refused(path, 'EINVAL');
    if (path.length >= PATH_MAX) throw refused(path, 'ENAMETOOLONG');
    const todo = path.split('/').reverse();
    const done: string[] = [];
    let node = at('') ?? DIRECTORY;
    for (let links = 0; todo.length > 0; ) {
      const part = todo.pop() as string;
      const isLast = todo.every((one) => one === '');
      if (part === '') {
        // A slash at the end wants a directory.
        if (todo.length === 0 && done.length > 0 && node.kind !== 'directory') throw refused(path, 'ENOTDIR');
        continue;
      }
      if (node.kind !== 'directory') throw refused(path, 'ENOTDIR');
      if (part.length > NAME_MAX) throw refused(path, 'ENAMETOOLONG');
      if (part === '..') done.pop();
      else if (part !== '.') done.push(part);
      const here = done.length === 0 ? '' : `/${done.join('/')}`;
      const found = here === '' ? (at('') ?? DIRECTORY) : at(here);
      if (found === undefined) return undefined;
      if (found.kind === 'symlink' && (last || !isLast || todo.length > 0)) {
        if (++links > MAX_LINKS) throw refused(path, 'ELOOP');
        const target = found.target ?? '';
        if (target === '') return undefined;
        done.pop();
        if (target.startsWith('/')) done.length = 0;
        node = DIRECTORY;
        todo.push(...target.split('/').reverse());
        continue;
      }
      node = found;
    }
    const real = done.length === 0 ? '' : `/${done.join('/')}`;
    return { path: real, node, fileSystem: fileSystemAt(tree, real) };
  };
}

export function memorySystem(tree: MemoryTree): System {
  const implied = impliedDirectories(tree);
  const find = pathFinder(tree, implied);
  const unlessAbsent = <T>(action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      if (error instanceof SealtreeError && error.detail.errno === 'ENOTDIR') return undefined;
      throw error;
    }
  };
  const open = (path: ByteString): Found | undefined => {
    const found = find(path, true);
    if (found?.node.errno !== undefined) throw refused(path, found.node.errno);
    return found;
  };
  return {
    readFile(path, limit) {
      const found = open(path)?.node;
      if (found === undefined) return undefined;
      if (found.kind === 'directory') throw refused(path, 'EISDIR');
      if (found.kind !== 'file') throw malformed(`${displayByteString(path)}: not a regular file`);
      const data = found.data ?? new Uint8Array(0);
      if (data.length > limit)
        throw malformed(`${displayByteString(path)}: ${data.length} bytes, at most ${limit} are allowed`);
      return data.slice();
    },
    readLink(path) {
      const found = unlessAbsent(() => find(path, false))?.node;
      return found?.kind === 'symlink' ? byteString(found.target as string) : undefined;
    },
    readDirectory: (path) =>
      unlessAbsent(() => {
        const found = open(path);
        if (found?.node.kind !== 'directory') return undefined;
        const names = new Set<string>();
        for (const one of [...tree.keys(), ...implied])
          if (one.startsWith(`${found.path}/`))
            names.add(one.slice(found.path.length + 1).split('/')[0] as string);
        return [...names].sort().map(byteString);
      }),
    kindOf: (path) => unlessAbsent(() => find(path, false))?.node.kind,
    examineVerity(path) {
      const found = open(path);
      if (found === undefined) return undefined;
      const { verity, algorithm = 'sha256' } = found.node;
      const measured = verity !== undefined && verity !== 'off';
      const { enforced = measured } = found.node;
      const digest = measured ? { algorithm, digest: bytesFromHex(verity) } : (verity as 'off' | undefined);
      return { fileSystem: found.fileSystem, enforced, digest };
    },
    fileSystemOf: (path) => unlessAbsent(() => open(path))?.fileSystem,
  };
}

function impliedDirectories(tree: MemoryTree): Set<string> {
  const implied = new Set<string>(['']);
  for (const path of tree.keys()) {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const parent = path.slice(0, at);
      if (implied.has(parent)) break;
      implied.add(parent);
    }
  }
  return implied;
}

function fileSystemAt(tree: MemoryTree, path: string): number {
  for (let at = path; ; at = at.slice(0, at.lastIndexOf('/'))) {
    const found = tree.get(at)?.fileSystem;
    if (found !== undefined) return found;
    if (at === '') return EXT4;
  }
}

function refused(path: string, errno: string): SealtreeError {
  return new SealtreeError('io', `${displayByteString(byteString(path))}: ${errno}`, { errno });
}
