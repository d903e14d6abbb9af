/**
 * The files of a layer: its file system with superblock, tree and footer behind it, or those in a file of their own. They
 * have temporary names until all are complete.
 * @module
 */
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { uuidFrom } from '../core/bytes/uuid.ts';
import { dmVerityLayout } from '../core/dm-verity/layout.ts';
import { encodeSuperblock } from '../core/dm-verity/superblock.ts';
import { SealtreeError } from '../core/errors.ts';
import { encodeVhdFooter } from '../core/vhd/footer.ts';
import { fsPath } from '../node/fs-path.ts';
import { opensslHash } from '../node/hash.ts';
import { ioError } from '../node/io-error.ts';
import { LAYER_VERITY, type LayerHasher, type LayerListener } from './layer-hasher.ts';

/** Which files a layer becomes. Plain data, which can be sent to a worker. */
export interface LayerFiles {
  /** Temporary names: of the file system; of superblock and tree, if they are not behind it; of what is needed meanwhile. */
  readonly data: ByteString;
  readonly hash: ByteString | undefined;
  readonly spool: ByteString;
  /** Whether they are virtual hard disks. */
  readonly isVhd: boolean;
  /**
   * UUID of the superblock and unique id of the disks, 16 bytes; `random` for others every time, `content` for the same
   * for the same layer.
   */
  readonly uuid: Uint8Array | 'random' | 'content';
}

const BLOCK = LAYER_VERITY.dataBlockSize;
/** Bytes copied at once. */
const PIECE = 1024 * 1024;

/** Writes the files. `finish` or `close` ends it; what is left then is the caller's to rename or to remove. */
export class LayerWriter implements LayerListener {
  readonly #files: LayerFiles;
  readonly #data: number;
  readonly #spool: number;
  /** Blocks of the lowest level so far. */
  #leaves = 0;
  #isClosed = false;

  constructor(files: LayerFiles) {
    this.#files = files;
    this.#data = openNew(files.data);
    try {
      this.#spool = openNew(files.spool);
    } catch (error) {
      closeSync(this.#data);
      throw error;
    }
  }

  data(offset: number, data: Uint8Array): void {
    writeAt(this.#data, data, offset, this.#files.data);
  }

  leaves(index: number, block: Uint8Array): void {
    writeAt(this.#spool, block, index * LAYER_VERITY.hashBlockSize, this.#files.spool);
    this.#leaves = Math.max(this.#leaves, index + 1);
  }

  /**
   * Ends the hashing, and writes what stands behind the file system.
   *
   * @param blocks of the file system
   * @returns the root hash
   */
  async finish(hasher: LayerHasher, blocks: number): Promise<string> {
    const { hash: hashPath, isVhd } = this.#files;
    const parameters = { ...LAYER_VERITY, dataBlocks: blocks };
    const size = blocks * BLOCK;
    const isSeparate = hashPath !== undefined;
    const path = hashPath ?? this.#files.data;
    const layout = dmVerityLayout(parameters, isSeparate ? 0 : size, true);
    const fd = isSeparate ? openNew(hashPath) : this.#data;
    try {
      // The end of the file system may be zeros that nobody wrote.
      attempt(this.#files.data, () => ftruncateSync(this.#data, size));
      const root = await hasher.finish((level, index, block) => {
        const { start } = layout.levels[level + 1] as { start: number };
        writeAt(fd, block, start + index * LAYER_VERITY.hashBlockSize, path);
      });
      this.#copyLeaves(fd, path, (layout.levels[0] as { start: number }).start);
      const superblock = new Uint8Array(BLOCK);
      superblock.set(encodeSuperblock({ ...parameters, uuid: this.#uuid(root, 'superblock') }));
      writeAt(fd, superblock, layout.start - BLOCK, path);
      if (isVhd) {
        const footer = (end: number, what: string) => encodeVhdFooter(end, this.#uuid(root, what));
        writeAt(fd, footer(layout.end, isSeparate ? 'hash device' : 'data'), layout.end, path);
        if (isSeparate) writeAt(this.#data, footer(size, 'data'), size, this.#files.data);
      }
      for (const [file, name] of [
        [fd, path],
        [this.#data, this.#files.data],
      ] as const) {
        attempt(name, () => {
          fchmodSync(file, 0o644);
          fsyncSync(file);
        });
      }
      return root;
    } finally {
      if (isSeparate) closeSync(fd);
      this.close();
    }
  }

  /** Closes the files, if `finish` has not; the one for what is needed meanwhile goes. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#data);
    closeSync(this.#spool);
    rmSync(fsPath(this.#files.spool), { force: true });
  }

  #copyLeaves(fd: number, path: ByteString, start: number): void {
    const buffer = new Uint8Array(PIECE);
    const size = this.#leaves * LAYER_VERITY.hashBlockSize;
    for (let at = 0; at < size; ) {
      const length = attempt(this.#files.spool, () => readSync(this.#spool, buffer, 0, buffer.length, at));
      if (length === 0)
        throw new SealtreeError('io', `${displayByteString(this.#files.spool)} has become shorter`);
      writeAt(fd, buffer.subarray(0, length), start + at, path);
      at += length;
    }
  }

  #uuid(root: string, what: string): Uint8Array {
    const { uuid } = this.#files;
    if (uuid instanceof Uint8Array) return uuid;
    if (uuid === 'random') return crypto.getRandomValues(new Uint8Array(16));
    return uuidFrom(opensslHash.digest('sha256', Buffer.from(`sealtree layer ${what}\n${root}\n`)));
  }
}

function openNew(path: ByteString): number {
  return attempt(path, () => openSync(fsPath(path), 'wx+', 0o600));
}

function writeAt(fd: number, data: Uint8Array, offset: number, path: ByteString): void {
  attempt(path, () => {
    for (let done = 0; done < data.length; )
      done += writeSync(fd, data, done, data.length - done, offset + done);
  });
}

function attempt<T>(path: ByteString, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw ioError(`writing ${displayByteString(path)}`, error);
  }
}
