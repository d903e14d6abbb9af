/**
 * Writing single objects: into the staging folder of a transaction, each under a temporary name (none at all where
 * the file system has O_TMPFILE) until it is complete, in the form that the repository's mode has for it.
 * Everything here works from any thread; a store is plain data that can be sent to one.
 *
 * Modes, owners and times are those that ostree leaves; its repository format says how each mode keeps a file.
 * @module
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  futimesSync,
  openSync,
  writeSync,
} from 'node:fs';
import { type ByteString, byteString, byteStringFrom } from '../core/bytes/byte-string.ts';
import type { Tristate } from '../core/conf/keyfile.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { isSymlink, S_IFMT } from '../core/fs/mode.ts';
import { encodeArchiveHeader, encodeBareUserMeta, type FileHeader } from '../core/ostree/file-header.ts';
import { type ObjectType, objectPath } from '../core/ostree/objects.ts';
import { verityParameters } from '../core/verity/descriptor.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import {
  chownAt,
  enableVerity,
  existsAt,
  linkat,
  makeDirectoryAt,
  openAt,
  renameat2,
  setXattr,
  symlinkAt,
  unlinkAt,
} from '../node/syscalls.ts';
import type { RepoMode } from './repo-mode.ts';
import { freeSpaceMessage, type MinFreeSpace } from './write-settings.ts';

const { O_WRONLY, O_CREAT, O_EXCL, O_DIRECTORY, O_RDONLY } = constants;
const O_TMPFILE = 0o20000000 | O_DIRECTORY;

/** SHA-256 over blocks of 4096 bytes without salt. */
const VERITY = verityParameters();

const OSTREE_META_XATTR = byteString('user.ostreemeta');

/** Where objects are and where new ones go. Descriptors are the process's, so any thread may use them. */
export interface ObjectStore {
  readonly mode: RepoMode;
  /** Descriptor of the folder `objects`. */
  readonly objects: number;
  /** Descriptor of the transaction's staging folder. */
  readonly staging: number;
  /** Path of the staging folder, for calls that take no descriptor. */
  readonly stagingPath: ByteString;
  readonly zlibLevel: number;
  readonly perObjectFsync: boolean;
  readonly verity: Tristate;
  readonly minFreeSpace: MinFreeSpace;
  /** Bytes in a block of the file system. */
  readonly blockSize: number;
  /** One 64-bit number in shared memory: how many blocks content objects may still take. */
  readonly freeBlocks: SharedArrayBuffer;
}

/** Makes the objects of one thread. */
export class ObjectWriter {
  readonly store: ObjectStore;
  readonly #folders = new Set<string>();
  readonly #freeBlocks: BigInt64Array;
  #anonymousFiles = true;
  #verity: boolean;

  constructor(store: ObjectStore) {
    this.store = store;
    this.#freeBlocks = new BigInt64Array(store.freeBlocks);
    this.#verity = store.verity !== 'no';
  }

  /** Whether the object is in the repository or in this transaction. */
  has(checksum: string, type: ObjectType): boolean {
    const path = this.#path(checksum, type);
    return existsAt(this.store.objects, path) || existsAt(this.store.staging, path);
  }

  /** Writes a metadata object, whose name is the checksum of `data`. */
  writeMetadata(checksum: string, type: ObjectType, data: Uint8Array): void {
    const file = this.openTemporary();
    try {
      writeFully(file.fd, data);
      fchmodSync(file.fd, 0o644);
      this.#publish(file, checksum, type);
    } finally {
      file.discard();
    }
  }

  /**
   * Writes a file object whose content is at hand.
   *
   * @param content uncompressed; for the mode archive the deflated bytes, with `size` saying how many there were
   * @param size bytes of the content before compression
   */
  writeFile(checksum: string, header: FileHeader, content: Uint8Array, size: number): void {
    if (isSymlink(header.mode)) {
      this.#writeSymlink(checksum, header);
      return;
    }
    const file = this.openTemporary();
    try {
      if (this.store.mode === 'archive') writeFully(file.fd, encodeArchiveHeader(header, size));
      writeFully(file.fd, content);
      this.finishFile(file, checksum, header);
    } finally {
      file.discard();
    }
  }

  /** Gives a regular file whose bytes are all written its owner, mode, attributes and time, and its name. */
  finishFile(file: TemporaryFile, checksum: string, header: FileHeader): void {
    this.#applyMetadata(file.fd, checksum, header);
    this.#publish(file, checksum, 'file');
  }

  /**
   * Takes the blocks that a content object of `size` bytes will need, before anything is written.
   *
   * @returns what to hand to {@link release} if the object turns out to be there already
   * @throws SealtreeError `io` in ostree's words if less than `core.min-free-space-…` would stay free
   */
  reserve(size: number): bigint {
    const { percent, size: limit } = this.store.minFreeSpace;
    if (percent === 0 && limit === 0n) return 0n;
    const blocks = BigInt(Math.floor(size / this.store.blockSize) + 1);
    if (Atomics.sub(this.#freeBlocks, 0, blocks) >= blocks) return blocks;
    Atomics.add(this.#freeBlocks, 0, blocks);
    const message = freeSpaceMessage(this.store.minFreeSpace, Number(blocks) * this.store.blockSize);
    throw new SealtreeError('io', message, { errno: 'ENOSPC' });
  }

  release(blocks: bigint): void {
    if (blocks > 0n) Atomics.add(this.#freeBlocks, 0, blocks);
  }

  /** A new file in the staging folder that nobody sees until it is published. */
  openTemporary(): TemporaryFile {
    const { staging } = this.store;
    if (this.#anonymousFiles) {
      try {
        return new TemporaryFile(staging, openAt(staging, byteString('.'), O_TMPFILE | O_WRONLY, 0o600));
      } catch (error) {
        if (!isErrno(error, 'EOPNOTSUPP', 'EISDIR', 'ENOENT', 'EINVAL'))
          throw ioError('open(O_TMPFILE)', error);
        this.#anonymousFiles = false;
      }
    }
    const name = temporaryName();
    try {
      return new TemporaryFile(staging, openAt(staging, name, O_WRONLY | O_CREAT | O_EXCL, 0o600), name);
    } catch (error) {
      throw ioError('openat', error);
    }
  }

  /** The object's path below the folder of the staging area, whose two-digit folder is made if need be. */
  preparePath(checksum: string, type: ObjectType): ByteString {
    const folder = checksum.slice(0, 2);
    if (!this.#folders.has(folder)) {
      try {
        makeDirectoryAt(this.store.staging, byteString(folder), 0o777);
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw ioError('mkdirat', error);
      }
      this.#folders.add(folder);
    }
    return this.#path(checksum, type);
  }

  /** In bare-user a symlink is a file; in archive it is a header without content. */
  #writeSymlink(checksum: string, header: FileHeader): void {
    if (this.store.mode === 'bare' || this.store.mode === 'bare-user-only') {
      this.#writeRealSymlink(checksum, header);
      return;
    }
    const file = this.openTemporary();
    try {
      const data =
        this.store.mode === 'archive'
          ? encodeArchiveHeader(header, 0)
          : Buffer.from(`${header.symlinkTarget}\0`, 'latin1');
      writeFully(file.fd, data);
      this.finishFile(file, checksum, header);
    } finally {
      file.discard();
    }
  }

  #writeRealSymlink(checksum: string, { uid, gid, symlinkTarget, xattrs }: FileHeader): void {
    const { staging, stagingPath, mode } = this.store;
    const name = temporaryName();
    let placed = false;
    try {
      symlinkAt(symlinkTarget, staging, name);
      if (mode === 'bare') {
        chownAt(staging, name, uid, gid);
        const path = byteString(`${stagingPath}/${name}`);
        for (const [key, value] of xattrs) setXattr(path, key, value);
      }
      renameat2(name, this.preparePath(checksum, 'file'), 'replace', [staging, staging]);
      placed = true;
    } catch (error) {
      throw ioError(`Storing file '${checksum}.file'`, error);
    } finally {
      if (!placed) unlinkAt(staging, name, { missing: true });
    }
  }

  #applyMetadata(fd: number, checksum: string, { uid, gid, mode, xattrs }: FileHeader): void {
    switch (this.store.mode) {
      case 'bare':
        fchownSync(fd, uid, gid);
        fchmodSync(fd, mode & 0o7777);
        for (const [key, value] of xattrs) setXattr(fd, key, value);
        break;
      case 'bare-user':
        setBareUserMeta(fd, { uid, gid, mode, xattrs });
        fchmodSync(fd, isSymlink(mode) ? 0o644 : (mode & 0o775) | 0o400);
        break;
      case 'bare-user-only':
        validateBareUserOnlyMode(mode, checksum);
        fchmodSync(fd, mode & 0o7777);
        break;
      case 'archive':
        fchmodSync(fd, 0o644);
        return;
      case 'bare-split-xattrs':
        throw new SealtreeError('unsupported', 'Not allowed due to repo mode');
    }
    // Compilers that compare times (guile) must not find a source newer than what was made of it.
    futimesSync(fd, Date.now() / 1000, 0);
  }

  #publish(file: TemporaryFile, checksum: string, type: ObjectType): void {
    const path = this.preparePath(checksum, type);
    if (this.store.perObjectFsync) fsyncSync(file.fd);
    if (this.#verity) {
      file.reopenReadOnly();
      this.#enableVerity(file.fd);
    }
    try {
      file.publish(path);
    } catch (error) {
      throw ioError('linkat', error);
    }
  }

  #enableVerity(fd: number): void {
    try {
      enableVerity(fd, VERITY);
    } catch (error) {
      if (!isErrno(error, 'ENOTTY', 'EOPNOTSUPP'))
        throw ioError('fsverity: ioctl(FS_IOC_ENABLE_VERITY)', error);
      if (this.store.verity === 'yes')
        throw new SealtreeError('unsupported', 'fsverity required but filesystem does not support it');
      this.#verity = false;
    }
  }

  #path(checksum: string, type: ObjectType): ByteString {
    return objectPath(checksum, type, { archive: this.store.mode === 'archive' });
  }
}

/** A file being written: nameless, or under a name that {@link discard} removes. */
export class TemporaryFile {
  readonly #staging: number;
  readonly #name: ByteString | undefined;
  #fd: number;
  #done = false;

  constructor(staging: number, fd: number, name?: ByteString) {
    this.#staging = staging;
    this.#fd = fd;
    this.#name = name;
  }

  get fd(): number {
    return this.#fd;
  }

  /** The kernel enables fs-verity only on files that nobody has open for writing. */
  reopenReadOnly(): void {
    const fd = openSync(`/proc/self/fd/${this.#fd}`, O_RDONLY);
    closeSync(this.#fd);
    this.#fd = fd;
  }

  /** Gives the file its name below the staging folder; one that is there already is the same object and stays. */
  publish(path: ByteString): void {
    if (this.#name !== undefined) {
      renameat2(this.#name, path, 'replace', [this.#staging, this.#staging]);
    } else {
      try {
        linkat(this.#fd, path, this.#staging);
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error;
      }
    }
    this.#done = true;
  }

  /** Closes the file; removes it unless it was published. */
  discard(): void {
    closeSync(this.#fd);
    if (!this.#done && this.#name !== undefined) unlinkAt(this.#staging, this.#name, { missing: true });
  }
}

/**
 * Sees whether files at `path` can have user xattrs, so that a bare-user repository is refused before it is filled.
 *
 * @throws SealtreeError `unsupported` or `io` in ostree's words
 */
export function checkUserXattrs(path: ByteString): void {
  const folder = openSync(fsPath(path), O_RDONLY | O_DIRECTORY);
  const name = temporaryName();
  const fd = openAt(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  try {
    setBareUserMeta(fd, { uid: 0, gid: 0, mode: 0o100644, xattrs: [] });
  } finally {
    closeSync(fd);
    unlinkAt(folder, name, { missing: true });
    closeSync(folder);
  }
}

/** Writes all of `data` at the current offset. */
export function writeFully(fd: number, data: Uint8Array): void {
  try {
    for (let at = 0; at < data.length; ) at += writeSync(fd, data, at);
  } catch (error) {
    throw ioError('write', error);
  }
}

function setBareUserMeta(fd: number, meta: Pick<FileHeader, 'uid' | 'gid' | 'mode' | 'xattrs'>): void {
  try {
    setXattr(fd, OSTREE_META_XATTR, byteStringFrom(encodeBareUserMeta(meta)));
  } catch (error) {
    throw ioError('Writing bareuser metadata: fsetxattr(user.ostreemeta)', error);
  }
}

function validateBareUserOnlyMode(mode: number, checksum: string): void {
  const bits = mode & ~S_IFMT & ~0o775;
  if (bits === 0) return;
  const octal = (number: number) => `0${number.toString(8).padStart(4, '0')}`;
  throw malformed(`Content object ${checksum}: invalid mode ${octal(mode)} with bits ${octal(bits)}`);
}

function temporaryName(): ByteString {
  return byteString(`tmp-${randomBytes(8).toString('hex')}`);
}
