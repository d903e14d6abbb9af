/**
 * The system calls that mount, and the port through which the core makes them: mount(2), umount2(2), the calls of the
 * new mount API by their numbers (glibc has wrappers only since 2.36; the numbers are the same on every architecture
 * that Node runs on), and those of loop(4) devices.
 *
 * A failure is a SealtreeError `io` with `detail.errno`.
 * @module
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { type ErrorName, systemCallError } from '../core/errno.ts';
import type { MountCalls } from '../core/mount/calls.ts';
import { trustedDigest } from '../core/verify/verity-evidence.ts';
import { bytesAt, checked, cPath, foreign } from './foreign.ts';
import { fsPath } from './fs-path.ts';
import { errnoNameOf, isErrno } from './io-error.ts';
import { AT_FDCWD } from './syscalls.ts';
import { examineDescriptor } from './system.ts';

const NUMBER = { openTree: 428, moveMount: 429, fsopen: 430, fsconfig: 431, fsmount: 432, mountSetattr: 442 };

const call = {
  mount: foreign('mount', 'int', ['void *', 'void *', 'void *', 'ulong', 'void *']),
  umount2: foreign('umount2', 'int', ['void *', 'int']),
  openTree: foreign('syscall', 'long', ['long', 'int', 'void *', 'uint']),
  moveMount: foreign('syscall', 'long', ['long', 'int', 'void *', 'int', 'void *', 'uint']),
  fsopen: foreign('syscall', 'long', ['long', 'void *', 'uint']),
  fsconfig: foreign('syscall', 'long', ['long', 'int', 'uint', 'void *', 'void *', 'int']),
  fsmount: foreign('syscall', 'long', ['long', 'int', 'uint', 'uint']),
  mountSetattr: foreign('syscall', 'long', ['long', 'int', 'void *', 'uint', 'void *', 'uint64']),
  ioctl: foreign('ioctl', 'int', ['int', 'ulong', 'void *']),
  unshare: foreign('unshare', 'int', ['int']),
};

/** mount(2). An option string may be longer than a page only where the kernel says so. */
export function mount(
  source: ByteString | null,
  target: ByteString,
  type: ByteString | null,
  flags: number,
  options: ByteString | null,
): void {
  const path = (text: ByteString | null, slot: number) => (text === null ? null : cPath(text, slot));
  const data = options === null ? null : Buffer.from(`${options}\0`, 'latin1');
  checked('mount', call.mount(path(source, 0), cPath(target, 1), path(type, 2), flags, data));
}

/** Gives this thread, and those it starts from now on, a copy of all mounts for itself. */
export function unshareMounts(): void {
  const CLONE_NEWNS = 0x20000;
  checked('unshare', call.unshare(CLONE_NEWNS));
}

/** umount2(2). */
export function umount(target: ByteString, flags = 0): void {
  checked('umount2', call.umount2(cPath(target), flags));
}

/** Starts to configure a new file system; the descriptor is to be closed by the caller. */
export function openFileSystem(type: ByteString): number {
  const FSOPEN_CLOEXEC = 1;
  return checked('fsopen', call.fsopen(NUMBER.fsopen, cPath(type), FSOPEN_CLOEXEC));
}

const FSCONFIG = { flag: 0, string: 1, fd: 5, create: 6 };

/** Sets one parameter of a file system that is being configured: without a value, with a string, or with a descriptor. */
export function configureFileSystem(fd: number, key: ByteString, value?: ByteString | number): void {
  const name = cPath(key);
  let result: number;
  if (value === undefined) result = call.fsconfig(NUMBER.fsconfig, fd, FSCONFIG.flag, name, null, 0);
  else if (typeof value === 'number')
    result = call.fsconfig(NUMBER.fsconfig, fd, FSCONFIG.fd, name, null, value);
  else
    result = call.fsconfig(
      NUMBER.fsconfig,
      fd,
      FSCONFIG.string,
      name,
      Buffer.from(`${value}\0`, 'latin1'),
      0,
    );
  checked(`fsconfig ${key}`, result);
}

/**
 * Makes the configured file system and a mount of it that is nowhere yet: it can be used through the descriptor
 * and is gone when that is closed, unless `moveMount` gave it a place.
 *
 * @param attributes `MOUNT_ATTR_*`
 */
export function createMount(fd: number, attributes = 0): number {
  const FSMOUNT_CLOEXEC = 1;
  checked('fsconfig', call.fsconfig(NUMBER.fsconfig, fd, FSCONFIG.create, null, null, 0));
  return checked('fsmount', call.fsmount(NUMBER.fsmount, fd, FSMOUNT_CLOEXEC, attributes));
}

/** What the kernel had to say about a file system that is being configured, a line each, without the level. */
export function mountMessages(fd: number): string[] {
  const messages: string[] = [];
  const buffer = Buffer.alloc(4096);
  for (;;) {
    try {
      const length = readSync(fd, buffer);
      if (length === 0) return messages;
      messages.push(bytesAt(buffer, 2, length).trimEnd());
    } catch (error) {
      // ENODATA: that was all.
      if (isErrno(error, 'ENODATA', 'EINTR', 'EAGAIN')) return messages;
      throw error;
    }
  }
}

/** Gives a mount a place; `target` is a path, or '' for the directory behind `directory`. */
export function moveMount(mountFd: number, target: ByteString, directory = AT_FDCWD): void {
  const MOVE_MOUNT_F_EMPTY_PATH = 4;
  const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
  const flags = MOVE_MOUNT_F_EMPTY_PATH | (target === '' ? MOVE_MOUNT_T_EMPTY_PATH : 0);
  const result = call.moveMount(
    NUMBER.moveMount,
    mountFd,
    cPath(byteString('')),
    directory,
    cPath(target, 1),
    flags,
  );
  checked('move_mount', result);
}

/** A copy of the mount at `path` (with all below it if `recursive`) that is nowhere yet; see `createMount`. */
export function cloneMount(path: ByteString, { recursive = false } = {}): number {
  const OPEN_TREE_CLONE = 1;
  const OPEN_TREE_CLOEXEC = 0o2000000;
  const AT_RECURSIVE = 0x8000;
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
  return checked('open_tree', call.openTree(NUMBER.openTree, AT_FDCWD, cPath(path), flags));
}

/** Maps the owners of a mount that is nowhere yet by a user namespace. */
export function mapMountOwners(mountFd: number, userNamespaceFd: number): void {
  const MOUNT_ATTR_IDMAP = 0x00100000n;
  const AT_EMPTY_PATH = 0x1000;
  const attributes = Buffer.alloc(32); // struct mount_attr: set, clear, propagation, user namespace
  attributes.writeBigUInt64LE(MOUNT_ATTR_IDMAP, 0);
  attributes.writeBigUInt64LE(BigInt(userNamespaceFd), 24);
  const path = cPath(byteString(''));
  const result = call.mountSetattr(
    NUMBER.mountSetattr,
    mountFd,
    path,
    AT_EMPTY_PATH,
    attributes,
    attributes.length,
  );
  checked('mount_setattr', result);
}

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;

/** The port of the core. */
export const nodeMountCalls: MountCalls = {
  close: closeSync,
  readStart(fd, length) {
    const data = Buffer.alloc(length);
    return data.subarray(0, readSync(fd, data, 0, length, 0));
  },
  measureVerity: (fd) => trustedDigest(examineDescriptor(fd)),
  mount,
  umount,
  openFileSystem,
  configureFileSystem,
  createMount,
  mapMountOwners,
  moveMount,
  openDevice(path, writable) {
    try {
      return openSync(fsPath(path), writable ? constants.O_RDWR : constants.O_RDONLY);
    } catch (error) {
      throw systemCallError('open', errnoNameOf(error) as ErrorName);
    }
  },
  freeLoopDevice: (control) =>
    checked('ioctl(LOOP_CTL_GET_FREE)', call.ioctl(control, LOOP_CTL_GET_FREE, null)),
  configureLoopDevice(fd, config) {
    checked('ioctl(LOOP_CONFIGURE)', call.ioctl(fd, LOOP_CONFIGURE, config));
  },
};
