/** Files of layers under temporary names in the directory that they are for, renamed all together. @module */
import { renameSync, rmSync } from 'node:fs';
import { posix } from 'node:path';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { syncDirectory } from '../deploy/files.ts';
import { temporaryName } from '../node/atomic-file.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { makeDirectories } from '../node/make-directories.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';
import type { LayerFiles } from './layer-files.ts';

export interface FileOptions {
  /** Made if it is not there. */
  readonly directory: ByteString;
  /** Whether superblock and tree go to a file of their own. */
  readonly separate: boolean;
  readonly uuid: LayerFiles['uuid'];
  /** Whether names get `.vhd`, and files a footer; true by default. */
  readonly isVhd?: boolean;
}

export interface CreatedLayer {
  readonly root: string;
  readonly data: ByteString;
  /** undefined if it is in `data`. */
  readonly hash: ByteString | undefined;
}

/** Directories are made for everybody to read, before the umask. */
const DIRECTORY_MODE = 0o755;

export class NamedFiles {
  readonly #options: FileOptions;
  readonly #begun = new Map<ByteString, LayerFiles>();

  /** @throws SealtreeError `io` if the directory cannot be made */
  constructor(options: FileOptions) {
    this.#options = options;
    const { directory } = options;
    try {
      makeDirectories(directory, DIRECTORY_MODE);
    } catch (error) {
      throw ioError(`failed to create output directory ${displayByteString(directory)}`, error);
    }
  }

  /** The temporary names for a layer that is to have this one. */
  begin(name: ByteString): LayerFiles {
    const { directory, separate, uuid, isVhd = true } = this.#options;
    const temporary = () => {
      const path = temporaryName(joinPath(directory, byteString('x')));
      registerTemporary(path);
      return path;
    };
    const files = {
      data: temporary(),
      hash: separate ? temporary() : undefined,
      spool: temporary(),
      isVhd,
      uuid,
    };
    this.#begun.set(name, files);
    return files;
  }

  /** What a layer's files are called once they are complete. */
  createdFor(name: ByteString, root: string): CreatedLayer {
    return {
      root,
      data: this.#path(name, ''),
      hash: this.#options.separate ? this.#path(name, '.hash-dev') : undefined,
    };
  }

  /** Gives all files their names. @throws SealtreeError `io` */
  commit(): void {
    for (const [name, { data, hash }] of this.#begun) {
      rename(data, this.#path(name, ''));
      if (hash !== undefined) rename(hash, this.#path(name, '.hash-dev'));
    }
    syncDirectory(this.#options.directory);
  }

  /** Removes what has no name yet. */
  close(): void {
    for (const { data, hash, spool } of this.#begun.values()) {
      for (const path of [data, spool, ...(hash === undefined ? [] : [hash])]) {
        rmSync(fsPath(path), { force: true });
        forgetTemporary(path);
      }
    }
  }

  #path(name: ByteString, suffix: string): ByteString {
    const { directory, isVhd = true } = this.#options;
    return byteString(posix.join(directory, isVhd ? `${name}${suffix}.vhd` : name));
  }
}

function rename(from: ByteString, to: ByteString): void {
  try {
    renameSync(fsPath(from), fsPath(to));
  } catch (error) {
    throw ioError(`writing ${displayByteString(to)}`, error);
  }
}
