/**
 * The system calls that mount, as a port: src/node/mount-syscalls.ts has them by koffi, the boot program by its own
 * C. What falls back on what where a kernel is older is decided above them, once.
 *
 * Every failure is a SealtreeError `io` with `detail.errno`.
 * @module
 */
import type { ByteString } from '../bytes/byte-string.ts';
import type { VerityDigest } from '../system.ts';

/** `MS_*` of mount(2), which are also those that the mount table is read with. */
export const MS = {
  rdonly: 0x1,
  nosuid: 0x2,
  nodev: 0x4,
  noexec: 0x8,
  remount: 0x20,
  bind: 0x1000,
  move: 0x2000,
  recursive: 0x4000,
  silent: 0x8000,
  private: 0x40000,
  slave: 0x80000,
  shared: 0x100000,
} as const;

/** `MNT_DETACH` of umount2(2): out of the tree now, ended when nobody uses it any more. */
export const MNT_DETACH = 2;

/** `MOUNT_ATTR_RDONLY` of fsmount(2). */
export const MOUNT_ATTR_RDONLY = 1;

export interface MountCalls {
  close(fd: number): void;
  /** The first bytes of a file, `length` of them unless it is shorter. */
  readStart(fd: number, length: number): Uint8Array;
  /**
   * What the kernel itself enforces on an open file; undefined if fs-verity is off, not to be had, or answered for by
   * somebody else (a FUSE server names any digest).
   */
  measureVerity(fd: number): VerityDigest | undefined;
  /** mount(2); null where a call takes nothing. */
  mount(
    source: ByteString | null,
    target: ByteString,
    type: ByteString | null,
    flags: number,
    options: ByteString | null,
  ): void;
  umount(target: ByteString, flags: number): void;
  /** Starts to configure a new file system; the descriptor is to be closed by the caller. */
  openFileSystem(type: ByteString): number;
  /** Sets one parameter of a file system that is being configured: without a value, or with a string. */
  configureFileSystem(fd: number, key: ByteString, value?: ByteString): void;
  /**
   * Makes the configured file system, and a mount of it that is nowhere yet.
   *
   * @param attributes `MOUNT_ATTR_*`
   */
  createMount(fd: number, attributes: number): number;
  /** Maps the owners of a mount that is nowhere yet by a user namespace. */
  mapMountOwners(mountFd: number, userNamespaceFd: number): void;
  /** Gives a mount a place. */
  moveMount(mountFd: number, target: ByteString): void;
  /** Opens a device file, close-on-exec. */
  openDevice(path: ByteString, writable: boolean): number;
  /** ioctl LOOP_CTL_GET_FREE on /dev/loop-control: the number of a device that nobody uses. */
  freeLoopDevice(control: number): number;
  /** ioctl LOOP_CONFIGURE; `config` is a struct loop_config. */
  configureLoopDevice(fd: number, config: Uint8Array): void;
}
