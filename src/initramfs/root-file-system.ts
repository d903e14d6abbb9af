/**
 * The file system that an initramfs becomes: members are put into it one after the other as the kernel does it, and
 * the result can be asked through the System port. A later member takes the place of an earlier one; directories
 * on the way are found through the symlinks that stand there at that moment; links share their content.
 * Source: init/initramfs.c of Linux (do_name, do_symlink, clean_path, maybe_link).
 * @module
 */
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../core/fs/mode.ts';
import type { FileKind, System } from '../core/system.ts';
import { type Member, TRAILER } from './cpio.ts';

export interface FileNode {
  readonly kind: 'file';
  mode: number;
  data: Uint8Array;
}

interface DirectoryNode {
  readonly kind: 'directory';
  readonly parent: DirectoryNode | undefined;
  readonly entries: Map<string, Node>;
}

interface LinkNode {
  readonly kind: 'symlink';
  readonly target: ByteString;
}

/** A device, pipe or socket. */
interface OtherNode {
  readonly kind: 'other';
}

export type Node = FileNode | DirectoryNode | LinkNode | OtherNode;

/** Members of all archives of an image; the largest initramfs of a distribution has some ten thousand. */
const MEMBER_LIMIT = 2 ** 18;
/** Symlinks on the way to one file, as in the kernel. */
const SYMLINK_LIMIT = 40;
/** Names looked up while unpacking and reading; only symlinks made for the purpose come near. */
const LOOKUP_LIMIT = 20_000_000;

export class RootFileSystem {
  readonly #root: DirectoryNode = { kind: 'directory', parent: undefined, entries: new Map() };
  readonly #links = new Map<string, ByteString>();
  #members = 0;
  #lookups = 0;

  /** Members so far. */
  get members(): number {
    return this.#members;
  }

  /**
   * Unpacks one member. What the kernel cannot make, for want of a directory, is not made here either.
   *
   * @throws SealtreeError `malformed` beyond the limits
   */
  add(member: Member): void {
    if (member.name === TRAILER) {
      this.#links.clear();
      return;
    }
    this.#members++;
    if (this.#members > MEMBER_LIMIT) throw malformed(`more than ${MEMBER_LIMIT} members`);
    const { name, mode, data } = member;
    const type = mode & S_IFMT;
    if (type === S_IFDIR) {
      this.#makeRoom(name, 'directory');
      const place = this.#placeOf(name);
      if (place !== undefined)
        putNew(place, { kind: 'directory', parent: place.directory, entries: new Map() });
      return;
    }
    if (type === S_IFLNK) {
      this.#makeRoom(name, undefined);
      // The target ends at its first NUL.
      const target = byteString(byteStringFrom(data).replace(/\0[\s\S]*$/, ''));
      const place = this.#newPlaceOf(name);
      if (target !== '' && place !== undefined) putNew(place, { kind: 'symlink', target });
      return;
    }
    this.#makeRoom(name, type === S_IFREG ? 'file' : 'other');
    const linked = this.#linkTo(member);
    const place = this.#newPlaceOf(name);
    if (linked === 'failed' || place === undefined) return;
    if (type !== S_IFREG) {
      if (linked === 'not') putNew(place, { kind: 'other' });
      return;
    }
    const file = place.directory.entries.get(place.name);
    if (file === undefined) {
      putNew(place, { kind: 'file', mode, data });
    } else if (file.kind === 'file') {
      file.mode = mode;
      if (data.length > 0 || linked === 'not') file.data = data;
    }
  }

  /** What stands at a path, symlinks followed; undefined if there is nothing. */
  find(path: ByteString): Node | undefined {
    return this.#walk(path, true);
  }

  /** What stands at a path, a symlink in its last part not followed. */
  findItself(path: ByteString): Node | undefined {
    return this.#walk(path, false);
  }

  /** The regular file at a path, symlinks followed. */
  file(path: ByteString): FileNode | undefined {
    const node = this.find(path);
    return node?.kind === 'file' ? node : undefined;
  }

  /** Names in a directory in the order of their bytes; undefined if it is none. */
  list(path: ByteString): ByteString[] | undefined {
    const node = this.find(path);
    return node?.kind === 'directory' ? [...node.entries.keys()].sort().map(byteString) : undefined;
  }

  /** The directory that a name is to be made in, with the name; undefined if there is none, or no name. */
  #placeOf(path: ByteString): Place | undefined {
    const whole = path.replace(/\/+$/, '');
    const slash = whole.lastIndexOf('/');
    const name = whole.slice(slash + 1);
    if (name === '' || name === '.' || name === '..') return undefined;
    const directory = this.#walk(byteString(whole.slice(0, slash + 1)), true);
    return directory?.kind === 'directory' ? { directory, name } : undefined;
  }

  /** As `#placeOf`, for what is no directory and so cannot have a name with a slash at its end. */
  #newPlaceOf(path: ByteString): Place | undefined {
    return path.endsWith('/') ? undefined : this.#placeOf(path);
  }

  /** Removes what has another kind than is to come; a directory only if it is empty. */
  #makeRoom(path: ByteString, kind: Node['kind'] | undefined): void {
    const place = this.#placeOf(path);
    const there = place?.directory.entries.get(place.name);
    if (place === undefined || there === undefined || there.kind === kind) return;
    // With a slash at its end the name is followed, and only what is a directory itself can go.
    if (path.endsWith('/') && there.kind !== 'directory') return;
    if (there.kind === 'directory' && there.entries.size > 0) return;
    place.directory.entries.delete(place.name);
  }

  /** Makes a name that has links a link to the first of them, which need not have come to be. */
  #linkTo({ name, nlink, identity }: Member): 'not' | 'done' | 'failed' {
    if (nlink < 2) return 'not';
    const first = this.#links.get(identity);
    if (first === undefined) {
      this.#links.set(identity, name);
      return 'not';
    }
    this.#makeRoom(name, undefined);
    // link(2) takes the first name as it is found now.
    const node = this.findItself(first);
    const place = this.#newPlaceOf(name);
    if (node === undefined || node.kind === 'directory' || place === undefined) return 'failed';
    return putNew(place, node) ? 'done' : 'failed';
  }

  #walk(path: ByteString, followLast: boolean): Node | undefined {
    // Parts still to go, the next one last.
    const parts = partsOf(path);
    let node: Node = this.#root;
    let links = 0;
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      this.#lookups++;
      if (this.#lookups > LOOKUP_LIMIT) throw malformed('too many symlinks lead through the archives');
      if (node.kind !== 'directory') return undefined;
      if (part === '.') continue;
      const next: Node | undefined = part === '..' ? (node.parent ?? node) : node.entries.get(part);
      if (next === undefined) return undefined;
      if (next.kind !== 'symlink' || (parts.length === 0 && !followLast)) {
        node = next;
        continue;
      }
      links++;
      if (links > SYMLINK_LIMIT) return undefined;
      parts.push(...partsOf(next.target));
      if (next.target.startsWith('/')) node = this.#root;
    }
    return node;
  }
}

/** The System port over the files of an initramfs; nothing in it has fs-verity. */
export function systemOf(root: RootFileSystem): System {
  return {
    readFile(path, limit) {
      const node = root.find(path);
      if (node === undefined) return undefined;
      const shown = displayByteString(path);
      if (node.kind === 'directory')
        throw new SealtreeError('io', `${shown}: Is a directory`, { errno: 'EISDIR' });
      if (node.kind !== 'file') throw malformed(`${shown}: not a regular file`);
      if (node.data.length > limit)
        throw malformed(`${shown}: ${node.data.length} bytes, at most ${limit} are allowed`);
      return node.data;
    },
    readLink(path) {
      const node = root.findItself(path);
      return node?.kind === 'symlink' ? node.target : undefined;
    },
    readDirectory: (path) => root.list(path),
    kindOf: (path): FileKind | undefined => root.findItself(path)?.kind,
    examineVerity: () => undefined,
    fileSystemOf: () => undefined,
  };
}

interface Place {
  readonly directory: DirectoryNode;
  readonly name: string;
}

/** @returns whether the name was free */
function putNew({ directory, name }: Place, node: Node): boolean {
  if (directory.entries.has(name)) return false;
  directory.entries.set(name, node);
  return true;
}

/** The parts of a path, the first one last; a slash at its end is a `.` that only a directory has. */
function partsOf(path: ByteString): string[] {
  const parts = path.split('/').filter((part) => part !== '');
  if (path.endsWith('/')) parts.push('.');
  return parts.reverse();
}
