/**
 * The folders in `tmp` of a repository where transactions collect objects: found, locked, and removed when they are of
 * no use any more. Names and locks are libostree's.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { FOLDER_MODE } from './init.ts';
import { type HeldLock, tryLockFolder } from './lock.ts';

const STAGING_PREFIX = 'staging-';

/** A folder in `tmp` that this process has the lock of. */
export interface Staging {
  readonly path: ByteString;
  readonly lock: HeldLock;
}

/** Takes over a folder of this boot that no process has the lock of, or makes one. */
export function allocateStaging(tmp: ByteString): Staging {
  const prefix = bootPrefix();
  for (const name of readdirSync(fsPath(tmp), 'latin1')) {
    if (!name.startsWith(prefix) || name.endsWith('-lock')) continue;
    const path = joinPath(tmp, byteString(name));
    const lock = tryLockFolder(path);
    if (lock === undefined) continue;
    const now = new Date();
    utimesSync(fsPath(path), now, now);
    return { path, lock };
  }
  for (;;) {
    const path = joinPath(tmp, byteString(prefix + randomLetters(6)));
    try {
      mkdirSync(fsPath(path), FOLDER_MODE);
    } catch (error) {
      if (isErrno(error, 'EEXIST')) continue;
      throw ioError('mkdirat', error);
    }
    // Another process may have found the new folder and locked it first: it then owns it.
    const lock = tryLockFolder(path);
    if (lock !== undefined) return { path, lock };
  }
}

let boot: string | undefined;

function bootPrefix(): string {
  boot ??= process.env.OSTREE_BOOTID ?? readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  return `${STAGING_PREFIX}${boot}-`;
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function randomLetters(count: number): string {
  return Array.from(randomBytes(count), (byte) => LETTERS[byte % LETTERS.length]).join('');
}

/** Removes staging folders of earlier boots, locks without a folder, and whatever else in `tmp` has grown old. */
export function cleanTemporaries(repo: ByteString, expiry: number): void {
  const currentBoot = bootPrefix();
  const tmp = joinPath(repo, byteString('tmp'));
  const now = Date.now() / 1000;
  for (const name of readdirSync(fsPath(tmp), 'latin1')) {
    if (name === 'cache') continue;
    const path = joinPath(tmp, byteString(name));
    const stat = lstatSync(fsPath(path), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    if (name.startsWith(STAGING_PREFIX) && stat.isDirectory()) {
      if (!name.startsWith(currentBoot)) removeUnlocked(path);
    } else if (name.startsWith(STAGING_PREFIX) && name.endsWith('-lock')) {
      removeOrphanedLock(byteString(path.slice(0, -'-lock'.length)));
    } else if (now - stat.mtimeMs / 1000 > expiry) {
      removeTree(path);
    }
  }
}

function removeUnlocked(path: ByteString): void {
  const lock = tryLockFolder(path);
  if (lock === undefined) return;
  removeTree(path);
  lock.release();
}

/** A process that dies between the removal of its folder and that of the lock leaves the lock. */
function removeOrphanedLock(folder: ByteString): void {
  if (lstatSync(fsPath(folder), { throwIfNoEntry: false }) === undefined) tryLockFolder(folder)?.release();
}

export function removeStaging({ path, lock }: Staging): void {
  removeTree(path);
  lock.release();
}

/** Tries again while a worker thread still puts something into it. */
export function removeTree(path: ByteString): void {
  rmSync(fsPath(path), { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
}
