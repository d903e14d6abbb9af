/**
 * Reads a composefs image back into the tree it was made of, as composefs-info does. An image is hostile until
 * shown otherwise: every offset and count is checked before it is used, nothing is read twice, so that time and
 * memory are bounded by the size of the image, and the first thing wrong ends the reading.
 * @module
 */
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../bytes/byte-string.ts';
import type { DirectoryEntry, Inode } from '../fs/file-tree.ts';
import { INLINE_CONTENT_MAX, NAME_MAX, PAYLOAD_MAX } from '../fs/limits.ts';
import { S_IFCHR, S_IFMT } from '../fs/mode.ts';
import {
  BLOCK_SIZE,
  CHUNK_ADDRESS_SIZE,
  COMPACT_INODE,
  COMPACT_INODE_SIZE,
  DIRENT_SIZE,
  direntType,
  EXTENDED_INODE,
  EXTENDED_INODE_SIZE,
  INODES_START,
  LAYOUT_CHUNKS,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  SLOT_SIZE,
  XATTR_AREA_HEADER_SIZE,
} from './format.ts';
import { ImageBytes, type ImageSource } from './image-source.ts';
import { chunksOf } from './placement.ts';
import { type Headers, type ImageInfo, readHeaders } from './read-headers.ts';
import { XattrReader } from './read-xattrs.ts';
import { small, wrong } from './wrong.ts';

export interface ReadImageOptions {
  /** Names in the root; if given, the others are passed over. */
  readonly filter?: ReadonlySet<ByteString>;
}

/**
 * Reads an image. The added whiteouts are not in the tree, overlayfs's xattrs are what they stand for, and a second
 * name of an inode is a hard link to the first one in depth-first order. A directory may have a second name as well;
 * it is never entered twice.
 *
 * @throws SealtreeError `malformed`: what, its place, what was expected and found; `detail` has them too
 */
export function readImage(source: ImageSource, options: ReadImageOptions = {}): Inode {
  return new ImageReader(source).tree(options.filter);
}

/** Reads the headers only. */
export function readImageInfo(source: ImageSource): ImageInfo {
  return readHeaders(new ImageBytes(source)).info;
}

/** An inode as far as it has been looked at. */
interface Found {
  readonly inode: Inode;
  readonly nid: number;
  readonly offset: number;
  readonly layout: number;
  /** Behind inode and xattrs. */
  readonly tailOffset: number;
  readonly union: number;
  readonly xattrOffset: number;
  readonly xattrSize: number;
}

/** A directory in the course of being walked. */
interface Walk {
  readonly children: Map<ByteString, DirectoryEntry>;
  readonly names: ByteString[];
  readonly nids: number[];
  readonly types: number[];
  next: number;
}

class ImageReader {
  readonly #image: ImageBytes;
  readonly #headers: Headers;
  readonly #xattrs: XattrReader;
  readonly #inodes = new Map<number, Inode>();
  /** Bytes that inodes and their data were found to take; parts that overlap would make it more than there are. */
  #taken = INODES_START;

  constructor(source: ImageSource) {
    const image = new ImageBytes(source);
    this.#image = image;
    this.#headers = readHeaders(image);
    this.#xattrs = new XattrReader(image, this.#headers.sharedStart, (...taken) => this.#take(...taken));
  }

  tree(filter: ReadonlySet<ByteString> | undefined): Inode {
    const root = this.#find(this.#headers.rootNid, 'the root');
    if (root.inode.children === undefined) {
      throw wrong(
        `inode ${root.nid}, the root`,
        root.offset,
        'a directory',
        `mode ${root.inode.mode.toString(8)}`,
      );
    }
    const walks = [this.#complete(root) as Walk];
    while (walks.length > 0) {
      const walk = walks[walks.length - 1] as Walk;
      if (walk.next === walk.names.length) {
        walks.pop();
        continue;
      }
      const index = walk.next++;
      const name = walk.names[index] as ByteString;
      if (walks.length === 1 && filter !== undefined && !filter.has(name)) continue;
      const nid = walk.nids[index] as number;
      const known = this.#inodes.get(nid);
      if (known !== undefined) {
        this.#checkType(name, known.mode, walk.types[index] as number, nid);
        walk.children.set(name, { linkTo: known });
        continue;
      }
      const found = this.#find(nid, name);
      this.#checkType(name, found.inode.mode, walk.types[index] as number, nid);
      // The whiteouts that hide the object directory are no part of the tree.
      if ((found.inode.mode & S_IFMT) === S_IFCHR && found.inode.rdev === 0) continue;
      walk.children.set(name, found.inode);
      const inner = this.#complete(found);
      if (inner !== undefined) walks.push(inner);
    }
    return root.inode;
  }

  #checkType(name: ByteString, mode: number, type: number, nid: number): void {
    // A known whiteout has lost its type: in the image it is a regular file.
    const expected = (mode & S_IFMT) === S_IFCHR && type === 1 ? 1 : direntType(mode);
    if (type !== expected) {
      throw wrong(`type of directory entry '${displayByteString(name)}'`, nid * SLOT_SIZE, expected, type);
    }
  }

  /** The inode itself, without what follows it. */
  #find(nid: number, name: string): Found {
    const offset = this.#headers.metaStart + nid * SLOT_SIZE;
    const what = `inode ${nid} of '${displayByteString(byteString(name))}'`;
    if (offset < INODES_START) throw wrong(what, offset, `an offset of at least ${INODES_START}`, offset);
    let at = this.#image.locate(offset, COMPACT_INODE_SIZE, what);
    let { view } = this.#image;
    const format = view.getUint16(at, true);
    const layout = format >> 1;
    if (layout !== LAYOUT_PLAIN && layout !== LAYOUT_INLINE && layout !== LAYOUT_CHUNKS) {
      throw wrong(`${what}, data layout`, offset, 'plain, inline or chunk-based', layout);
    }
    const isExtended = (format & 1) === 1;
    const inodeSize = isExtended ? EXTENDED_INODE_SIZE : COMPACT_INODE_SIZE;
    at = this.#image.locate(offset, inodeSize, what);
    view = this.#image.view;

    const xattrCount = view.getUint16(at + COMPACT_INODE.xattrCount, true);
    const mode = view.getUint16(at + COMPACT_INODE.mode, true);
    if (direntType(mode) === 0) throw wrong(`${what}, mode`, offset, 'a file type', mode.toString(8));
    const union = view.getUint32(at + COMPACT_INODE.union, true);
    const type = mode & S_IFMT;
    const inode: Inode = {
      mode,
      nlink: 0,
      uid: 0,
      gid: 0,
      rdev: type === S_IFCHR || direntType(mode) === 4 ? union : 0,
      size: 0,
      mtimeSec: this.#headers.buildTime,
      mtimeNsec: this.#headers.buildTimeNsec,
      xattrs: [],
      payload: undefined,
      content: undefined,
      digest: undefined,
      children: direntType(mode) === 2 ? new Map() : undefined,
    };
    if (isExtended) {
      inode.size = unsigned64(view, at + EXTENDED_INODE.size);
      inode.uid = view.getUint32(at + EXTENDED_INODE.uid, true);
      inode.gid = view.getUint32(at + EXTENDED_INODE.gid, true);
      inode.mtimeSec = small(view.getBigInt64(at + EXTENDED_INODE.mtime, true));
      inode.mtimeNsec = view.getUint32(at + EXTENDED_INODE.mtimeNsec, true);
      inode.nlink = view.getUint32(at + EXTENDED_INODE.nlink, true);
    } else {
      inode.size = view.getUint32(at + COMPACT_INODE.size, true);
      inode.uid = view.getUint16(at + COMPACT_INODE.uid, true);
      inode.gid = view.getUint16(at + COMPACT_INODE.gid, true);
      inode.nlink = view.getUint16(at + COMPACT_INODE.nlink, true);
    }
    const xattrSize = xattrCount === 0 ? 0 : XATTR_AREA_HEADER_SIZE + (xattrCount - 1) * 4;
    this.#take(inodeSize + xattrSize, what, offset);
    return {
      inode,
      nid,
      offset,
      layout,
      union,
      xattrOffset: offset + inodeSize,
      xattrSize,
      tailOffset: offset + inodeSize + xattrSize,
    };
  }

  /** Reads what belongs to an inode; for a directory, returns its entries to be walked. */
  #complete(found: Found): Walk | undefined {
    const { inode, nid } = found;
    this.#inodes.set(nid, inode);
    let walk: Walk | undefined;
    switch (direntType(inode.mode)) {
      case 1:
        if (inode.size !== 0) this.#readFile(found);
        break;
      case 2:
        walk = this.#readDirectory(found);
        break;
      case 7:
        this.#readSymlink(found);
        break;
    }
    if (found.xattrSize > 0) this.#xattrs.read(found);
    return walk;
  }

  #readFile(found: Found): void {
    const { inode, offset, layout } = found;
    const what = `inode ${found.nid}`;
    if (layout === LAYOUT_CHUNKS) {
      const chunks = chunksOf(inode.size);
      if (chunks === undefined) {
        throw wrong(`${what}, size of external file`, offset, `at most ${2 ** 53}`, inode.size);
      }
      // An array that found no room behind its inode stands in a block; what is here instead means nothing.
      const length = chunks.count * CHUNK_ADDRESS_SIZE;
      if (length > BLOCK_SIZE - COMPACT_INODE_SIZE) return;
      this.#take(length, what, offset);
      const at = this.#image.locate(found.tailOffset, length, `${what}, chunk addresses`);
      for (let i = 0; i < length; i++) {
        if (this.#image.bytes[at + i] !== 0xff) {
          throw wrong(
            `${what}, chunk address`,
            found.tailOffset + i,
            'no address (content outside the image)',
            'another',
          );
        }
      }
      return;
    }
    if (inode.size > INLINE_CONTENT_MAX) {
      throw wrong(`${what}, size of inline content`, offset, `at most ${INLINE_CONTENT_MAX}`, inode.size);
    }
    inode.content = this.#readData(found, what);
  }

  #readSymlink(found: Found): void {
    const { inode, offset } = found;
    const what = `inode ${found.nid}, symlink target`;
    if (inode.size === 0 || inode.size > PAYLOAD_MAX) {
      throw wrong(what, offset, `1 to ${PAYLOAD_MAX} bytes`, inode.size);
    }
    const target = this.#readData(found, what);
    if (target.includes('\0')) throw wrong(what, offset, 'no NUL byte', 'one');
    inode.payload = target;
  }

  /** Data in blocks and, with the inline layout, a tail: at most a few thousand bytes. */
  #readData(found: Found, what: string): ByteString {
    const size = found.inode.size as number;
    let data = '';
    const inBlocks = this.#sizeInBlocks(found, size, what);
    if (inBlocks > 0) {
      const offset = found.union * BLOCK_SIZE;
      this.#take(inBlocks, what, found.offset);
      const at = this.#image.locate(offset, inBlocks, what);
      data = byteStringFrom(this.#image.bytes, at, at + inBlocks);
    }
    if (inBlocks < size) {
      this.#take(size - inBlocks, what, found.offset);
      const at = this.#image.locate(found.tailOffset, size - inBlocks, what);
      data += byteStringFrom(this.#image.bytes, at, at + size - inBlocks);
    }
    return byteString(data);
  }

  /** How much of an inode's data is in blocks; the rest is its tail. */
  #sizeInBlocks(found: Found, size: number, what: string): number {
    switch (found.layout) {
      case LAYOUT_PLAIN:
        return size;
      case LAYOUT_INLINE: {
        const tail = size % BLOCK_SIZE;
        if (tail === 0)
          throw wrong(`${what}, inline data`, found.offset, 'a tail shorter than a block', size);
        return size - tail;
      }
      default:
        throw wrong(`${what}, data layout`, found.offset, 'plain or inline', found.layout);
    }
  }

  #readDirectory(found: Found): Walk {
    const { inode, offset } = found;
    const what = `inode ${found.nid}, directory`;
    const walk: Walk = {
      children: inode.children as Map<ByteString, DirectoryEntry>,
      names: [],
      nids: [],
      types: [],
      next: 0,
    };
    const size = inode.size;
    if (typeof size === 'bigint' || size > this.#image.size) {
      throw wrong(`${what} size`, offset, `at most the ${this.#image.size} bytes of the image`, size);
    }
    const inBlocks = this.#sizeInBlocks(found, size, what);
    this.#take(size, what, offset);
    const start = found.union * BLOCK_SIZE;
    let last = byteString('');
    for (let done = 0; done < inBlocks; done += BLOCK_SIZE) {
      last = this.#readEntries(found, walk, start + done, Math.min(BLOCK_SIZE, inBlocks - done), last);
    }
    if (inBlocks < size) this.#readEntries(found, walk, found.tailOffset, size - inBlocks, last);
    return walk;
  }

  /** Reads one block or tail of entries; returns the last name, which the next one must follow. */
  #readEntries(found: Found, walk: Walk, offset: number, length: number, previous: ByteString): ByteString {
    const what = `inode ${found.nid}, directory entries`;
    const at = this.#image.locate(offset, length, what);
    const { view, bytes } = this.#image;
    const namesAt = length < DIRENT_SIZE ? 0 : view.getUint16(at + 8, true);
    if (namesAt === 0 || namesAt % DIRENT_SIZE !== 0 || namesAt > length) {
      throw wrong(what, offset, `names behind records of ${DIRENT_SIZE} bytes within ${length}`, namesAt);
    }
    const count = namesAt / DIRENT_SIZE;
    let nameAt = namesAt;
    let last = previous;
    for (let i = 0; i < count; i++) {
      const record = at + i * DIRENT_SIZE;
      let end: number;
      if (i + 1 < count) {
        end = view.getUint16(record + DIRENT_SIZE + 8, true);
      } else {
        end = nameAt;
        while (end < length && bytes[at + end] !== 0) end++;
      }
      if (end <= nameAt || end > length || end - nameAt > NAME_MAX) {
        throw wrong(
          `${what}, name ${i}`,
          offset + nameAt,
          `1 to ${NAME_MAX} bytes within ${length}`,
          end - nameAt,
        );
      }
      const name = byteStringFrom(bytes, at + nameAt, at + end);
      nameAt = end;
      if (name <= last) throw wrong(`${what}, name ${i}`, offset, 'ascending names', displayByteString(name));
      last = name;
      if (name.includes('/') || name.includes('\0')) {
        throw wrong(`${what}, name ${i}`, offset, 'no slash and no NUL byte', displayByteString(name));
      }
      const nid = view.getUint32(record, true) + view.getUint32(record + 4, true) * 0x100000000;
      if (nid > this.#image.size / SLOT_SIZE) {
        throw wrong(
          `${what}, '${displayByteString(name)}'`,
          offset,
          'an inode within the image',
          `inode ${nid}`,
        );
      }
      if (name === '.' && nid !== found.nid) throw wrong(`${what}, '.'`, offset, `inode ${found.nid}`, nid);
      if (name === '.' || name === '..') continue;
      walk.names.push(name);
      walk.nids.push(nid);
      walk.types.push(bytes[record + 10] as number);
    }
    return last;
  }

  /** Counts what an inode or its data takes. */
  #take(length: number, what: string, offset: number): void {
    this.#taken += length;
    if (this.#taken > this.#image.size) {
      throw wrong(
        what,
        offset,
        `inodes and data that fit in ${this.#image.size} bytes`,
        'parts that overlap',
      );
    }
  }
}

/** As file-tree.ts has sizes: a bigint only above 2^53. */
function unsigned64(view: DataView, at: number): number | bigint {
  const high = view.getUint32(at + 4, true);
  if (high < 0x200000) return high * 0x100000000 + view.getUint32(at, true);
  const value = view.getBigUint64(at, true);
  return value <= 1n << 53n ? Number(value) : value;
}
