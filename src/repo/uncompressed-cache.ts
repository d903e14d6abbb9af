/**
 * `uncompressed-objects-cache`: files of an archive repository as a checkout for users last inflated them, to be hard
 * linked by the next. Named as in a bare repository, without owner and xattrs, and never setuid.
 * @module
 */
import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  writeSync,
} from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { objectPath } from '../core/ostree/objects.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { makeDirectoryAt } from '../node/syscalls.ts';
import type { FileObject } from './modes/file-object.ts';
import type { Repo } from './repo.ts';
import { linkTemporary, openTemporary } from './temporary-file.ts';

const FOLDER = 'uncompressed-objects-cache';
const FOLDER_MODE = 0o775;

/** Uncompressed content of an archive repository, kept to be hard linked by checkouts with `-U`. */
export class UncompressedCache {
  readonly #path: ByteString;
  readonly #fsync: boolean;
  #folder: number | undefined;

  private constructor(repo: Repo, fsync: boolean) {
    this.#path = byteString(`${repo.path}/${FOLDER}`);
    this.#fsync = fsync;
    this.#folder = this.#openFolder();
  }

  /** Undefined if the repository has none: by `core.enable-uncompressed-cache`, or because it cannot be written to. */
  static open(repo: Repo, fsync: boolean): UncompressedCache | undefined {
    const wanted = repo.config.boolean('core', 'enable-uncompressed-cache') ?? true;
    return wanted && isWritable(repo) ? new UncompressedCache(repo, fsync) : undefined;
  }

  /** Descriptor of the folder, undefined while there is none. */
  get folder(): number | undefined {
    return this.#folder;
  }

  /** Puts a file into the cache. */
  add(checksum: string, file: FileObject): void {
    const folder = this.#ensureFolder();
    const path = objectPath(checksum, 'file');
    makeSubfolder(folder, byteString(path.slice(0, 2)));
    const temporary = openTemporary(folder);
    try {
      for (const piece of file.content()) {
        for (let at = 0; at < piece.length; ) at += writeSync(temporary.fd, piece, at, piece.length - at);
      }
      fchmodSync(temporary.fd, file.header.mode & 0o1777);
      if (this.#fsync) fsyncSync(temporary.fd);
      linkTemporary(temporary, folder, path, false);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw ioError('write', error);
    } finally {
      temporary.discard();
    }
  }

  close(): void {
    if (this.#folder !== undefined) closeSync(this.#folder);
    this.#folder = undefined;
  }

  #ensureFolder(): number {
    if (this.#folder === undefined) {
      try {
        mkdirSync(fsPath(this.#path), FOLDER_MODE);
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw ioError(`mkdir(${FOLDER})`, error);
      }
      this.#folder = this.#openFolder();
    }
    return this.#folder as number;
  }

  #openFolder(): number | undefined {
    try {
      return openSync(fsPath(this.#path), constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw ioError(`opendir(${FOLDER})`, error);
    }
  }
}

function makeSubfolder(folder: number, name: ByteString): void {
  try {
    makeDirectoryAt(folder, name, FOLDER_MODE);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw ioError(`mkdirat(${name})`, error);
  }
}

function isWritable(repo: Repo): boolean {
  try {
    accessSync(fsPath(byteString(`${repo.path}/objects`)), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
