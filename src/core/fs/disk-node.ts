/** A tree of files that is to be written to a disk: metadata here, content from wherever it is. @module */
import type { ByteString } from '../bytes/byte-string.ts';
import type { Xattr } from './file-tree.ts';

/** A file of the tree to be written. Names that share one object are hard links. */
export interface DiskNode {
  /** `st_mode` with the type bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** As the kernel packs device numbers in 32 bits. */
  readonly rdev: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly xattrs: readonly Xattr[];
  /** Bytes of a regular file. */
  readonly size: number;
  /** Of a symlink. */
  readonly target: ByteString | undefined;
  /** Whether the kernel is to check what is read of this regular file. */
  readonly verity: boolean;
  /** `chattr +i`. */
  readonly immutable: boolean;
  /** Of a directory, in any order. */
  readonly entries: ReadonlyMap<ByteString, DiskNode> | undefined;
}

/** Gives the content of a regular file, in pieces of any size, to `take`. */
export type ReadContent = (node: DiskNode, take: (piece: Uint8Array) => void) => void;

/** Takes `data` for the disk at `at`; what is never written is zeros. `data` is valid during the call only. */
export type Sink = (at: number, data: Uint8Array) => void;
