/**
 * The xattrs of the inodes of an image, their own and shared ones. Overlayfs's are what they stand for: where the
 * content of a file is, its digest, and that it is a whiteout.
 * @module
 */
import { byteString, byteStringFrom, displayByteString } from '../bytes/byte-string.ts';
import { hexOf } from '../bytes/hex.ts';
import type { Inode, Xattr } from '../fs/file-tree.ts';
import { S_IFCHR, S_IFMT, S_IFREG } from '../fs/mode.ts';
import { IMAGE_XATTR_BUDGET, setXattr } from '../fs/xattr-account.ts';
import {
  ESCAPED_WHITEOUT,
  ESCAPED_WHITEOUTS,
  METACOPY_HEADER,
  OVERLAY_ESCAPE_PREFIX,
  OVERLAY_METACOPY,
  OVERLAY_PREFIX,
  OVERLAY_REDIRECT,
  USER_WHITEOUT,
  USER_WHITEOUTS,
  XATTR_AREA_HEADER_SIZE,
  XATTR_ENTRY_HEADER_SIZE,
  xattrPrefix,
} from './format.ts';
import type { ImageBytes } from './image-source.ts';
import { wrong } from './wrong.ts';

/** An inode, and where its xattrs are. */
export interface XattrPlace {
  readonly inode: Inode;
  readonly nid: number;
  readonly xattrOffset: number;
  readonly xattrSize: number;
}

/** Reads the xattrs of one image; shared ones are read once. */
export class XattrReader {
  readonly #image: ImageBytes;
  readonly #sharedStart: number;
  readonly #take: (length: number, what: string, offset: number) => void;
  readonly #shared = new Map<number, Xattr>();

  /**
   * @param sharedStart offset of the shared ones
   * @param take hears what of the image a shared one takes
   */
  constructor(
    image: ImageBytes,
    sharedStart: number,
    take: (length: number, what: string, offset: number) => void,
  ) {
    this.#image = image;
    this.#sharedStart = sharedStart;
    this.#take = take;
  }

  /** Gives an inode the xattrs that stand behind it. */
  read({ inode, nid, xattrOffset, xattrSize }: XattrPlace): void {
    const what = `inode ${nid}, xattrs`;
    const offset = xattrOffset;
    const end = offset + xattrSize;
    let at = this.#image.locate(offset, xattrSize, what);
    const sharedCount = this.#image.bytes[at + 4] as number;
    const inlineOffset = offset + XATTR_AREA_HEADER_SIZE + sharedCount * 4;
    if (inlineOffset > end) {
      throw wrong(what, offset, `room for ${sharedCount} shared ones`, `${xattrSize} bytes`);
    }
    const own: Xattr[] = [];
    let account: number | undefined = 0;
    const add = (xattr: Xattr, place: number) => {
      account = applyXattr(inode, own, xattr, account as number);
      if (account === undefined) throw wrong(what, place, `at most ${IMAGE_XATTR_BUDGET} bytes`, 'more');
    };
    for (let place = inlineOffset; place + XATTR_ENTRY_HEADER_SIZE <= end; ) {
      const { xattr, size } = this.#readXattr(place, end, what);
      add(xattr, place);
      place += (size + 3) & ~3;
    }
    for (let i = 0; i < sharedCount; i++) {
      at = this.#image.locate(offset, xattrSize, what);
      const id = this.#image.view.getUint32(at + XATTR_AREA_HEADER_SIZE + i * 4, true);
      const place = this.#sharedStart + id * 4;
      let xattr = this.#shared.get(id);
      if (xattr === undefined) {
        const read = this.#readXattr(place, this.#image.size, what);
        xattr = read.xattr;
        this.#take(read.size, what, place);
        this.#shared.set(id, xattr);
      }
      add(xattr, place);
    }
    inode.xattrs = own;
  }

  #readXattr(offset: number, end: number, what: string): { xattr: Xattr; size: number } {
    let at = this.#image.locate(offset, XATTR_ENTRY_HEADER_SIZE, what);
    const suffixLength = this.#image.bytes[at] as number;
    const index = this.#image.bytes[at + 1] as number;
    const valueLength = this.#image.view.getUint16(at + 2, true);
    const size = XATTR_ENTRY_HEADER_SIZE + suffixLength + valueLength;
    if (offset + size > end) {
      throw wrong(`${what}, entry`, offset, `at most ${end - offset} bytes`, size);
    }
    const prefix = xattrPrefix(index);
    if (prefix === undefined) throw wrong(`${what}, prefix of name`, offset, '0 to 6', index);
    at = this.#image.locate(offset, size, what) + XATTR_ENTRY_HEADER_SIZE;
    const { bytes } = this.#image;
    const key = byteString(prefix + byteStringFrom(bytes, at, at + suffixLength));
    if (key === '' || key.includes('\0')) {
      throw wrong(`${what}, name`, offset, 'at least one byte and no NUL byte', displayByteString(key));
    }
    const value = byteStringFrom(bytes, at + suffixLength, at + suffixLength + valueLength);
    return { xattr: [key, value], size };
  }
}

/** Adds an xattr of the image to an inode's own, or does what it stands for. Returns the new cost of `own`. */
function applyXattr(inode: Inode, own: Xattr[], xattr: Xattr, account: number): number | undefined {
  const [key, value] = xattr;
  const isFile = (inode.mode & S_IFMT) === S_IFREG;
  if (key === OVERLAY_REDIRECT) {
    if (isFile) {
      const nul = value.indexOf('\0');
      // To overlayfs, too, the path ends at a NUL.
      const path = nul < 0 ? value : value.slice(0, nul);
      inode.payload = byteString(path.length > 1 && path.startsWith('/') ? path.slice(1) : path);
    }
    return account;
  }
  if (key === OVERLAY_METACOPY) {
    if (isFile && value.length === METACOPY_HEADER.length + 32) {
      inode.digest = hexOf(
        Uint8Array.from(value.slice(METACOPY_HEADER.length), (char) => char.charCodeAt(0)),
      );
    }
    return account;
  }
  if (key === ESCAPED_WHITEOUT && isFile) {
    inode.mode = (inode.mode & ~S_IFMT) | S_IFCHR;
    inode.rdev = 0;
    inode.size = 0;
    return account;
  }
  if (key === ESCAPED_WHITEOUTS || key === USER_WHITEOUT || key === USER_WHITEOUTS) return account;
  if (key.startsWith(OVERLAY_ESCAPE_PREFIX)) {
    const unescaped = byteString(OVERLAY_PREFIX + key.slice(OVERLAY_ESCAPE_PREFIX.length));
    return setXattr(own, [unescaped, value], account, IMAGE_XATTR_BUDGET);
  }
  if (key.startsWith(OVERLAY_PREFIX)) return account;
  return setXattr(own, xattr, account, IMAGE_XATTR_BUDGET);
}
