/**
 * The one shape that every source of a file system becomes: directory, dump file, ostree commit, EROFS image.
 * A tree is made of inodes; a directory maps names to inodes, and a name may instead be a hard link to an inode
 * that another name owns.
 * @module
 */
import type { ByteString } from '../bytes/byte-string.ts';

/** One extended attribute: full key (`user.foo`) and raw value. */
export type Xattr = readonly [key: ByteString, value: ByteString];

export interface Inode {
  /** `st_mode` with the type bits; 32 bits as a dump file may carry them. */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** Linux device number, 32 bits; only for character and block devices. */
  rdev: number;
  /** Bytes. A bigint only above 2^53, which no file has but a dump file can say. */
  size: number | bigint;
  /** Seconds since 1970, signed 64 bits; a bigint only outside the safe integers. */
  mtimeSec: number | bigint;
  /** 32 bits. */
  mtimeNsec: number;
  /** In no particular order; keys are distinct. Never changed in place: inodes may share one array. */
  xattrs: readonly Xattr[];
  /** Symlink: its target. Regular file with external content: path of the backing object, or undefined. */
  payload: ByteString | undefined;
  /** Regular file: content held in the image itself. */
  content: ByteString | undefined;
  /** Regular file with external content: fs-verity digest, 64 lower-case hexadecimal digits. */
  digest: string | undefined;
  /** Directory: its entries; undefined for every other type. */
  children: Map<ByteString, DirectoryEntry> | undefined;
}

/** A further name of an inode that stands elsewhere in the tree. May point at another link; cycles are an error. */
export interface HardLink {
  linkTo: DirectoryEntry;
}

export type DirectoryEntry = Inode | HardLink;

/** Whether an entry only leads to an inode that stands elsewhere. */
export function isHardLink(entry: DirectoryEntry): entry is HardLink {
  return 'linkTo' in entry;
}

/** An inode with zero times, no xattrs and no content; a directory (by `mode`) gets an empty map of children. */
export function makeInode(mode: number, uid = 0, gid = 0): Inode {
  return {
    mode,
    nlink: 1,
    uid,
    gid,
    rdev: 0,
    size: 0,
    mtimeSec: 0,
    mtimeNsec: 0,
    xattrs: [],
    payload: undefined,
    content: undefined,
    digest: undefined,
    children: (mode & 0o170000) === 0o040000 ? new Map() : undefined,
  };
}
