/**
 * The two locks of a repository. `.lock` in its root is held shared by whoever writes objects and exclusively by
 * whoever deletes them; `tmp/NAME-lock` is held by the transaction that owns the folder `tmp/NAME`. Both are open
 * file description locks, as libostree takes them, so that the two can work in one repository at the same time.
 * @module
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, unlinkSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { lockFile } from '../node/syscalls.ts';

const LOCK_FILE_MODE = 0o660;
const REPO_LOCK_MODE = 0o660;
const { O_RDWR, O_CREAT, O_NOCTTY, O_NOFOLLOW } = constants;

export interface HeldLock {
  release(): void;
}

/**
 * Locks a repository.
 *
 * @param timeout seconds; -1 waits for ever, undefined does not lock (`core.locking=false`)
 * @throws SealtreeError `io` if another process holds it for longer
 */
export function lockRepository(
  path: ByteString,
  kind: 'shared' | 'exclusive',
  timeout: number | undefined,
): HeldLock {
  if (timeout === undefined) return { release() {} };
  const lock = joinPath(path, byteString('.lock'));
  let fd: number;
  try {
    fd = openSync(fsPath(lock), O_RDWR | O_CREAT, REPO_LOCK_MODE);
  } catch (error) {
    throw ioError(`Opening lock file ${displayByteString(lock)} failed`, error);
  }
  const held = { release: () => closeSync(fd) };
  try {
    if (acquire(fd, kind, timeout)) return held;
  } catch (error) {
    held.release();
    throw ioError(`Locking repo ${kind} failed`, error);
  }
  held.release();
  throw new SealtreeError('io', `Locking repo ${kind} failed: Resource temporarily unavailable`, {
    path: displayByteString(path),
  });
}

/** Tries once a second, because the wait is bounded and no lock call of the kernel's is. */
function acquire(fd: number, kind: 'shared' | 'exclusive', timeout: number): boolean {
  if (timeout < 0) return lockFile(fd, kind, { wait: true });
  for (let waited = 0; ; waited++) {
    if (lockFile(fd, kind)) return true;
    if (waited >= timeout) return false;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  }
}

/**
 * Takes the lock file beside a folder; releasing it removes the file.
 *
 * @param path of the folder; the lock is `path-lock`
 * @returns undefined if another process has it, or if the folder is no longer there
 */
export function tryLockFolder(path: ByteString): HeldLock | undefined {
  const lockPath = fsPath(byteString(`${path}-lock`));
  const fd = openAndLock(lockPath);
  if (fd === undefined) return undefined;
  const held = {
    release() {
      unlinkIfThere(lockPath);
      closeSync(fd);
    },
  };
  if (lstatSync(fsPath(path), { throwIfNoEntry: false })?.isDirectory() === true) return held;
  held.release();
  return undefined;
}

/** Locks the file that has the name when the lock is there: its last holder removes it. */
function openAndLock(path: string | Buffer): number | undefined {
  for (;;) {
    let fd: number;
    try {
      fd = openSync(path, O_RDWR | O_CREAT | O_NOCTTY | O_NOFOLLOW, LOCK_FILE_MODE);
    } catch (error) {
      if (isErrno(error, 'EACCES', 'EPERM')) return undefined;
      throw ioError('open', error);
    }
    if (!lockFile(fd, 'exclusive')) {
      closeSync(fd);
      return undefined;
    }
    const named = lstatSync(path, { throwIfNoEntry: false });
    const opened = fstatSync(fd);
    if (named !== undefined && named.ino === opened.ino && named.dev === opened.dev) return fd;
    closeSync(fd);
  }
}

function unlinkIfThere(path: string | Buffer): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
