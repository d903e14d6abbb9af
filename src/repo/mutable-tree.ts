/**
 * A tree while a commit is put together: directories that map names to objects, some of them still as they stand in
 * an earlier commit and read only if something changes below them.
 * @module
 */
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed } from '../core/errors.ts';
import { type Dirtree, encodeDirtree, validateFilename } from '../core/ostree/dirtree.ts';

export interface MutableTree {
  /** Checksum of the directory's dirmeta object; undefined until it is known. */
  dirmeta: string | undefined;
  /** Checksum of the dirtree object that says what is in it; undefined once {@link files} and {@link dirs} do. */
  unread: string | undefined;
  /** Name to checksum of the content object. */
  readonly files: Map<ByteString, string>;
  readonly dirs: Map<ByteString, MutableTree>;
}

/** Where dirtrees of earlier commits come from. */
export interface DirtreeReader {
  dirtree(checksum: string): Dirtree;
}

/** A directory, empty or with what a dirtree says. @param dirtree, dirmeta checksums of objects */
export function makeTree(dirtree?: string, dirmeta?: string): MutableTree {
  return { dirmeta, unread: dirtree, files: new Map(), dirs: new Map() };
}

/** Puts a file into a directory, in place of one of that name. */
export function putFile(tree: MutableTree, name: ByteString, checksum: string, reader: DirtreeReader): void {
  validateFilename(name);
  readInto(tree, reader);
  if (tree.dirs.has(name)) throw malformed(`Can't replace directory with file: ${displayByteString(name)}`);
  tree.files.set(name, checksum);
}

/** The subdirectory of that name, made if there is none. */
export function ensureDirectory(tree: MutableTree, name: ByteString, reader: DirtreeReader): MutableTree {
  validateFilename(name);
  readInto(tree, reader);
  if (tree.files.has(name)) throw malformed(`Can't replace file with directory: ${displayByteString(name)}`);
  let directory = tree.dirs.get(name);
  if (directory === undefined) {
    directory = makeTree();
    tree.dirs.set(name, directory);
  }
  return directory;
}

/** Lays the tree of a commit over this one, directories joined, files replaced. */
export function overlayTree(
  tree: MutableTree,
  dirtree: string,
  dirmeta: string,
  reader: DirtreeReader,
): void {
  const pending = [{ tree, dirtree, dirmeta }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    next.tree.dirmeta = next.dirmeta;
    if (isEmpty(next.tree)) {
      next.tree.unread = next.dirtree;
      continue;
    }
    const { files, dirs } = reader.dirtree(next.dirtree);
    for (const { name, checksum } of files) putFile(next.tree, name, checksum, reader);
    for (const entry of dirs)
      pending.push({ ...entry, tree: ensureDirectory(next.tree, entry.name, reader) });
  }
}

/**
 * Writes the dirtree objects of a tree, those without unwritten ones below first.
 *
 * @param write stores an object and returns its checksum
 * @returns the checksum of the root's
 * @throws SealtreeError `malformed` `Can't commit an empty tree` if a directory has no metadata
 */
export function writeTree(root: MutableTree, write: (dirtree: Dirtree, data: Uint8Array) => string): string {
  // A parent stands before its children; walked from the end, children are written first.
  const order = [root];
  for (let at = 0; at < order.length; at++) {
    const tree = order[at] as MutableTree;
    if (tree.dirmeta === undefined) throw malformed("Can't commit an empty tree");
    if (tree.unread === undefined) order.push(...tree.dirs.values());
  }
  for (const tree of order.reverse()) {
    if (tree.unread !== undefined) continue;
    const dirtree: Dirtree = {
      files: Array.from(tree.files, ([name, checksum]) => ({ name, checksum })),
      dirs: Array.from(tree.dirs, ([name, child]) => ({
        name,
        dirtree: child.unread as string,
        dirmeta: child.dirmeta as string,
      })),
    };
    tree.unread = write(dirtree, encodeDirtree(dirtree));
  }
  return root.unread as string;
}

function isEmpty(tree: MutableTree): boolean {
  return tree.unread === undefined && tree.files.size === 0 && tree.dirs.size === 0;
}

function readInto(tree: MutableTree, reader: DirtreeReader): void {
  if (tree.unread === undefined) return;
  const { files, dirs } = reader.dirtree(tree.unread);
  for (const { name, checksum } of files) tree.files.set(name, checksum);
  for (const { name, dirtree, dirmeta } of dirs) tree.dirs.set(name, makeTree(dirtree, dirmeta));
  tree.unread = undefined;
}
