/**
 * A tree of files that is somebody else's root: paths in it are found as a system would find them that has this root.
 * A symlink, wherever it points to, leads to a place below the root. Nothing of the tree is trusted: every part of a
 * path is opened by itself and stays open while what is below it is used.
 * @module
 */
import { closeSync, constants, fchmodSync, fstatSync, fsyncSync, openSync, readSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { temporaryName, writeAll } from './atomic-file.ts';
import { fsPath } from './fs-path.ts';
import { ioError, isErrno } from './io-error.ts';
import { makeDirectoryAt, openAt, readLinkAt, renameat2, statAt, unlinkAt } from './syscalls.ts';

const SYMLINK_LIMIT = 40;
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const DIRECTORY_MODE = 0o755;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

export interface TreeFile {
  readonly data: Uint8Array;
  /** Permission bits. */
  readonly mode: number;
}

export class RootTree {
  readonly #root: number;
  readonly #shown: string;

  /** @throws SealtreeError `io` unless it is a directory */
  constructor(path: ByteString) {
    this.#shown = displayByteString(path);
    try {
      this.#root = openSync(fsPath(path), constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (error) {
      throw ioError(this.#shown, error);
    }
  }

  close(): void {
    closeSync(this.#root);
  }

  /** A path of the tree for messages. */
  show(path: ByteString): string {
    return `${this.#shown.replace(/\/+$/, '')}${displayByteString(path)}`;
  }

  /**
   * A regular file, symlinks followed.
   *
   * @returns undefined if there is none
   * @throws SealtreeError `io`; `malformed` if it is larger than `limit` or no regular file
   */
  read(path: ByteString, limit: number): TreeFile | undefined {
    return this.#at(path, { make: false, follow: true }, (directory, name) => {
      const shown = this.show(path);
      const fd = openAt(directory, name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      try {
        const status = fstatSync(fd);
        if (!status.isFile()) throw malformed(`${shown}: not a regular file`);
        if (status.size > limit)
          throw malformed(`${shown}: ${status.size} bytes, at most ${limit} are allowed`);
        const data = Buffer.alloc(status.size);
        let length = 0;
        for (let got = 1; got > 0 && length < data.length; length += got)
          got = readSync(fd, data, length, data.length - length, length);
        return { data: data.subarray(0, length), mode: status.mode & 0o7777 };
      } finally {
        closeSync(fd);
      }
    });
  }

  /** What stands at a path, a symlink in its last part not followed; undefined if nothing does. */
  kindOf(path: ByteString): 'file' | 'symlink' | 'other' | undefined {
    return this.#at(path, { make: false, follow: false }, (directory, name) => {
      const type = statAt(directory, name).mode & S_IFMT;
      return type === S_IFREG ? 'file' : type === S_IFLNK ? 'symlink' : 'other';
    });
  }

  /**
   * Writes a file in place of whatever has its name, a symlink too, and makes the directories that lead to it. Under a
   * temporary name first: it is there as a whole or not at all.
   *
   * @throws SealtreeError `io`: `writing PATH: …`
   */
  write(path: ByteString, data: Uint8Array, mode: number): void {
    this.#at(
      path,
      { make: true, follow: false },
      (directory, name) => {
        const temporary = temporaryName(byteString(''));
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
        const fd = openAt(directory, temporary, flags, 0o600);
        try {
          try {
            writeAll(fd, data);
            fchmodSync(fd, mode);
            fsyncSync(fd);
          } finally {
            closeSync(fd);
          }
          renameat2(temporary, name, 'replace', [directory, directory]);
        } catch (error) {
          unlinkAt(directory, temporary, { missing: true });
          throw error;
        }
      },
      'writing ',
    );
  }

  /** Removes a file if it is there. */
  remove(path: ByteString): void {
    this.#at(
      path,
      { make: false, follow: false },
      (directory, name) => unlinkAt(directory, name, { missing: true }),
      'removing ',
    );
  }

  /**
   * Calls `use` with the directory that a path ends in, and the last part of it.
   *
   * @returns undefined if a directory on the way is missing, or `use` found nothing
   */
  #at<Result>(
    path: ByteString,
    how: { readonly make: boolean; readonly follow: boolean },
    use: (directory: number, name: ByteString) => Result,
    doing = '',
  ): Result | undefined {
    // Directories from the root down to where the path has led so far.
    const open: number[] = [];
    try {
      return this.#walk(path, how, open, use);
    } catch (error) {
      if (!how.make && isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw error instanceof SealtreeError && error.code === 'malformed'
        ? error
        : ioError(`${doing}${this.show(path)}`, error);
    } finally {
      for (const fd of open) closeSync(fd);
    }
  }

  #walk<Result>(
    path: ByteString,
    { make, follow }: { readonly make: boolean; readonly follow: boolean },
    open: number[],
    use: (directory: number, name: ByteString) => Result,
  ): Result {
    const parts = partsOf(path);
    let links = 0;
    for (;;) {
      const directory = open.at(-1) ?? this.#root;
      const part = parts.pop();
      if (part === undefined) throw malformed(`${this.show(path)}: a directory`);
      if (part === '..') {
        const left = open.pop();
        if (left !== undefined) closeSync(left);
        continue;
      }
      const last = parts.length === 0;
      const target = last && !follow ? undefined : linkTarget(directory, part);
      if (target !== undefined) {
        links++;
        if (links > SYMLINK_LIMIT) throw malformed(`${this.show(path)}: too many symlinks`);
        parts.push(...partsOf(target));
        if (target.startsWith('/')) for (const fd of open.splice(0)) closeSync(fd);
        continue;
      }
      if (last) return use(directory, part);
      open.push(openDirectory(directory, part, make));
    }
  }
}

function openDirectory(directory: number, name: ByteString, make: boolean): number {
  try {
    return openAt(directory, name, DIRECTORY);
  } catch (error) {
    if (!make || !isErrno(error, 'ENOENT')) throw error;
  }
  makeDirectoryAt(directory, name, DIRECTORY_MODE);
  return openAt(directory, name, DIRECTORY);
}

function linkTarget(directory: number, name: ByteString): ByteString | undefined {
  try {
    return readLinkAt(directory, name);
  } catch (error) {
    if (isErrno(error, 'EINVAL', 'ENOENT')) return undefined;
    throw error;
  }
}

/** The parts of a path, the first one last. */
function partsOf(path: ByteString): ByteString[] {
  return path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .map(byteString)
    .reverse();
}
