/** The job that copies files into a digest store. @module */
import { closeSync, constants, fchmodSync, lstatSync, openSync, readSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { verityParameters } from '../core/verity/descriptor.ts';
import { writeAll } from '../node/atomic-file.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { isErrno, plainError } from '../node/io-error.ts';
import type { Perform } from '../node/jobs.ts';
import { checkUnchanged, type FileStamp, openStable } from '../node/stable-read.ts';
import { copyFileRange, enableVerity, ficlone } from '../node/syscalls.ts';

export interface StoreSettings {
  readonly store: ByteString;
  /** Where copies lie by their digests until they are named; on the same file system. */
  readonly staging: ByteString;
  /** Shared: whether to stop ({@link STOP}) and how many copies are in the making ({@link BUSY}). */
  readonly state: Int32Array;
}

export const STOP = 0;
export const BUSY = 1;

export type StoreBatch = readonly StoreCopy[];

export interface StoreCopy {
  /** Path in the store. */
  readonly object: ByteString;
  readonly place: ByteString;
  readonly stamp: FileStamp;
}

/** Of a failure: which copy of its batch. */
export const FAILED_COPY = 'copy';

/** Bytes copied between two looks at whether to stop. */
const PIECE = 1024 * 1024;
const KERNEL_PIECE = 64 * 1024 * 1024;

/** File systems between which, or calls with which, the kernel cannot copy by itself. */
const COPY_YOURSELF = ['ENOSYS', 'EXDEV', 'EOPNOTSUPP', 'EPERM', 'EINVAL', 'EBADF'] as const;

/** Its batches' results say of each copy whether it was made; those that the store has are not. */
export function startJob({ store, staging, state }: StoreSettings): Perform {
  const isStopped = () => Atomics.load(state, STOP) !== 0;
  let hasVerity = true;
  return (batch: StoreBatch): boolean[] =>
    batch.map(({ object, place, stamp }, index) => {
      Atomics.add(state, BUSY, 1);
      try {
        checkStopped(isStopped);
        if (isThere(joinPath(store, object))) return false;
        const path = stagedPath(staging, object);
        copyTo(path, place, stamp, isStopped);
        if (hasVerity) hasVerity = tryEnableVerity(path);
        return true;
      } catch (error) {
        const plain = plainError(error);
        if (!(plain instanceof SealtreeError)) throw plain;
        throw new SealtreeError(plain.code, plain.message, { ...plain.detail, [FAILED_COPY]: index });
      } finally {
        Atomics.sub(state, BUSY, 1);
        Atomics.notify(state, BUSY);
      }
    });
}

/** Where the copy of an object lies until it is named. */
export function stagedPath(staging: ByteString, object: ByteString): ByteString {
  return joinPath(staging, byteString(object.replace('/', '')));
}

function isThere(path: ByteString): boolean {
  return lstatSync(fsPath(path), { throwIfNoEntry: false }) !== undefined;
}

function copyTo(path: ByteString, place: ByteString, stamp: FileStamp, stopped: () => boolean): void {
  const target = openSync(fsPath(path), 'wx', 0o600);
  try {
    copyInto(target, place, stamp, stopped);
    fchmodSync(target, 0o644);
  } finally {
    closeSync(target);
  }
}

function copyInto(target: number, place: ByteString, stamp: FileStamp, stopped: () => boolean): void {
  const source = openStable(place);
  try {
    if (!ficlone(source, target) && !copyByKernel(source, target, stamp.size, stopped)) {
      copyByHand(source, target, stopped);
    }
    checkUnchanged(source, stamp);
  } finally {
    closeSync(source);
  }
}

/** @returns false if the kernel does not copy this; then nothing was copied */
function copyByKernel(source: number, target: number, size: number, stopped: () => boolean): boolean {
  for (let copied = 0; copied < size; ) {
    checkStopped(stopped);
    try {
      const count = copyFileRange(source, target, Math.min(KERNEL_PIECE, size - copied));
      if (count === 0) return copied > 0;
      copied += count;
    } catch (error) {
      if (copied === 0 && isErrno(error, ...COPY_YOURSELF)) return false;
      throw error;
    }
  }
  return true;
}

function copyByHand(source: number, target: number, stopped: () => boolean): void {
  const buffer = Buffer.allocUnsafe(PIECE);
  for (;;) {
    checkStopped(stopped);
    const count = readSync(source, buffer);
    if (count === 0) return;
    writeAll(target, buffer.subarray(0, count));
  }
}

function checkStopped(stopped: () => boolean): void {
  if (stopped()) throw new SealtreeError('io', 'interrupted');
}

/**
 * Not every file system has fs-verity; the store is as good without, since the digest in an object's name can still be
 * checked by reading it.
 *
 * @returns false if this one has not
 */
function tryEnableVerity(path: ByteString): boolean {
  const fd = openSync(fsPath(path), constants.O_RDONLY);
  try {
    enableVerity(fd, verityParameters());
  } catch (error) {
    return !isErrno(error, 'ENOTTY', 'EOPNOTSUPP', 'ENOSYS');
  } finally {
    closeSync(fd);
  }
  return true;
}
