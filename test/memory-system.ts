/** A System port over a tree in memory: what stands at a path is a string, bytes, a link or a directory. */
import { type ByteString, byteString, bytesOf } from '../src/core/bytes/byte-string.ts';
import { bytesFromHex } from '../src/core/bytes/hex.ts';
import { malformed, SealtreeError } from '../src/core/errors.ts';
import type { FileKind, System } from '../src/core/system.ts';

export interface MemoryFile {
  readonly kind: FileKind;
  readonly data?: Uint8Array;
  /** Of a symlink. */
  readonly target?: string;
  /** fs-verity digest that the kernel measures, sha256. */
  readonly verity?: string;
  readonly algorithm?: 'sha256' | 'sha512';
  /** STATX_ATTR_VERITY; true with a digest unless said otherwise. */
  readonly enforced?: boolean;
  /** Magic number, ext4's unless said otherwise. */
  readonly fileSystem?: number;
}

export type MemoryTree = Map<string, MemoryFile>;

export const EXT4 = 0xef53;
const MAX_LINKS = 40;

export function file(data: string | Uint8Array, more: Partial<MemoryFile> = {}): MemoryFile {
  return { kind: 'file', data: typeof data === 'string' ? bytesOf(byteString(data)) : data, ...more };
}

export function link(target: string): MemoryFile {
  return { kind: 'symlink', target };
}

export const DIRECTORY: MemoryFile = { kind: 'directory' };

/** Parents of what is put in are directories. */
export function memorySystem(tree: MemoryTree): System {
  const implied = new Set<string>(['']);
  for (const path of tree.keys())
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1))
      implied.add(path.slice(0, at));
  const at = (path: string): MemoryFile | undefined =>
    tree.get(path) ?? (implied.has(path) ? DIRECTORY : undefined);
  const resolve = (path: string, last: boolean): string => {
    let todo = path.split('/').filter((part) => part !== '' && part !== '.');
    const done: string[] = [];
    for (let links = 0; todo.length > 0; ) {
      const part = todo.shift() as string;
      if (part === '..') {
        done.pop();
        continue;
      }
      const found = at(`/${[...done, part].join('/')}`);
      if (found?.kind === 'symlink' && (last || todo.length > 0)) {
        if (++links > MAX_LINKS) throw new SealtreeError('io', 'Too many levels', { errno: 'ELOOP' });
        const target = found.target as string;
        if (target.startsWith('/')) done.length = 0;
        todo = [...target.split('/').filter((one) => one !== '' && one !== '.'), ...todo];
      } else done.push(part);
    }
    return done.length === 0 ? '' : `/${done.join('/')}`;
  };
  const follow = (path: ByteString) => at(resolve(path, true));
  const self = (path: ByteString) => at(resolve(path, false));
  return {
    readFile(path, limit) {
      const found = follow(path);
      if (found === undefined) return undefined;
      if (found.kind === 'directory')
        throw new SealtreeError('io', `${path}: Is a directory`, { errno: 'EISDIR' });
      if (found.kind !== 'file') throw malformed(`${path}: not a regular file`);
      const data = found.data ?? new Uint8Array(0);
      if (data.length > limit) throw malformed(`${path}: ${data.length} bytes, at most ${limit} are allowed`);
      return data;
    },
    readLink(path) {
      const found = self(path);
      return found?.kind === 'symlink' ? byteString(found.target as string) : undefined;
    },
    readDirectory(path) {
      const real = resolve(path, true);
      if (at(real)?.kind !== 'directory') return undefined;
      const names = new Set<string>();
      for (const one of [...tree.keys(), ...implied])
        if (one.startsWith(`${real}/`)) names.add(one.slice(real.length + 1).split('/')[0] as string);
      return [...names].sort().map(byteString);
    },
    kindOf: (path) => self(path)?.kind,
    examineVerity(path) {
      const found = follow(path);
      if (found === undefined) return undefined;
      const { verity, algorithm = 'sha256', fileSystem = EXT4, enforced = verity !== undefined } = found;
      const digest = verity === undefined ? undefined : { algorithm, digest: bytesFromHex(verity) };
      return { fileSystem, enforced, digest };
    },
    fileSystemOf(path) {
      const found = follow(path);
      return found === undefined ? undefined : (found.fileSystem ?? EXT4);
    },
  };
}
