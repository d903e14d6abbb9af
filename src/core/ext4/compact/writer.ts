/**
 * Writes a compact ext4 file system in one pass, the bytes that hcsshim's compactext4 writes: content in the order in which
 * it comes, then directories, inodes and bitmaps (finish.ts). Only the blocks at the begin, and attributes of what is
 * named twice, are written later.
 *
 * An entry costs its 256 bytes of inode and what a JavaScript Map takes for its name, some 140 bytes.
 * @module
 */
import {
  type ByteString,
  byteString,
  byteStringFrom,
  bytesOf,
  displayByteString,
} from '../../bytes/byte-string.ts';
import { malformed, prefixed, SealtreeError } from '../../errors.ts';
import type { Xattr } from '../../fs/file-tree.ts';
import {
  isDirectory,
  isRegular,
  isSymlink,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
} from '../../fs/mode.ts';
import { cleanPath } from '../../tar/clean-path.ts';
import { type Extent, encodeExtentBlock, encodeExtentRoot } from '../extents.ts';
import {
  BLOCK_SIZE,
  BLOCKS_PER_GROUP,
  DESCRIPTOR_SIZE,
  EXTENT_MAX_LENGTH,
  EXTENTS_IN_BLOCK,
  EXTENTS_IN_INODE,
  FAST_SYMLINK_LIMIT,
  FIRST_INODE,
  INODE,
  INODE_BODY_SIZE,
  INODE_FLAG,
  INODE_SIZE,
  ROOT_INODE,
} from '../format.ts';
import { encodeInode, type InodeTime, packedDeviceBody, symlinkBody } from '../inode.ts';
import { InodeTable } from './inode-table.ts';
import { copiedTime } from './times.ts';
import { COMPACT_EXTRA_SIZE, encodeXattrBlock, placeXattrs, readXattrs } from './xattrs.ts';

/** Where the file system goes. Data is valid during the call only. */
export interface BlockStream {
  /** Adds to the end. */
  write(data: Uint8Array): void;
  zeros(length: number): void;
  /** What is written next, at this offset, may be rewritten. */
  mayRewrite(offset: number): void;
  /** Replaces what is there, whole blocks of which `mayRewrite` has told. */
  rewrite(offset: number, data: Uint8Array): void;
}

/** What a file is, besides its name and its content. */
export interface CompactFile {
  /** `st_mode`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly accessed: InodeTime;
  readonly changed: InodeTime;
  readonly modified: InodeTime;
  readonly created: InodeTime;
  /** Bytes of a regular file, which `write` and `zeros` have to give next. */
  readonly size: number;
  /** Of a symlink. */
  readonly target: ByteString;
  readonly devMajor: number;
  readonly devMinor: number;
  /** Distinct keys. */
  readonly xattrs: readonly Xattr[];
}

const NEVER: InodeTime = { low: 0, extra: 0 };
const NO_BODY = new Uint8Array(INODE_BODY_SIZE);
const NOTHING = byteString('');

/** A directory of root, as old as nothing. */
export const EMPTY_FILE: CompactFile = {
  mode: 0,
  uid: 0,
  gid: 0,
  accessed: NEVER,
  changed: NEVER,
  modified: NEVER,
  created: NEVER,
  size: 0,
  target: NOTHING,
  devMajor: 0,
  devMinor: 0,
  xattrs: [],
};

const LOST_AND_FOUND = byteString('lost+found');
const MAX_FILE_SIZE = 128 * 1024 ** 3;
const MAX_NAME = 255;
const MAX_LINKS = 65000;

export class CompactWriter {
  readonly #out: BlockStream;
  readonly #maxSize: number;
  readonly #inodes = new InodeTable();
  readonly #children = new Map<number, Map<ByteString, number>>();
  readonly #xattrBlocks = new Map<number, Uint8Array>();
  #position = 0;
  #lastName = NOTHING;
  #lastPath = NOTHING;
  #current: { readonly inode: number; readonly start: number; left: number } | undefined;

  /** @param maxSize bytes that it may have; room is kept for the descriptors of so many */
  constructor(out: BlockStream, maxSize: number) {
    this.#out = out;
    this.#maxSize = maxSize;
    out.mayRewrite(0);
    this.zeros((1 + this.descriptorBlocks) * BLOCK_SIZE);
    this.#makeInode(ROOT_INODE, { ...EMPTY_FILE, mode: S_IFDIR | 0o755 }, false);
    this.#inodes.setLinks(ROOT_INODE, 2);
    this.#inodes.place(FIRST_INODE - 1);
    this.create(LOST_AND_FOUND, { ...EMPTY_FILE, mode: S_IFDIR | 0o700 });
  }

  get inodes(): InodeTable {
    return this.#inodes;
  }

  /** Blocks of group descriptors. */
  get descriptorBlocks(): number {
    const groups = Math.ceil(Math.ceil(this.#maxSize / BLOCK_SIZE) / BLOCKS_PER_GROUP);
    return Math.ceil((groups * DESCRIPTOR_SIZE) / BLOCK_SIZE);
  }

  /** Bytes so far. */
  get position(): number {
    return this.#position;
  }

  /** Names in a directory. */
  childrenOf(directory: number): ReadonlyMap<ByteString, number> {
    return this.#children.get(directory) ?? new Map();
  }

  // ---- names

  /**
   * Makes the directories that lead to a name, where they are missing: each with the owner, mode and times of the one
   * above.
   */
  makeParents(name: ByteString): void {
    this.finishFile();
    const path = this.#clean(name);
    let directory = ROOT_INODE;
    for (let start = 0, end = path.indexOf('/'); end >= 0; start = end + 1, end = path.indexOf('/', start)) {
      const part = byteString(path.slice(start, end));
      let child = this.#children.get(directory)?.get(part);
      if (child === undefined) {
        try {
          const { mode, uid, gid, ...times } = this.#attributes(directory);
          this.create(byteString(`/${path.slice(0, end)}`), { ...EMPTY_FILE, mode, uid, gid, ...times });
        } catch (error) {
          throw prefixed('failed while creating parent directories', error);
        }
        child = this.#children.get(directory)?.get(part) as number;
      }
      directory = child;
    }
  }

  /** Adds a file, or puts it in the place of one of that name. */
  create(name: ByteString, file: CompactFile): void {
    this.finishFile();
    const { directory, child: existing, last } = this.#lookUp(name);
    const isNewDirectory = isDirectory(file.mode);
    if (existing !== undefined && isDirectory(this.#inodes.mode(existing)) !== isNewDirectory)
      throw refused(
        name,
        isNewDirectory ? 'cannot replace a file with a directory' : 'cannot replace a directory with a file',
      );
    if (existing === undefined && isNewDirectory && this.#inodes.links(directory) >= MAX_LINKS)
      throw refused(name, 'exceeded parent directory maximum link count');
    const isReused = existing !== undefined && (isNewDirectory || this.#inodes.links(existing) < 2);
    const inode = isReused ? existing : this.#inodes.last + 1;
    try {
      this.#makeInode(inode, file, isReused);
    } catch (error) {
      throw prefixed(displayByteString(name), error);
    }
    if (!isReused) {
      if (existing !== undefined) this.#addLinks(existing, -1);
      this.#enter(directory, last, inode);
      this.#addLinks(inode, 1);
      if (isNewDirectory) this.#addLinks(directory, 1);
    }
    if (isRegular(this.#inodes.mode(inode)) && file.size > 0)
      this.#current = { inode, start: this.#position, left: file.size };
  }

  /** Adds a name to what has one. */
  link(target: ByteString, name: ByteString): void {
    this.finishFile();
    const { directory, child: existing, last } = this.#lookUp(name);
    if (
      existing !== undefined &&
      (isDirectory(this.#inodes.mode(existing)) || this.#inodes.links(existing) < 2)
    )
      throw refused(name, 'cannot orphan existing file or directory');
    const { child: inode } = this.#lookUp(target);
    if (inode === undefined) throw refused(target, 'file not found');
    if (isDirectory(this.#inodes.mode(inode)))
      throw refused(name, `link target cannot be a directory: ${displayByteString(target)}`);
    if (existing !== inode && this.#inodes.links(inode) >= MAX_LINKS)
      throw refused(name, `link target would exceed maximum link count: ${displayByteString(target)}`);
    if (existing !== undefined) this.#addLinks(existing, -1);
    this.#addLinks(inode, 1);
    this.#enter(directory, last, inode);
  }

  /** Adds an attribute to what has this name. */
  setXattr(name: ByteString, xattr: Xattr): void {
    this.finishFile();
    const { child: inode } = this.#lookUp(name);
    if (inode === undefined) throw refused(name, 'file not found');
    const attributes = this.#attributes(inode);
    const size = this.#inodes.size(inode);
    let target = NOTHING;
    if (isSymlink(attributes.mode)) {
      if (size >= FAST_SYMLINK_LIMIT) throw refused(name, 'cannot retrieve link information');
      target = byteStringFrom(this.#inodes.bytes(inode, INODE.block, INODE.block + size));
    }
    const xattrs = new Map(this.#inlineXattrs(inode));
    const block = this.#xattrBlocks.get(inode);
    if (block !== undefined) for (const [key, value] of readXattrs(block, 'block')) xattrs.set(key, value);
    xattrs.set(...xattr);
    this.create(name, { ...EMPTY_FILE, ...attributes, size, target, xattrs: [...xattrs] });
  }

  // ---- content

  /** Content of the file that was created last; or, after `finishFiles`, anything. */
  write(data: Uint8Array): void {
    this.#take(data.length);
    this.#out.write(data);
  }

  /** The same, so many zeros. */
  zeros(length: number): void {
    this.#take(length);
    this.#out.zeros(length);
  }

  rewrite(offset: number, data: Uint8Array): void {
    this.#out.rewrite(offset, data);
  }

  /** Ends the content of the file that was created last. */
  finishFile(): void {
    const current = this.#current;
    if (current === undefined) return;
    if (current.left !== 0)
      throw new SealtreeError('internal', `${current.left} bytes of a file are missing`);
    this.#current = undefined;
    this.setExtents(current.inode, current.start, this.#position - current.start);
  }

  /** Says that an inode has the last `size` bytes as its content, which begin at `start`. */
  setExtents(inode: number, start: number, size: number): void {
    if (this.#position % BLOCK_SIZE !== 0) this.zeros(BLOCK_SIZE - (this.#position % BLOCK_SIZE));
    const first = start / BLOCK_SIZE;
    const blocks = this.#position / BLOCK_SIZE - first;
    const extents: Extent[] = [];
    for (let logical = 0; logical < blocks; logical += EXTENT_MAX_LENGTH) {
      const length = Math.min(EXTENT_MAX_LENGTH, blocks - logical);
      extents.push({ logical, physical: first + logical, length });
    }
    const leaves: number[] = [];
    if (extents.length > EXTENTS_IN_INODE) {
      // Beyond one block of them compactext4 describes other places than it writes to.
      if (extents.length >= EXTENTS_IN_BLOCK)
        throw new SealtreeError(
          'unsupported',
          `file too big: ${size} bytes need more than one block of extents`,
        );
      leaves.push(this.#position / BLOCK_SIZE);
      this.write(encodeExtentBlock(extents, undefined));
    }
    this.#inodes.setContent(inode, {
      size,
      blocks: this.#inodes.blocks(inode) + blocks + leaves.length,
      flags: this.#inodes.flags(inode) | INODE_FLAG.extents,
      body: encodeExtentRoot(extents, leaves),
    });
  }

  #take(length: number): void {
    if (this.#position + length > this.#maxSize)
      throw new SealtreeError('malformed', `disk exceeded maximum size of ${this.#maxSize} bytes`);
    this.#position += length;
    if (this.#current !== undefined) this.#current.left -= length;
  }

  // ---- inodes

  #makeInode(inode: number, file: CompactFile, isReused: boolean): void {
    const type = file.mode & S_IFMT;
    let mode = type === 0 ? file.mode | S_IFREG : file.mode;
    let links = isDirectory(mode) ? 1 : 0;
    let blocks = 0;
    let xattrBlock = 0;
    let xattrs = file.xattrs;
    if (isReused) {
      if ((this.#inodes.flags(inode) & INODE_FLAG.extents) !== 0)
        throw malformed('cannot overwrite file with non-inline data');
      links = this.#inodes.links(inode);
      blocks = this.#inodes.blocks(inode);
      xattrBlock = this.#inodes.xattrBlock(inode);
      xattrs = merged(this.#inlineXattrs(inode), xattrs);
    } else if (isDirectory(mode)) this.#children.set(inode, new Map());
    let size = 0;
    let body: Uint8Array = NO_BODY;
    if (isRegular(mode)) {
      size = file.size;
      if (size > MAX_FILE_SIZE) throw malformed(`file too big: ${size} > ${MAX_FILE_SIZE}`);
    } else if (isSymlink(mode)) {
      mode |= 0o777;
      size = file.target.length;
      if (size < FAST_SYMLINK_LIMIT) body = symlinkBody(file.target);
    } else if ((mode & S_IFMT) === S_IFCHR || (mode & S_IFMT) === S_IFBLK) {
      const { devMajor, devMinor } = file;
      body = packedDeviceBody((devMinor & 0xff) | (devMajor << 8) | ((devMinor & 0xffffff00) << 12));
    }
    const placed = xattrs.length === 0 ? undefined : placeXattrs(xattrs);
    if (placed?.block !== undefined || xattrBlock !== 0) {
      const block = placed?.block ?? encodeXattrBlock([]);
      this.#xattrBlocks.set(inode, block);
      if (xattrBlock === 0) {
        xattrBlock = this.#position / BLOCK_SIZE;
        blocks++;
        // What has content is never put in another one's place.
        if (!isRegular(mode) || size === 0) this.#out.mayRewrite(this.#position);
        this.write(block);
      } else this.rewrite(xattrBlock * BLOCK_SIZE, block);
    }
    const { uid, gid, accessed, changed, modified, created } = file;
    encodeInode(
      {
        mode,
        uid,
        gid,
        size,
        links,
        blocks,
        flags: INODE_FLAG.hugeFile,
        body,
        xattrBlock,
        accessed,
        changed,
        modified,
        created,
        extraSize: COMPACT_EXTRA_SIZE,
        xattrs: placed?.inInode,
      },
      undefined,
      this.#inodes.place(inode),
    );
    if (isSymlink(mode) && size >= FAST_SYMLINK_LIMIT) {
      const start = this.#position;
      this.write(bytesOf(file.target));
      this.setExtents(inode, start, size);
    }
  }

  /** What a file made after another one gets of it. */
  #attributes(
    inode: number,
  ): Pick<
    CompactFile,
    'mode' | 'uid' | 'gid' | 'accessed' | 'changed' | 'modified' | 'created' | 'devMajor' | 'devMinor'
  > {
    const time = (name: 'accessed' | 'changed' | 'modified' | 'created') =>
      copiedTime(this.#inodes.time(inode, INODE[name]));
    return {
      mode: this.#inodes.mode(inode),
      ...this.#inodes.owner(inode),
      accessed: time('accessed'),
      changed: time('changed'),
      modified: time('modified'),
      created: time('created'),
      devMajor: 0,
      devMinor: 0,
    };
  }

  #inlineXattrs(inode: number): Xattr[] {
    return readXattrs(this.#inodes.bytes(inode, 128 + COMPACT_EXTRA_SIZE, INODE_SIZE), 'inode');
  }

  #addLinks(inode: number, count: number): void {
    this.#inodes.setLinks(inode, this.#inodes.links(inode) + count);
  }

  #enter(directory: number, name: ByteString, inode: number): void {
    (this.#children.get(directory) as Map<ByteString, number>).set(name, inode);
  }

  /** A name is asked for several times in a row. */
  #clean(name: ByteString): ByteString {
    if (name !== this.#lastName) {
      this.#lastName = name;
      this.#lastPath = cleanPath(name);
    }
    return this.#lastPath;
  }

  /** The root is in itself, without a name. */
  #lookUp(name: ByteString): { directory: number; child: number | undefined; last: ByteString } {
    const path = this.#clean(name);
    if (path === '') return { directory: ROOT_INODE, child: ROOT_INODE, last: NOTHING };
    const lastStart = path.lastIndexOf('/') + 1;
    const last = byteString(path.slice(lastStart));
    if (last.length > MAX_NAME) throw refused(name, 'invalid name');
    let directory: number | undefined = ROOT_INODE;
    for (let start = 0; start < lastStart && directory !== undefined; ) {
      const end = path.indexOf('/', start);
      directory = this.#children.get(directory)?.get(byteString(path.slice(start, end)));
      start = end + 1;
    }
    const children = directory === undefined ? undefined : this.#children.get(directory);
    if (directory === undefined || children === undefined) throw refused(name, 'path not found');
    return { directory, child: children.get(last), last };
  }
}

/** What is given goes before what was there. */
function merged(old: readonly Xattr[], given: readonly Xattr[]): readonly Xattr[] {
  return old.length === 0 ? given : [...new Map([...old, ...given])];
}

function refused(name: ByteString, why: string): SealtreeError {
  return malformed(`${displayByteString(name)}: ${why}`);
}
