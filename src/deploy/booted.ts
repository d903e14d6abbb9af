/**
 * The running system, where it is one that ostree booted: /run/ostree-booted, which ostree-prepare-root writes, and the
 * mounts that have to be writable before anything is changed.
 * @module
 */
import { accessSync, constants, readlinkSync, statSync } from 'node:fs';
import { type ByteString, byteString, byteStringFrom } from '../core/bytes/byte-string.ts';
import { kernelArgument } from '../core/conf/cmdline.ts';
import { decodeVariant } from '../core/gvariant/decode.ts';
import type { Value, Variant } from '../core/gvariant/value.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { mount, unshareMounts } from '../node/mount-syscalls.ts';
import { readFileLimited } from '../node/read-file.ts';

export interface Booted {
  /** Device and inode of the deployment's directory on the disk. */
  readonly device: bigint;
  readonly inode: bigint;
  /** Value of the kernel argument `ostree=`. */
  readonly argument: ByteString | undefined;
}

const BOOTED_FILE = '/run/ostree-booted';
const LIMIT = 64 * 1024;
const MOUNTS = ['/sysroot', '/boot'];
const MS_REMOUNT = 32;
const MS_RELATIME = 1 << 21;

/** What is booted, if `sysroot` is the root directory of a system that ostree booted. */
export function bootedOf(sysroot: ByteString): Booted | undefined {
  const data = readFileLimited(byteString(BOOTED_FILE), BOOTED_FILE, LIMIT);
  if (data === undefined) return undefined;
  const root = statSync('/', { bigint: true });
  const own = statSync(fsPath(sysroot), { bigint: true });
  if (root.dev !== own.dev || root.ino !== own.ino) return undefined;
  const cmdline = readFileLimited(byteString('/proc/cmdline'), '/proc/cmdline', LIMIT);
  const [device, inode] = backingDirectory(data) ?? [root.dev, root.ino];
  const text = byteString(byteStringFrom(cmdline ?? new Uint8Array()).trimEnd());
  return { device, inode, argument: kernelArgument(text, 'ostree') };
}

function backingDirectory(data: Uint8Array): readonly [bigint, bigint] | undefined {
  let entries: [ByteString, Variant][];
  try {
    entries = decodeVariant('a{sv}', data, BOOTED_FILE) as [ByteString, Variant][] & Value;
  } catch (error) {
    throw ioError(`failed to read ${BOOTED_FILE}`, error);
  }
  const found = entries.find(([key]) => key === 'backing-root-device-inode')?.[1];
  return found?.type === '(tt)' ? (found.value as [bigint, bigint]) : undefined;
}

/**
 * Gives this process mounts of its own, in which /sysroot and /boot are writable. Threads that are started later have
 * them too.
 */
export function makeMountsWritable(): void {
  if (process.geteuid?.() !== 0) return;
  try {
    if (readlinkSync('/proc/1/ns/mnt') === readlinkSync('/proc/self/ns/mnt')) unshareMounts();
  } catch (error) {
    throw ioError('Failed to invoke unshare(CLONE_NEWNS)', error);
  }
  for (const path of MOUNTS) {
    if (!isReadOnly(path)) continue;
    try {
      mount(byteString(path), byteString(path), null, MS_REMOUNT | MS_RELATIME, null);
    } catch (error) {
      throw ioError(`Remounting ${path} read-write`, error);
    }
  }
}

function isReadOnly(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch (error) {
    return isErrno(error, 'EROFS');
  }
}
