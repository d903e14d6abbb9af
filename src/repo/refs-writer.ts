/**
 * Writing refs: files below `refs/heads` and `refs/remotes/<remote>` that hold a commit's checksum and a line end.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fchmodSync, fsyncSync, openSync, rmSync, unlinkSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { isChecksum } from '../core/bytes/hex.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { parseRefspec } from '../core/ostree/refs.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { makeDirectories } from '../node/make-directories.ts';
import { AT_FDCWD, openAt, renameat2, symlinkAt, touch, unlinkAt } from '../node/syscalls.ts';
import { writeFully } from './object-store.ts';
import { listRefs } from './refs.ts';
import type { Repo } from './repo.ts';

const { O_WRONLY, O_CREAT, O_EXCL, O_RDONLY, O_DIRECTORY } = constants;

export interface RefWriteOptions {
  /** Descriptor of a folder on the same file system where the new files are made. */
  readonly temporary: number;
  /** Whether a ref is on the disk when this returns. */
  readonly sync: boolean;
}

/**
 * Writes or removes refs, each at once, one after the other.
 *
 * @param refs by refspec; undefined removes
 * @throws SealtreeError in ostree's words for a name that cannot be a ref or that is in the way of another
 */
export function writeRefs(
  repo: Repo,
  refs: ReadonlyMap<ByteString, string | undefined>,
  options: RefWriteOptions,
): void {
  for (const [refspec, checksum] of refs) {
    const { remote, ref } = parseRefspec(refspec);
    const root = remote === undefined ? 'refs/heads' : `refs/remotes/${remote}`;
    const folder = joinPath(repo.path, byteString(root));
    if (checksum === undefined) removeRef(joinPath(folder, ref));
    else writeRef(repo, refspec, folder, ref, checksum, options);
  }
  if (refs.size > 0) touchRepository(repo);
}

/**
 * Writes or removes the ref of a collection: a local one if the collection is the repository's own, else a mirrored one.
 *
 * @param checksum undefined removes
 */
export function writeCollectionRef(
  repo: Repo,
  collection: ByteString,
  ref: ByteString,
  checksum: string | undefined,
  options: RefWriteOptions,
): void {
  const own = repo.config.get('core', 'collection-id') === collection;
  const folder = joinPath(repo.path, byteString(own ? 'refs/heads' : `refs/mirrors/${collection}`));
  if (checksum === undefined) removeRef(joinPath(folder, ref));
  else writeRef(repo, ref, folder, ref, checksum, options);
  touchRepository(repo);
}

/** Makes a local ref stand for another: a relative symlink, which replaces what was there. */
export function writeAlias(
  repo: Repo,
  ref: ByteString,
  target: ByteString,
  { temporary }: RefWriteOptions,
): void {
  const path = joinPath(repo.path, byteString(`refs/heads/${ref}`));
  makeFolders(byteString(path.slice(0, path.lastIndexOf('/'))));
  const name = byteString(`tmp-${randomBytes(8).toString('hex')}`);
  const upwards = '../'.repeat(ref.split('/').length - 1);
  symlinkAt(byteString(upwards + target), temporary, name);
  try {
    renameat2(name, path, 'replace', [temporary, AT_FDCWD]);
  } catch (error) {
    unlinkAt(temporary, name, { missing: true });
    throw ioError('renameat', error);
  }
  touchRepository(repo);
}

/** Programs watch the time of the repository's folder to learn that refs have changed. */
function touchRepository(repo: Repo): void {
  try {
    touch(repo.path);
  } catch (error) {
    throw ioError('futimens', error);
  }
}

function writeRef(
  repo: Repo,
  refspec: ByteString,
  folder: ByteString,
  ref: ByteString,
  checksum: string,
  { temporary, sync }: RefWriteOptions,
): void {
  if (isChecksum(ref)) throw malformed(`Rev name '${ref}' looks like a checksum`);
  const path = joinPath(folder, ref);
  const parent = byteString(path.slice(0, path.lastIndexOf('/')));
  makeFolders(parent);
  const name = byteString(`tmp-${randomBytes(8).toString('hex')}`);
  try {
    writeTemporary(temporary, name, byteString(`${checksum}\n`), sync);
    moveIntoPlace(repo, refspec, ref, path, { temporary, name });
  } catch (error) {
    unlinkAt(temporary, name, { missing: true });
    throw error;
  }
  if (sync) syncFolder(parent);
}

function moveIntoPlace(
  repo: Repo,
  refspec: ByteString,
  ref: ByteString,
  path: ByteString,
  { temporary, name }: { readonly temporary: number; readonly name: ByteString },
): void {
  const move = () => renameat2(name, path, 'replace', [temporary, AT_FDCWD]);
  try {
    move();
  } catch (error) {
    if (!isErrno(error, 'EISDIR', 'ENOTEMPTY', 'EEXIST')) throw ioError('renameat', error);
    requireNoRefBelow(repo, refspec, ref);
    rmSync(fsPath(path), { recursive: true, force: true });
    move();
  }
}

function removeRef(path: ByteString): void {
  try {
    unlinkSync(fsPath(path));
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw ioError(`unlink(${displayByteString(path)})`, error);
  }
}

function writeTemporary(folder: number, name: ByteString, text: ByteString, sync: boolean): void {
  const fd = openAt(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  try {
    writeFully(fd, Buffer.from(text, 'latin1'));
    fchmodSync(fd, 0o644);
    if (sync) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A folder stands where the ref should: only if no ref is below it may it go. */
function requireNoRefBelow(repo: Repo, refspec: ByteString, ref: ByteString): void {
  for (const name of listRefs(repo, { prefix: refspec }).keys()) {
    if (name === ref) continue;
    throw new SealtreeError(
      'malformed',
      `Conflict: ${displayByteString(name)} exists under ${displayByteString(ref)} when attempting write`,
    );
  }
}

function makeFolders(path: ByteString): void {
  try {
    makeDirectories(path, 0o777);
  } catch (error) {
    throw ioError('mkdirat', error);
  }
}

function syncFolder(path: ByteString): void {
  const fd = openSync(fsPath(path), O_RDONLY | O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
