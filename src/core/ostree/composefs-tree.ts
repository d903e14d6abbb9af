/**
 * The tree whose image is a commit's composefs image: that of the commit, with directories for a root file system.
 * Defined by ostree's source; the image's digest is what the commit's metadata says.
 * @module
 */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import { type DirectoryEntry, type Inode, makeInode } from '../fs/file-tree.ts';
import { isSymlink, S_IFDIR } from '../fs/mode.ts';
import type { Dirmeta } from './dirmeta.ts';
import type { Dirtree } from './dirtree.ts';
import type { FileHeader } from './file-header.ts';
import { objectPath } from './objects.ts';

/** A content object, as much of it as its inode in the image needs. */
export interface ComposefsFile {
  readonly header: FileHeader;
  /** Bytes of the content. */
  readonly size: number;
  /** fs-verity digest of the content, or undefined for an image without digests; not looked at for an empty file. */
  readonly verity: string | undefined;
}

/** Where objects come from; each throws if there is none of that name. Checksums are 64 hexadecimal digits. */
export interface ComposefsReader {
  dirtree(checksum: string): Dirtree;
  dirmeta(checksum: string): Dirmeta;
  file(checksum: string): ComposefsFile;
}

/** Directories that a root file system mounts on: made if the commit has not got them. */
const ROOT_DIRECTORIES = ['usr', 'etc', 'boot', 'var', 'sysroot'].map(byteString);

/**
 * A bound on what a small commit can unfold to: a dirtree may name the same subdirectory many times, and that again.
 * No real tree comes near.
 */
const MAX_INODES = 1 << 21;

/**
 * Makes the tree of a commit's composefs image. All times are 0, no file's content is inline, every file has one link.
 *
 * @param rootDirtree checksum of the root's dirtree object
 * @param rootDirmeta checksum of the root's dirmeta object
 * @throws SealtreeError `malformed` on a tree of more than `maxInodes` (two million), and what the reader throws
 */
export function composefsTree(
  reader: ComposefsReader,
  rootDirtree: string,
  rootDirmeta: string,
  { maxInodes = MAX_INODES }: { maxInodes?: number } = {},
): Inode {
  const root = directoryInode(reader.dirmeta(rootDirmeta));
  const pending = [{ inode: root, dirtree: rootDirtree }];
  let count = 1;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const children = next.inode.children as Map<ByteString, DirectoryEntry>;
    const { files, dirs } = reader.dirtree(next.dirtree);
    count += files.length + dirs.length;
    if (count > maxInodes) throw malformed(`commit has more than ${maxInodes} files and directories`);
    for (const { name, checksum } of files) children.set(name, fileInode(checksum, reader.file(checksum)));
    for (const { name, dirtree, dirmeta } of dirs) {
      const inode = directoryInode(reader.dirmeta(dirmeta));
      children.set(name, inode);
      pending.push({ inode, dirtree });
    }
  }
  addRootDirectories(root);
  return root;
}

function directoryInode({ uid, gid, mode, xattrs }: Dirmeta): Inode {
  const inode = makeInode(mode, uid, gid);
  inode.xattrs = [...xattrs];
  return inode;
}

function fileInode(checksum: string, { header, size, verity }: ComposefsFile): Inode {
  const inode = makeInode(header.mode, header.uid, header.gid);
  inode.xattrs = [...header.xattrs];
  if (isSymlink(header.mode)) {
    inode.payload = header.symlinkTarget;
    inode.size = header.symlinkTarget.length;
    return inode;
  }
  inode.size = size;
  if (size > 0) {
    // The name of the object in a bare repository, whatever the mode of this one.
    inode.payload = objectPath(checksum, 'file');
    inode.digest = verity;
  }
  return inode;
}

/** What already has one of these names stays, even if it is no directory. */
function addRootDirectories(root: Inode): void {
  const children = root.children as Map<ByteString, DirectoryEntry>;
  for (const name of ROOT_DIRECTORIES) {
    if (!children.has(name)) children.set(name, makeInode(S_IFDIR | 0o755));
  }
}
