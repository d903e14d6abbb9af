/**
 * The xattrs that inodes have in the image: overlayfs's own are added, the tree's are escaped, and each distinct
 * pair of key and value gets a number, so that those which several inodes have are stored once.
 * @module
 */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import type { Inode, Xattr } from '../fs/file-tree.ts';
import { S_IFMT, S_IFREG } from '../fs/mode.ts';
import { setXattr } from '../fs/xattr-account.ts';
import {
  ESCAPED_OPAQUE,
  ESCAPED_WHITEOUT,
  ESCAPED_WHITEOUTS,
  MAX_SHARED_XATTRS,
  METACOPY_HEADER,
  nameFilterBit,
  OVERLAY_ESCAPE_PREFIX,
  OVERLAY_METACOPY,
  OVERLAY_OPAQUE,
  OVERLAY_PREFIX,
  OVERLAY_REDIRECT,
  splitXattrKey,
  USER_OPAQUE,
  USER_WHITEOUT,
  USER_WHITEOUTS,
  XATTR_AREA_HEADER_SIZE,
  XATTR_ENTRY_HEADER_SIZE,
} from './format.ts';
import { type InodeOrder, isWhiteout } from './order.ts';

/** A key of the image and the values it has. */
interface Key {
  readonly key: ByteString;
  readonly index: number;
  readonly suffix: ByteString;
  readonly filterBit: number;
  /** Number of each pair by its value in the form in which the tree holds it: see {@link ImageXattrs.values}. */
  readonly numbers: Map<string, number>;
  /** Bytes that the value has beside those of the string that stands for it. */
  readonly form: 'raw' | 'digest' | 'redirect';
}

export interface ImageXattrs {
  /** Index of an inode's first xattr in `numbers`, by inode number; one more than inodes. */
  readonly first: Uint32Array;
  /** Numbers of pairs, in the order of their keys. */
  readonly numbers: readonly number[];
  /** Bytes of an inode's xattr area, by inode number. */
  readonly areaSizes: Uint32Array;
  /** The numbers of the pairs in the shared table, in its order. */
  readonly shared: readonly number[];
  /** Bytes of the shared table. */
  readonly sharedSize: number;
  readonly hasAcl: boolean;
  /** Writes the area of an inode to `view` at `at`; `sharedBase` is the place of the table in units of four bytes. */
  writeArea(view: DataView, at: number, ino: number, sharedBase: number): void;
  /** Bytes of a pair as an entry. */
  entrySize(number: number): number;
  /** Writes a pair as an entry; returns the offset behind it. */
  writeEntry(view: DataView, at: number, number: number): number;
}

/** Collects and numbers the xattrs of all inodes; adds to `order.faults` what libcomposefs has no room for. */
export function imageXattrs(order: InodeOrder): ImageXattrs {
  const { inodes, stub } = order;
  const keys = new Map<ByteString, Key>();
  const keyOf: Key[] = [];
  const values: ByteString[] = [];
  const counts: number[] = [];
  const first = new Uint32Array(inodes.length + 1);
  const numbers: number[] = [];

  const keyNamed = (key: ByteString, form: Key['form'] = 'raw'): Key => {
    let found = keys.get(key);
    if (found === undefined) {
      const { index, suffix } = splitXattrKey(key);
      found = { key, index, suffix, filterBit: nameFilterBit(index, suffix), numbers: new Map(), form };
      keys.set(key, found);
    }
    return found;
  };
  const use = (key: Key, value: string): number => {
    let number = key.numbers.get(value);
    if (number === undefined) {
      number = values.length;
      key.numbers.set(value, number);
      keyOf.push(key);
      values.push(byteString(value));
      counts.push(1);
    } else {
      (counts[number] as number)++;
    }
    return number;
  };
  const metacopy = keyNamed(OVERLAY_METACOPY, 'digest');
  const redirect = keyNamed(OVERLAY_REDIRECT, 'redirect');
  const opaque = keyNamed(OVERLAY_OPAQUE);

  /** Adds a number to those of the current inode, which start at `start`, keeping the order of keys. */
  const insert = (start: number, number: number): void => {
    const { key } = keyOf[number] as Key;
    let at = numbers.length;
    numbers.push(number);
    for (; at > start && (keyOf[numbers[at - 1] as number] as Key).key > key; at--) {
      numbers[at] = numbers[at - 1] as number;
    }
    numbers[at] = number;
  };

  const selinux = byteString('security.selinux');
  const stubXattrs: Xattr[] = [];
  for (let ino = 0; ino < inodes.length; ino++) {
    const inode = inodes[ino] as Inode;
    const start = numbers.length;
    first[ino] = start;
    const xattrs = inode === stub ? stubXattrs : inode.xattrs;
    if (inode !== stub && (isWhiteout(inode) || order.firstWhiteouts.has(ino))) {
      const marked = withMarks(order, ino);
      if (marked === undefined) {
        order.faults.push({
          ino: order.firstWhiteouts.get(ino) ?? ino,
          message: 'Numerical result out of range',
          reason: 'xattrs that mark whiteouts replace longer ones',
        });
        continue;
      }
      for (const [key, value] of marked) insert(start, use(keyNamed(key), value));
    } else {
      for (let i = 0; i < xattrs.length; i++) {
        const [key, value] = xattrs[i] as Xattr;
        insert(start, use(keyNamed(escaped(key)), value));
      }
    }
    if (isExternal(inode)) {
      insert(start, use(metacopy, inode.digest ?? ''));
      if (inode.payload !== undefined && inode.payload !== '') insert(start, use(redirect, inode.payload));
    }
    if (ino === 0) {
      insert(start, use(opaque, 'y'));
      const label = xattrs.find(([key]) => key === selinux);
      if (label !== undefined) stubXattrs.push(label);
    }
  }
  first[inodes.length] = numbers.length;

  const sizeOf = (number: number): number => {
    const key = keyOf[number] as Key;
    return (
      (XATTR_ENTRY_HEADER_SIZE + key.suffix.length + valueLength(key, values[number] as string) + 3) & ~3
    );
  };
  const shared = sharedNumbers(keyOf, values, counts);
  /** Place of a shared pair in the table, in units of four bytes. */
  const sharedPlaces = new Map<number, number>();
  let sharedSize = 0;
  for (const number of shared) {
    sharedPlaces.set(number, sharedSize / 4);
    sharedSize += sizeOf(number);
  }

  const writeEntry = (view: DataView, at: number, number: number): number => {
    const key = keyOf[number] as Key;
    const value = values[number] as ByteString;
    const suffix = key.suffix;
    view.setUint8(at, suffix.length);
    view.setUint8(at + 1, key.index);
    view.setUint16(at + 2, valueLength(key, value), true);
    let to = writeLatin1(view, at + XATTR_ENTRY_HEADER_SIZE, suffix);
    if (key.form === 'digest') {
      if (value !== '') to = writeMetacopy(view, to, value);
    } else {
      if (key.form === 'redirect') view.setUint8(to++, 0x2f);
      to = writeLatin1(view, to, value);
    }
    return at + ((to - at + 3) & ~3);
  };

  return {
    first,
    numbers,
    areaSizes: areaSizes(first, numbers, counts, sizeOf),
    shared,
    sharedSize,
    hasAcl: [...keys.values()].some(
      ({ key, numbers: used }) =>
        used.size > 0 && (key === 'system.posix_acl_access' || key === 'system.posix_acl_default'),
    ),
    entrySize: sizeOf,
    writeEntry,
    writeArea(view, at, ino, sharedBase) {
      const end = first[ino + 1] as number;
      let filter = 0xffffffff;
      let referenced = 0;
      let to = at + XATTR_AREA_HEADER_SIZE;
      for (let i = first[ino] as number; i < end; i++) {
        const number = numbers[i] as number;
        filter &= ~(1 << (keyOf[number] as Key).filterBit);
        if ((counts[number] as number) > 1 && referenced < MAX_SHARED_XATTRS) {
          view.setUint32(to, sharedBase + (sharedPlaces.get(number) as number), true);
          to += 4;
          referenced++;
        }
      }
      let passed = 0;
      for (let i = first[ino] as number; i < end; i++) {
        const number = numbers[i] as number;
        if ((counts[number] as number) > 1 && passed < MAX_SHARED_XATTRS) passed++;
        else to = writeEntry(view, to, number);
      }
      view.setUint32(at, filter >>> 0, true);
      view.setUint8(at + 4, referenced);
    },
  };
}

/** Whether an inode's content is a file outside the image. */
export function isExternal(inode: Inode): boolean {
  return (inode.mode & S_IFMT) === S_IFREG && inode.size !== 0 && !inode.content;
}

/** A file's own `trusted.overlay.*` gets one more level, so that overlayfs shows it rather than obeys it. */
function escaped(key: ByteString): ByteString {
  return key.startsWith(OVERLAY_PREFIX)
    ? byteString(OVERLAY_ESCAPE_PREFIX + key.slice(OVERLAY_PREFIX.length))
    : key;
}

/**
 * The xattrs, escaped, of a whiteout, or of a directory that holds one, with the marks that overlayfs of either mount mode
 * reads. undefined if libcomposefs refuses: its account of the space starts at zero here, and replacing an xattr
 * takes its old size off first, so that the account may fall below zero.
 */
function withMarks(order: InodeOrder, ino: number): Xattr[] | undefined {
  const inode = order.inodes[ino] as Inode;
  const xattrs = inode.xattrs.map(([key, value]): Xattr => [escaped(key), value]);
  const marks: Xattr[] = isWhiteout(inode)
    ? [
        [ESCAPED_WHITEOUT, byteString('')],
        [USER_WHITEOUT, byteString('')],
      ]
    : [
        [ESCAPED_WHITEOUTS, byteString('')],
        [USER_WHITEOUTS, byteString('')],
      ];
  if (!isWhiteout(inode) && order.version === 1) {
    marks.push([ESCAPED_OPAQUE, byteString('x')], [USER_OPAQUE, byteString('x')]);
  }
  let account = 0;
  for (const mark of marks) {
    const cost = setXattr(xattrs, mark, account);
    if (cost === undefined) return undefined;
    account = cost;
  }
  return xattrs;
}

/** Pairs that more than one inode has: by key, then by length and bytes of the value, all descending. */
function sharedNumbers(
  keyOf: readonly Key[],
  values: readonly ByteString[],
  counts: readonly number[],
): number[] {
  const shared: number[] = [];
  for (let number = 0; number < counts.length; number++) {
    if ((counts[number] as number) > 1) shared.push(number);
  }
  return shared.sort((a, b) => {
    const keyA = keyOf[a] as Key;
    const keyB = keyOf[b] as Key;
    if (keyA !== keyB) return keyA.key < keyB.key ? 1 : -1;
    const valueA = values[a] as ByteString;
    const valueB = values[b] as ByteString;
    if (valueA.length !== valueB.length) return valueB.length - valueA.length;
    return valueA < valueB ? 1 : -1;
  });
}

function areaSizes(
  first: Uint32Array,
  numbers: readonly number[],
  counts: readonly number[],
  sizeOf: (number: number) => number,
): Uint32Array {
  const sizes = new Uint32Array(first.length - 1);
  for (let ino = 0; ino < sizes.length; ino++) {
    const end = first[ino + 1] as number;
    let at = first[ino] as number;
    if (at === end) continue;
    let size = XATTR_AREA_HEADER_SIZE;
    let referenced = 0;
    for (; at < end; at++) {
      const number = numbers[at] as number;
      if ((counts[number] as number) > 1 && referenced < MAX_SHARED_XATTRS) {
        referenced++;
        size += 4;
      } else {
        size += sizeOf(number);
      }
    }
    sizes[ino] = size;
  }
  return sizes;
}

function valueLength(key: Key, value: string): number {
  switch (key.form) {
    case 'raw':
      return value.length;
    case 'redirect':
      return value.length + 1;
    case 'digest':
      return value === '' ? 0 : METACOPY_HEADER.length + value.length / 2;
  }
}

function writeLatin1(view: DataView, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) view.setUint8(at + i, text.charCodeAt(i));
  return at + text.length;
}

function writeMetacopy(view: DataView, at: number, digest: string): number {
  let to = at;
  for (const byte of METACOPY_HEADER) view.setUint8(to++, byte);
  for (let i = 0; i < digest.length; i += 2) {
    view.setUint8(to++, (nibble(digest.charCodeAt(i)) << 4) | nibble(digest.charCodeAt(i + 1)));
  }
  return to;
}

/** Value of a lower-case hexadecimal digit. */
function nibble(code: number): number {
  return code < 0x3a ? code - 0x30 : code - 0x57;
}
