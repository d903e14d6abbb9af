/**
 * The xattrs that inodes have in the image: overlayfs's own are added, the tree's are escaped, and each distinct
 * pair of key and value gets a number, so that those which several inodes have are stored once.
 * @module
 */
import { type ByteString, byteString, writeByteString } from '../bytes/byte-string.ts';
import type { Inode, Xattr } from '../fs/file-tree.ts';
import { S_IFMT, S_IFREG } from '../fs/mode.ts';
import { setXattr } from '../fs/xattr-account.ts';
import { FirstHolders } from './first-holders.ts';
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

export interface ImageXattrs {
  /** Bytes of an inode's xattr area, by inode number. */
  readonly areaSizes: Uint32Array;
  /** Bytes of the shared table. */
  readonly sharedSize: number;
  readonly hasAcl: boolean;
  /** Writes the area of an inode to `target` at `at`; `sharedBase` is the place of the table in units of four bytes. */
  writeArea(target: Uint8Array, at: number, ino: number, sharedBase: number): void;
  /** Hands out the shared table entry by entry: its size and what writes it. */
  eachShared(visit: (size: number, write: (target: Uint8Array, at: number) => void) => void): void;
}

/**
 * Two xattrs that most files have and mostly alone: a file's own digest and backing path. Only once a second file
 * has the same value do they get a number; until then these stand for "the value is in the inode itself".
 */
const OWN_METACOPY = -1;
const OWN_REDIRECT = -2;

/** Arrays of xattrs that are remembered with their numbers. */
const MAX_KNOWN = 4096;

/** A key of the image. */
interface Key {
  readonly key: ByteString;
  readonly index: number;
  readonly suffix: ByteString;
  readonly filterMask: number;
  /** How the string that stands for a value is turned into its bytes. */
  readonly form: 'raw' | 'digest' | 'redirect';
  /** Numbers of the pairs with this key, by value. */
  readonly numbers: Map<string, number>;
}

/** A pair of key and value that has a number. */
interface Pair {
  readonly key: Key;
  readonly value: ByteString;
  readonly size: number;
  /** Inodes that have it. */
  count: number;
  /** Place in the shared table, in units of four bytes. */
  place: number;
}

/** Collects and numbers the xattrs of all inodes; adds to `order.faults` what libcomposefs has no room for. */
export function imageXattrs(order: InodeOrder): ImageXattrs {
  const collected = collect(order);
  const shared = sharedPairs(collected.pairs);
  let sharedSize = 0;
  for (const pair of shared) {
    pair.place = sharedSize / 4;
    sharedSize += pair.size;
  }
  return {
    areaSizes: areaSizes(collected),
    sharedSize,
    hasAcl: collected.pairs.some(
      ({ key: { key } }) => key === 'system.posix_acl_access' || key === 'system.posix_acl_default',
    ),
    writeArea: (target, at, ino, sharedBase) => writeArea(order, collected, target, at, ino, sharedBase),
    eachShared(visit) {
      for (const { key, value, size } of shared) {
        visit(size, (target, at) => void writeEntry(target, at, key, value));
      }
    },
  };
}

/** Whether an inode's content is a file outside the image. */
export function isExternal(inode: Inode): boolean {
  return (inode.mode & S_IFMT) === S_IFREG && inode.size !== 0 && !inode.content;
}

interface Collected {
  readonly metacopy: Key;
  readonly redirect: Key;
  /** By number. */
  readonly pairs: Pair[];
  /** Numbers of all inodes one after the other, those of an inode in the order of their keys. */
  readonly numbers: number[];
  /** Index of an inode's first number, by inode number; one more than inodes. */
  readonly first: Uint32Array;
  /** Bytes of the entries of an inode's own metacopy and redirect, by inode number. */
  readonly ownSizes: Uint16Array;
  /** The first of its kind that was written. */
  typical: TypicalArea | undefined;
}

function collect(order: InodeOrder): Collected {
  const { inodes, stub } = order;
  const keys = new Map<ByteString, Key>();
  const metacopy = makeKey(OVERLAY_METACOPY, 'digest');
  const redirect = makeKey(OVERLAY_REDIRECT, 'redirect');
  const pairs: Pair[] = [];
  const numbers: number[] = [];
  const first = new Uint32Array(inodes.length + 1);
  const ownSizes = new Uint16Array(inodes.length);
  /** Numbers of xattrs that inodes have in common as one array. */
  const known = new Map<readonly Xattr[], readonly number[]>();
  const digests = new FirstHolders(inodes.length, (ino) => (inodes[ino] as Inode).digest ?? '');
  const payloads = new FirstHolders(inodes.length, (ino) => (inodes[ino] as Inode).payload ?? '');
  const stubXattrs: Xattr[] = [];
  const selinux = byteString('security.selinux');

  const keyOf = (number: number): ByteString =>
    number >= 0 ? (pairs[number] as Pair).key.key : number === OWN_METACOPY ? metacopy.key : redirect.key;

  /** Gives the current inode, whose numbers begin at `start`, one more. */
  const add = (start: number, number: number): void => {
    let at = numbers.length;
    numbers.push(number);
    if (at === start) return;
    const key = keyOf(number);
    for (; at > start && keyOf(numbers[at - 1] as number) > key; at--)
      numbers[at] = numbers[at - 1] as number;
    numbers[at] = number;
  };
  const addPair = (start: number, xattrKey: ByteString, value: ByteString): void => {
    let key = keys.get(xattrKey);
    if (key === undefined) {
      key = makeKey(xattrKey, 'raw');
      keys.set(xattrKey, key);
    }
    let number = key.numbers.get(value);
    if (number === undefined) {
      number = pairs.length;
      key.numbers.set(value, number);
      pairs.push(makePair(key, value));
    } else {
      (pairs[number] as Pair).count++;
    }
    add(start, number);
  };
  const addAll = (start: number, xattrs: readonly Xattr[]): void => {
    const same = known.get(xattrs);
    if (same !== undefined) {
      for (const number of same) {
        (pairs[number] as Pair).count++;
        numbers.push(number);
      }
      return;
    }
    for (const [key, value] of xattrs) addPair(start, escaped(key), value);
    if (known.size < MAX_KNOWN) known.set(xattrs, numbers.slice(start));
  };
  /** The number of a value that `holder` had before; now it is no longer the holder's own. */
  const share = (key: Key, holder: number, value: string, own: number): number => {
    let number = key.numbers.get(value);
    if (number === undefined) {
      number = pairs.length;
      key.numbers.set(value, number);
      pairs.push(makePair(key, byteString(value)));
      numbers[numbers.indexOf(own, first[holder])] = number;
      (ownSizes[holder] as number) -= entrySize(key, value);
    }
    (pairs[number] as Pair).count++;
    return number;
  };

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
      for (const [key, value] of marked) addPair(start, key, value);
    } else if (xattrs.length > 0) {
      addAll(start, xattrs);
    }
    if (isExternal(inode)) {
      const digest = inode.digest ?? '';
      const digestHolder = digests.find(digest, ino);
      if (digestHolder < 0) {
        add(start, OWN_METACOPY);
        ownSizes[ino] = entrySize(metacopy, digest);
      } else {
        add(start, share(metacopy, digestHolder, digest, OWN_METACOPY));
      }
      if (inode.payload !== undefined && inode.payload !== '') {
        const holder = payloads.find(inode.payload, ino);
        if (holder < 0) {
          add(start, OWN_REDIRECT);
          (ownSizes[ino] as number) += entrySize(redirect, inode.payload);
        } else {
          add(start, share(redirect, holder, inode.payload, OWN_REDIRECT));
        }
      }
    }
    if (ino === 0) {
      addPair(start, OVERLAY_OPAQUE, byteString('y'));
      const label = xattrs.find(([key]) => key === selinux);
      if (label !== undefined) stubXattrs.push(label);
    }
  }
  first[inodes.length] = numbers.length;
  return { metacopy, redirect, pairs, numbers, first, ownSizes, typical: undefined };
}

function makeKey(key: ByteString, form: Key['form']): Key {
  const { index, suffix } = splitXattrKey(key);
  return { key, index, suffix, filterMask: ~(1 << nameFilterBit(index, suffix)), form, numbers: new Map() };
}

function makePair(key: Key, value: ByteString): Pair {
  return { key, value, size: entrySize(key, value), count: 1, place: 0 };
}

/** A file's own `trusted.overlay.*` gets one more level, so that overlayfs shows it rather than obeys it. */
function escaped(key: ByteString): ByteString {
  return key.startsWith(OVERLAY_PREFIX)
    ? byteString(OVERLAY_ESCAPE_PREFIX + key.slice(OVERLAY_PREFIX.length))
    : key;
}

/**
 * The xattrs, escaped, of a whiteout, or of a directory that holds one, with the marks that overlayfs of either mount
 * mode reads. undefined if libcomposefs refuses: its account of the space starts at zero here, and replacing an xattr
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
function sharedPairs(pairs: readonly Pair[]): Pair[] {
  return pairs
    .filter(({ count }) => count > 1)
    .sort((a, b) => {
      if (a.key !== b.key) return a.key.key < b.key.key ? 1 : -1;
      if (a.value.length !== b.value.length) return b.value.length - a.value.length;
      return a.value < b.value ? 1 : -1;
    });
}

function areaSizes({ first, numbers, pairs, ownSizes }: Collected): Uint32Array {
  const sizes = new Uint32Array(ownSizes.length);
  for (let ino = 0; ino < sizes.length; ino++) {
    const end = first[ino + 1] as number;
    let at = first[ino] as number;
    if (at === end) continue;
    let size = XATTR_AREA_HEADER_SIZE + (ownSizes[ino] as number);
    let referenced = 0;
    for (; at < end; at++) {
      const number = numbers[at] as number;
      if (number < 0) continue;
      const pair = pairs[number] as Pair;
      if (pair.count > 1 && referenced < MAX_SHARED_XATTRS) {
        referenced++;
        size += 4;
      } else {
        size += pair.size;
      }
    }
    sizes[ino] = size;
  }
  return sizes;
}

function writeArea(
  { inodes }: InodeOrder,
  collected: Collected,
  target: Uint8Array,
  at: number,
  ino: number,
  sharedBase: number,
): void {
  const { first, numbers, pairs, metacopy, redirect } = collected;
  const start = first[ino] as number;
  const end = first[ino + 1] as number;
  const isOwn = end === start + 2 && numbers[start] === OWN_METACOPY && numbers[start + 1] === OWN_REDIRECT;
  if (
    isOwn &&
    collected.typical !== undefined &&
    writeTypical(collected.typical, inodes[ino] as Inode, target, at)
  )
    return;
  let filter = -1;
  let referenced = 0;
  let to = at + XATTR_AREA_HEADER_SIZE;
  for (let i = start; i < end; i++) {
    const number = numbers[i] as number;
    if (number < 0) continue;
    const pair = pairs[number] as Pair;
    if (pair.count > 1 && referenced < MAX_SHARED_XATTRS) {
      setUint32(target, to, sharedBase + pair.place);
      to += 4;
      referenced++;
    }
  }
  let passed = 0;
  for (let i = start; i < end; i++) {
    const number = numbers[i] as number;
    if (number === OWN_METACOPY) {
      filter &= metacopy.filterMask;
      to = writeEntry(target, to, metacopy, byteString((inodes[ino] as Inode).digest ?? ''));
    } else if (number === OWN_REDIRECT) {
      filter &= redirect.filterMask;
      to = writeEntry(target, to, redirect, (inodes[ino] as Inode).payload as ByteString);
    } else {
      const { key, value, count } = pairs[number] as Pair;
      filter &= key.filterMask;
      if (count > 1 && passed < MAX_SHARED_XATTRS) passed++;
      else to = writeEntry(target, to, key, value);
    }
  }
  setUint32(target, at, filter);
  target[at + 4] = referenced;
  if (isOwn) collected.typical ??= typicalArea(collected, inodes[ino] as Inode, target.slice(at, to));
}

/** The area of a file that has nothing but its own digest and backing path, of the lengths that most have. */
interface TypicalArea {
  readonly bytes: Uint8Array;
  readonly digestLength: number;
  readonly digestAt: number;
  readonly payloadLength: number;
  readonly payloadAt: number;
}

function typicalArea(
  { metacopy, redirect }: Collected,
  { digest = '', payload = '' as ByteString }: Inode,
  bytes: Uint8Array,
): TypicalArea | undefined {
  if (digest === '') return undefined;
  const secondAt = XATTR_AREA_HEADER_SIZE + entrySize(metacopy, digest);
  return {
    bytes,
    digestLength: digest.length,
    digestAt:
      XATTR_AREA_HEADER_SIZE + XATTR_ENTRY_HEADER_SIZE + metacopy.suffix.length + METACOPY_HEADER.length,
    payloadLength: payload.length,
    payloadAt: secondAt + XATTR_ENTRY_HEADER_SIZE + redirect.suffix.length + 1,
  };
}

/** @returns false if the lengths are not those of the typical area */
function writeTypical(typical: TypicalArea, inode: Inode, target: Uint8Array, at: number): boolean {
  const { digest, payload } = inode;
  if (digest?.length !== typical.digestLength || payload?.length !== typical.payloadLength) return false;
  target.set(typical.bytes, at);
  writeHex(target, at + typical.digestAt, digest);
  writeByteString(target, at + typical.payloadAt, payload);
  return true;
}

/** Writes a pair as an entry; returns the offset behind it. */
function writeEntry(target: Uint8Array, at: number, key: Key, value: ByteString): number {
  const length = valueLength(key, value);
  target[at] = key.suffix.length;
  target[at + 1] = key.index;
  target[at + 2] = length;
  target[at + 3] = length >> 8;
  let to = writeByteString(target, at + XATTR_ENTRY_HEADER_SIZE, key.suffix);
  switch (key.form) {
    case 'raw':
      to = writeByteString(target, to, value);
      break;
    case 'redirect':
      target[to++] = 0x2f;
      to = writeByteString(target, to, value);
      break;
    case 'digest':
      if (value !== '') to = writeMetacopy(target, to, value);
      break;
  }
  return at + ((to - at + 3) & ~3);
}

function entrySize(key: Key, value: string): number {
  return (XATTR_ENTRY_HEADER_SIZE + key.suffix.length + valueLength(key, value) + 3) & ~3;
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

function writeMetacopy(target: Uint8Array, at: number, digest: string): number {
  let to = at;
  for (const byte of METACOPY_HEADER) target[to++] = byte;
  return writeHex(target, to, digest);
}

/** Values of lower-case hexadecimal digits by character code. */
const NIBBLES = Uint8Array.from({ length: 103 }, (_, code) => (code < 0x3a ? code - 0x30 : code - 0x57));

function writeHex(target: Uint8Array, at: number, hex: string): number {
  let to = at;
  for (let i = 0; i < hex.length; i += 2) {
    target[to++] = ((NIBBLES[hex.charCodeAt(i)] as number) << 4) | (NIBBLES[hex.charCodeAt(i + 1)] as number);
  }
  return to;
}

function setUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value;
  target[at + 1] = value >>> 8;
  target[at + 2] = value >>> 16;
  target[at + 3] = value >>> 24;
}
