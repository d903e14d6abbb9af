/**
 * The System port: all that the verifier may ask of the machine it runs on. Synchronous, because boot has one
 * thing to do at a time and QuickJS has no other calls. src/node/system.ts and initramfs/ implement it.
 * @module
 */
import type { ByteString } from './bytes/byte-string.ts';
import type { HashName } from './hash.ts';

export interface VerityDigest {
  readonly algorithm: HashName;
  /** 32 bytes for sha256, 64 for sha512. */
  readonly digest: Uint8Array;
}

/** What the kernel says of an open file; all three of one descriptor. */
export interface VerityEvidence {
  /** Magic number of the file system (`f_type` of fstatfs), as 32 bits without sign. */
  readonly fileSystem: number;
  /** Whether statx reports STATX_ATTR_VERITY: every read is checked. */
  readonly enforced: boolean;
  /**
   * What FS_IOC_MEASURE_VERITY answers; `off` if the file system has fs-verity and the file has it not (ENODATA),
   * undefined if that cannot be told here (ENOTTY, EOPNOTSUPP: the kernel or the file system lacks it).
   */
  readonly digest: VerityDigest | 'off' | undefined;
}

/** What lstat says is there; `other` for devices, pipes and sockets. */
export type FileKind = 'file' | 'directory' | 'symlink' | 'other';

export interface System {
  /**
   * The whole file, or undefined if there is none.
   *
   * @param limit bytes; a larger file is refused with `malformed`, and so is one that is no regular file
   * @throws SealtreeError `io` for anything else the operating system says
   */
  readFile(path: ByteString, limit: number): Uint8Array | undefined;
  /** The target of a symlink; undefined if there is nothing or it is no symlink. */
  readLink(path: ByteString): ByteString | undefined;
  /** Names in a directory, sorted by bytes; undefined if there is none. */
  readDirectory(path: ByteString): ByteString[] | undefined;
  /** What stands at a path, symlinks not followed in its last part; undefined if nothing does. */
  kindOf(path: ByteString): FileKind | undefined;
  /**
   * Opens a file for reading and asks for its fs-verity; undefined if there is none.
   *
   * @throws SealtreeError `io`
   */
  examineVerity(path: ByteString): VerityEvidence | undefined;
  /** Magic number of the file system that a directory is on; undefined if there is none. */
  fileSystemOf(path: ByteString): number | undefined;
}
