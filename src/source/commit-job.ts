/**
 * The job that makes content objects, in worker threads: out of files of a directory, each read once, and out of
 * objects of the repository that get another header.
 * @module
 */
import { closeSync, constants, readSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import type { Xattr } from '../core/fs/file-tree.ts';
import { isRegular, isSymlink } from '../core/fs/mode.ts';
import { encodeArchiveHeader, encodeFileHeader, type FileHeader } from '../core/ostree/file-header.ts';
import { makeContentHash, makePieceHash, paddedSize } from '../node/content-hash.ts';
import { ioError } from '../node/io-error.ts';
import type { Perform } from '../node/jobs.ts';
import { LibzDeflate } from '../node/libz.ts';
import {
  AT_FDCWD,
  type FileStatus,
  IDENTITY_WORDS,
  openAt,
  packIdentity,
  readLinkAt,
  statAt,
} from '../node/syscalls.ts';
import { BUFFER_LIMIT, storeBuffered, type WrittenContent, writeContent } from '../repo/content-writer.ts';
import { readFileXattrs } from '../repo/file-xattrs.ts';
import { type ObjectStore, ObjectWriter } from '../repo/object-store.ts';
import { Repo } from '../repo/repo.ts';
import { type ModeChange, type Modifier, modified } from './modifier.ts';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_DIRECTORY } = constants;

export interface CommitJobSettings {
  readonly store: ObjectStore;
  readonly modifier: Modifier;
  /** Whether fs-verity digests are wanted. */
  readonly verity: boolean;
  /** Whether the sizes that compressed objects have are wanted (`--generate-sizes`). */
  readonly sizes: boolean;
  readonly repoPath: ByteString;
}

/** Files of one or more directories; the result has an object for each name, in order. */
export interface FilesBatch {
  readonly groups: readonly FilesGroup[];
}

/** Files and symlinks of one directory. */
export interface FilesGroup {
  /** A path that leads to the directory, see `DirectoryWalk`. */
  readonly place: ByteString;
  /** Which directory it has to be. */
  readonly inode: bigint;
  readonly device: number;
  readonly names: readonly ByteString[];
  /** What the file system says each of them is: one character a name, `f` or `l`. */
  readonly types: string;
  /** By the index of the name. */
  readonly modeChanges?: ReadonlyMap<number, ModeChange> | undefined;
}

/** Objects of the repository. */
export interface ObjectsBatch {
  readonly objects: readonly ObjectRequest[];
}

export interface ObjectRequest {
  readonly checksum: string;
  /** The header of the object to make of it; undefined leaves it, and only its fs-verity digest is wanted. */
  readonly header: FileHeader | undefined;
}

export type CommitBatch = FilesBatch | ObjectsBatch;

export interface MadeBatch {
  readonly objects: MadeObject[];
  /** Of files: what each was before it was read, see `readIdentity`, in the same order. */
  readonly identities?: Uint32Array;
}

/** A content object that is in the repository or in the transaction now. */
export interface MadeObject extends WrittenContent {
  readonly header: FileHeader;
  /** Bytes of the content. */
  readonly size: number;
  /** Bytes of the object's file in an archive, with `sizes`; else 0. */
  readonly archivedSize: number;
}

/** Bytes of one read of a large file. */
const PIECE = 1024 * 1024;

export function startJob(settings: CommitJobSettings): Perform {
  const maker = new ObjectMaker(settings);
  return (batch: CommitBatch) =>
    'objects' in batch ? maker.makeFromObjects(batch.objects) : maker.makeFromFiles(batch);
}

class ObjectMaker {
  readonly #settings: CommitJobSettings;
  readonly #writer: ObjectWriter;
  readonly #hash = makeContentHash();
  readonly #deflate: LibzDeflate | undefined;
  /** Encoded headers of regular files without attributes: a tree has few different ones. */
  readonly #headers = new Map<string, Uint8Array>();
  #buffer = Buffer.allocUnsafeSlow(64 * 1024);
  #repo: Repo | undefined;

  constructor(settings: CommitJobSettings) {
    this.#settings = settings;
    this.#writer = new ObjectWriter(settings.store);
    this.#deflate = settings.sizes ? new LibzDeflate(settings.store.zlibLevel) : undefined;
  }

  async makeFromFiles({ groups }: FilesBatch): Promise<MadeBatch> {
    const objects: MadeObject[] = [];
    const count = groups.reduce((sum, { names }) => sum + names.length, 0);
    const identities = new Uint32Array(count * IDENTITY_WORDS);
    const identify = (status: FileStatus) =>
      packIdentity(status, identities, objects.length * IDENTITY_WORDS);
    for (const group of groups) {
      const directory = openDirectory(group);
      try {
        for (const [index, name] of group.names.entries()) {
          const change = group.modeChanges?.get(index);
          if (group.types[index] === 'l') objects.push(this.#makeSymlink(directory, name, change, identify));
          else {
            const object = this.#makeFile(directory, name, change, identify);
            objects.push(object instanceof Promise ? await object : object);
          }
        }
      } finally {
        closeSync(directory);
      }
    }
    return { objects, identities };
  }

  async makeFromObjects(requests: readonly ObjectRequest[]): Promise<MadeBatch> {
    this.#repo ??= Repo.open(this.#settings.repoPath);
    const made: MadeObject[] = [];
    for (const { checksum, header } of requests) {
      const object = this.#repo.file(checksum);
      if (header === undefined) {
        const { header: unchanged, size } = object;
        const verity = this.#settings.verity && size > 0 ? digestOf(object.content()) : undefined;
        made.push({ checksum, header: unchanged, size, verity, written: false, archivedSize: 0 });
      } else if (object.size <= BUFFER_LIMIT) {
        made.push(this.#makeGathered(header, object.size, object.content()));
      } else made.push(await this.#makeStreamed(header, object.size, object.content()));
    }
    return { objects: made };
  }

  #makeSymlink(
    directory: number,
    name: ByteString,
    change: ModeChange | undefined,
    identify: (status: FileStatus) => void,
  ): MadeObject {
    let status: FileStatus;
    let target: ByteString;
    let xattrs: Xattr[];
    try {
      status = statAt(directory, name);
      target = readLinkAt(directory, name);
      xattrs = this.#settings.modifier.skipXattrs
        ? []
        : readFileXattrs(byteString(`/proc/self/fd/${directory}/${name}`));
    } catch (error) {
      throw ioError(`readlinkat(${displayByteString(name)})`, error);
    }
    if (!isSymlink(status.mode)) throw changed(name, 'it is no symlink any more');
    identify(status);
    const header = { ...this.#ownership(status, change), rdev: 0, symlinkTarget: target, xattrs };
    return this.#finishBuffered(header, encodeFileHeader(header), 0);
  }

  #makeFile(
    directory: number,
    name: ByteString,
    change: ModeChange | undefined,
    identify: (status: FileStatus) => void,
  ): MadeObject | Promise<MadeObject> {
    let fd: number;
    try {
      fd = openAt(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    } catch (error) {
      throw ioError(`openat(${displayByteString(name)})`, error);
    }
    let streaming = false;
    try {
      const status = statAt(fd, byteString(''));
      if (!isRegular(status.mode)) throw changed(name, 'it is no regular file any more');
      identify(status);
      const xattrs = this.#settings.modifier.skipXattrs ? [] : readFileXattrs(fd);
      const header = { ...this.#ownership(status, change), rdev: 0, symlinkTarget: byteString(''), xattrs };
      if (status.size <= BUFFER_LIMIT) {
        this.#readInto(fd, name, status);
        return this.#finishBuffered(header, this.#encodedHeader(header), status.size);
      }
      streaming = true;
      return this.#makeStreamed(header, status.size, readPieces(fd, name, status)).finally(() =>
        closeSync(fd),
      );
    } catch (error) {
      throw error instanceof SealtreeError ? error : ioError(`read(${displayByteString(name)})`, error);
    } finally {
      if (!streaming) closeSync(fd);
    }
  }

  #makeGathered(header: FileHeader, size: number, content: Iterable<Uint8Array>): MadeObject {
    this.#reserveBuffer(size);
    let at = 0;
    for (const piece of content) {
      this.#buffer.set(piece, at);
      at += piece.length;
    }
    return this.#finishBuffered(header, this.#encodedHeader(header), size);
  }

  /** The content is in the buffer. */
  #finishBuffered(header: FileHeader, head: Uint8Array, size: number): MadeObject {
    try {
      const content = this.#buffer.subarray(0, size);
      this.#hash.begin(head, this.#settings.verity && size > 0);
      if (size > 0) this.#hash.add(this.#buffer, 0, size);
      const { checksum, verity } = this.#hash.end();
      const deflated =
        this.#deflate === undefined || isSymlink(header.mode) ? undefined : this.#deflate.deflate(content);
      const written = storeBuffered(
        this.#writer,
        checksum,
        header,
        content,
        deflated === undefined ? {} : { deflated },
      );
      const archivedSize = this.#settings.sizes
        ? archivedHeaderSize(header, size) + (deflated?.length ?? 0)
        : 0;
      return { checksum, verity, written, header, size, archivedSize };
    } catch (error) {
      throw prefixed('Writing content object', error);
    }
  }

  async #makeStreamed(header: FileHeader, size: number, content: Iterable<Uint8Array>): Promise<MadeObject> {
    try {
      const deflate = this.#deflate;
      deflate?.reset();
      const made = await writeContent(this.#writer, header, size, content, {
        verity: this.#settings.verity,
        ...(deflate === undefined ? {} : { stream: deflate }),
      });
      const archivedSize = this.#settings.sizes
        ? archivedHeaderSize(header, size) + (deflate?.length ?? 0)
        : 0;
      return { ...made, header, size, archivedSize };
    } catch (error) {
      throw prefixed('Writing content object', error);
    }
  }

  #ownership(status: FileStatus, change: ModeChange | undefined) {
    return modified(this.#settings.modifier, status, change);
  }

  #encodedHeader(header: FileHeader): Uint8Array {
    if (header.xattrs.length > 0 || isSymlink(header.mode)) return encodeFileHeader(header);
    const key = `${header.uid} ${header.gid} ${header.mode}`;
    let encoded = this.#headers.get(key);
    if (encoded === undefined) {
      encoded = encodeFileHeader(header);
      if (this.#headers.size < 1024) this.#headers.set(key, encoded);
    }
    return encoded;
  }

  /** Reads a whole file; one byte more is asked for than it has, to see its end. */
  #readInto(fd: number, name: ByteString, status: FileStatus): void {
    const { size } = status;
    this.#reserveBuffer(size);
    let at = 0;
    while (at <= size) {
      const count = readSync(fd, this.#buffer, at, size + 1 - at, at);
      if (count === 0) break;
      at += count;
      if (at === size) break;
    }
    checkUnchanged(fd, name, status, at);
  }

  /** With room for the rest of the last block, and for one byte more than there should be. */
  #reserveBuffer(size: number): void {
    const wanted = paddedSize(size + 1);
    if (this.#buffer.length < wanted)
      this.#buffer = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(wanted)));
  }
}

/** The fs-verity digest of the content of an object that stays as it is. */
function digestOf(content: Iterable<Uint8Array>): string | undefined {
  pieceHash.begin(new Uint8Array(0), true);
  for (const piece of content) pieceHash.update(piece);
  return pieceHash.end().verity;
}

const pieceHash = makePieceHash();

function openDirectory({ place, inode, device }: FilesGroup): number {
  let fd: number;
  try {
    fd = openAt(AT_FDCWD, place, O_RDONLY | O_DIRECTORY);
  } catch (error) {
    throw ioError(`opendir(${displayByteString(place)})`, error);
  }
  const status = statAt(fd, byteString(''));
  if (status.ino === inode && status.dev === device) return fd;
  closeSync(fd);
  throw changed(place, 'another directory has its name');
}

function* readPieces(fd: number, name: ByteString, status: FileStatus): Generator<Uint8Array, void> {
  const buffer = Buffer.allocUnsafeSlow(PIECE);
  let at = 0;
  for (;;) {
    const count = readSync(fd, buffer, 0, buffer.length, at);
    if (count === 0) break;
    at += count;
    if (at > status.size) break;
    yield buffer.subarray(0, count);
  }
  checkUnchanged(fd, name, status, at);
}

/**
 * A change shows by size, modification time or change time. The last one also moves when another process makes or
 * removes a hard link to the file, which leaves what was read as it is: then it says nothing.
 */
function checkUnchanged(fd: number, name: ByteString, before: FileStatus, length: number): void {
  const now = statAt(fd, byteString(''));
  if (length !== before.size || now.size !== before.size)
    throw changed(name, `size is ${Math.max(now.size, length)}, was ${before.size}`);
  if (now.mtimeSec !== before.mtimeSec || now.mtimeNsec !== before.mtimeNsec)
    throw changed(name, 'its modification time is not what it was');
  const isTouched = now.ctimeSec !== before.ctimeSec || now.ctimeNsec !== before.ctimeNsec;
  if (isTouched && now.nlink === before.nlink) throw changed(name, 'its change time is not what it was');
}

function changed(name: ByteString, how: string): SealtreeError {
  const path = displayByteString(name);
  return new SealtreeError('io', `${path}: changed while it was read: ${how}`, { path });
}

function archivedHeaderSize(header: FileHeader, size: number): number {
  return encodeArchiveHeader(header, size).length;
}
