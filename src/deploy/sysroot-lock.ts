/**
 * The lock of a sysroot, `ostree/lock`: whoever changes deployments holds it. Taken and given back as libglnx does for
 * ostree, so that both tools wait for each other.
 * @module
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, unlinkSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { onExit } from '../node/on-exit.ts';
import { lockFile } from '../node/syscalls.ts';

const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOCTTY | constants.O_NOFOLLOW;
const MODE = 0o660;
const RETRY_MILLISECONDS = 200;
/** Attempts between two messages: three seconds. */
const ATTEMPTS_PER_MESSAGE = 15;

/**
 * Runs `use` while holding the lock.
 *
 * @param waiting is called at once and every three seconds while another process has it
 */
export async function withSysrootLock<T>(
  sysroot: ByteString,
  waiting: () => void,
  use: () => Promise<T> | T,
): Promise<T> {
  const path = fsPath(joinPath(sysroot, byteString('ostree/lock')));
  let fd: number | undefined;
  const release = () => {
    if (fd === undefined) return;
    try {
      unlinkSync(path);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw ioError('unlinkat(ostree/lock)', error);
    }
  };
  // Before the file is made: a signal that comes between the two would leave it behind.
  const forget = onExit(release);
  try {
    fd = await acquire(path, waiting);
    return await use();
  } finally {
    forget();
    release();
    if (fd !== undefined) closeSync(fd);
  }
}

/** The last holder removes the file: what was locked has to be the file that has the name. */
async function acquire(path: string | Buffer, waiting: () => void): Promise<number> {
  for (let attempt = 0; ; ) {
    let fd: number;
    try {
      fd = openSync(path, FLAGS, MODE);
    } catch (error) {
      throw ioError('open(ostree/lock)', error);
    }
    if (lockFile(fd, 'exclusive')) {
      const named = lstatSync(path, { throwIfNoEntry: false });
      const opened = fstatSync(fd);
      if (named?.ino === opened.ino && named.dev === opened.dev) return fd;
      closeSync(fd);
      continue;
    }
    closeSync(fd);
    if (attempt++ % ATTEMPTS_PER_MESSAGE === 0) waiting();
    await setTimeout(RETRY_MILLISECONDS);
  }
}
