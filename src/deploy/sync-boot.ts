/**
 * Boot loaders read a file system without replaying its journal: what is only there they do not see. Freezing the file
 * system for a moment writes the journal out; a small process stands by to thaw it, should this one die in between.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import type { ByteString } from '../core/bytes/byte-string.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { freezeFileSystem, syncfs, thawFileSystem } from '../node/syscalls.ts';
import { openDirectory } from './files.ts';

const WATCHDOG = `trap '' INT TERM HUP
command -v fsfreeze >/dev/null || exit
echo ready
read -r done && exit
fsfreeze --unfreeze /proc/self/fd/3`;

/** Has everything below a mount point where a boot loader finds it. Where it cannot be frozen it is synchronised. */
export async function flushJournal(mountPoint: ByteString): Promise<void> {
  const fd = openDirectory(mountPoint);
  try {
    const guarded = await startWatchdog(fd);
    try {
      if (guarded === undefined || !freezeAndThaw(fd)) syncfs(fd);
    } finally {
      guarded?.();
    }
  } catch (error) {
    throw ioError('During fsfreeze-thaw', error);
  } finally {
    closeSync(fd);
  }
}

/** @returns dismisses it; undefined if none is to be had */
async function startWatchdog(fd: number): Promise<(() => void) | undefined> {
  // In a session of its own: an interrupt from the terminal does not reach it.
  let watchdog: ChildProcess;
  try {
    watchdog = spawn('sh', ['-c', WATCHDOG], { detached: true, stdio: ['pipe', 'pipe', 'ignore', fd] });
  } catch {
    return undefined;
  }
  const { stdin, stdout } = watchdog;
  const failed = once(watchdog, 'error').catch(() => undefined);
  stdin?.on('error', () => {});
  const ready = await Promise.race([
    once(stdout as NonNullable<typeof stdout>, 'data'),
    once(watchdog, 'exit'),
    failed,
  ]);
  if (!Buffer.isBuffer(ready?.[0])) return undefined;
  return () => {
    stdin?.end('done\n');
    stdout?.destroy();
    watchdog.unref();
  };
}

/** @returns false if this file system, or this user, cannot */
function freezeAndThaw(fd: number): boolean {
  try {
    freezeFileSystem(fd);
  } catch (error) {
    if (isErrno(error, 'EOPNOTSUPP', 'ENOSYS', 'EPERM', 'EBUSY', 'ENOTTY')) return false;
    throw error;
  }
  try {
    thawFileSystem(fd);
  } catch (error) {
    if (!isErrno(error, 'EINVAL')) throw error;
  }
  return true;
}
