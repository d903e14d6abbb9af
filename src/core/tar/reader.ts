/**
 * Reads tar archives as they stream by: what is held is a block, and what a header says of the next entry.
 *
 * Whiteouts and global headers are given as the entries that they are. What is accepted is what Go's archive/tar
 * accepts, but for content that is cut off in its padding.
 * Defined by POSIX.1-2017, pax; GNU tar, "Basic Tar Format".
 * @module
 */
import { roundUp } from '../bytes/align.ts';
import {
  type ByteString,
  byteString,
  byteStringFrom,
  compareByteStrings,
  displayByteString,
} from '../bytes/byte-string.ts';
import { malformed, type SealtreeError } from '../errors.ts';
import type { Xattr } from '../fs/file-tree.ts';
import { BLOCK, decodeHeader, isZeroBlock, type TarHeader } from './header.ts';
import { decimal, decodePaxRecords, decodePaxTime, type PaxRecords, type TarTime } from './pax.ts';
import {
  areValidParts,
  MAX_PARTS,
  partsInExtension,
  partsInHeader,
  partsInRecords,
  paxSparseFormat,
  SparseMapReader,
  type SparsePart,
} from './sparse.ts';

export interface TarEntry {
  /** Where its own header block is in the stream. */
  readonly offset: number;
  /** As it stands there: with `./`, `..` and slashes at its begin or end. */
  readonly name: ByteString;
  /** Of a symlink, or the name of the entry that a hard link is to. */
  readonly linkName: ByteString;
  /**
   * The type flag: `0` file, `1` hard link, `2` symlink, `3` and `4` devices, `5` directory, `6` fifo, `g` global
   * header; any other is a file of a kind. NUL never: it is `0`, or `5` if the name ends in a slash.
   */
  readonly type: ByteString;
  /** Permission bits, 12. */
  readonly mode: number;
  /** 32 bits. */
  readonly uid: number;
  readonly gid: number;
  readonly devMajor: number;
  readonly devMinor: number;
  /** Bytes of content that follow, holes included; for a type without content what the header claims. */
  readonly size: number;
  /** undefined where nothing says it. */
  readonly mtime: TarTime | undefined;
  readonly atime: TarTime | undefined;
  readonly ctime: TarTime | undefined;
  /** By name; without the prefix that they have in an archive. */
  readonly xattrs: readonly Xattr[];
  /** All pax records of it. */
  readonly records: PaxRecords;
}

/** Takes what an archive holds, in its order. */
export interface TarHandler {
  entry(entry: TarEntry): void;
  /** Content of the last entry, in pieces of any size, each valid during the call only. */
  data(piece: Uint8Array): void;
  /** The same, so many zeros. */
  zeros(length: number): void;
  /** The content of the last entry is complete. */
  end(): void;
}

/** Bytes of a pax header or a long name. */
const MAX_META = 1 << 20;

const XATTR_PREFIX = 'SCHILY.xattr.';
const NO_RECORDS: PaxRecords = new Map();
const NO_XATTRS: readonly Xattr[] = [];
/** Entries of these types have no content, whatever their size says. */
const WITHOUT_CONTENT = '123456';
const REGULAR = byteString('0');
const DIRECTORY = byteString('5');
const GLOBAL = byteString('g');
const SPARSE = byteString('S');

type State =
  | 'header'
  /** A block of zeros was there. */
  | 'zero block'
  | 'long name'
  | 'long link'
  | 'records'
  | 'global records'
  | 'sparse extension'
  | 'sparse map'
  | 'content'
  | 'padding'
  | 'end';

export class TarReader {
  readonly #handler: TarHandler;
  readonly #block = new Uint8Array(BLOCK);
  #blockUsed = 0;
  #state: State = 'header';
  /** Bytes of the archive before what is given next. */
  #position = 0;
  #headers = 0;
  #left = 0;
  #padding = 0;
  /** What a header says of the entry that is being read, and what came before it. */
  #header: TarHeader | undefined;
  #offset = 0;
  #records: PaxRecords = NO_RECORDS;
  #longName: ByteString | undefined;
  #longLink: ByteString | undefined;
  #meta: Uint8Array = new Uint8Array(0);
  #metaUsed = 0;
  /** Of a sparse file: what is in the archive, how far it was read, where in the file that is. */
  #parts: SparsePart[] = [];
  #map = new SparseMapReader();
  #part = 0;
  #at = 0;
  #name = '';

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  /** Whether the archive has ended; what follows is passed over. */
  get isAtEnd(): boolean {
    return this.#state === 'end';
  }

  /** Bytes of content that come next, for who can pass over them in another way. */
  get contentLeft(): number {
    return this.#state === 'content' ? this.#left : 0;
  }

  /** Passes over content instead of pushing it: the handler hears nothing of it. @param length at most `contentLeft` */
  skipContent(length: number): void {
    this.#position += length;
    this.#left -= length;
    if (this.#left === 0) this.#endContent();
  }

  /**
   * Takes the next bytes of the archive.
   *
   * @throws SealtreeError `malformed` with `offset` and `name` in its detail
   */
  push(data: Uint8Array): void {
    let at = 0;
    while (at < data.length && this.#state !== 'end') {
      const rest = data.length - at;
      let taken: number;
      switch (this.#state) {
        case 'header':
        case 'zero block':
        case 'sparse extension':
        case 'sparse map':
          taken = this.#takeBlock(data, at);
          break;
        case 'content':
          taken = Math.min(rest, this.#left);
          this.#position += taken;
          this.#left -= taken;
          this.#takeContent(taken === data.length ? data : data.subarray(at, at + taken));
          break;
        case 'padding':
          taken = Math.min(rest, this.#padding);
          this.#position += taken;
          this.#padding -= taken;
          if (this.#padding === 0) this.#state = 'header';
          break;
        default:
          taken = Math.min(rest, this.#left);
          this.#meta.set(data.subarray(at, at + taken), this.#metaUsed);
          this.#metaUsed += taken;
          this.#position += taken;
          this.#left -= taken;
          if (this.#left === 0) this.#endMeta();
      }
      at += taken;
    }
  }

  /**
   * Nothing more comes. An archive may end without the blocks of zeros.
   *
   * @throws SealtreeError `malformed` if it ends within an entry
   */
  finish(): void {
    if (this.#position === 0)
      throw malformed('unexpected EOF: a tar archive has at least a block of zeros', {
        offset: 0,
        header: 1,
      });
    const isBetween = this.#state === 'header' || this.#state === 'zero block';
    if (this.#state === 'end' || (isBetween && this.#blockUsed === 0)) return;
    throw this.#fault('unexpected EOF', this.#state === 'header' ? 'header' : this.#state);
  }

  /** @returns bytes used */
  #takeBlock(data: Uint8Array, at: number): number {
    const taken = Math.min(data.length - at, BLOCK - this.#blockUsed);
    let block: Uint8Array;
    if (taken === BLOCK) block = data.subarray(at, at + BLOCK);
    else {
      this.#block.set(data.subarray(at, at + taken), this.#blockUsed);
      this.#blockUsed += taken;
      if (this.#blockUsed < BLOCK) {
        this.#position += taken;
        return taken;
      }
      this.#blockUsed = 0;
      block = this.#block;
    }
    const start = this.#position + taken - BLOCK;
    this.#position += taken;
    switch (this.#state) {
      case 'sparse extension':
        this.#takeSparseExtension(block);
        break;
      case 'sparse map':
        this.#takeSparseMap(block);
        break;
      default:
        this.#takeHeader(block, start);
    }
    return taken;
  }

  #takeHeader(block: Uint8Array, offset: number): void {
    this.#offset = offset;
    if (isZeroBlock(block)) {
      this.#state = this.#state === 'zero block' ? 'end' : 'zero block';
      return;
    }
    this.#headers++;
    this.#name = '';
    const header = decodeHeader(block);
    if (typeof header === 'string') throw this.#invalid(header);
    this.#name = header.name;
    if (this.#state === 'zero block') throw this.#invalid('it follows a block of zeros');
    this.#header = header;
    switch (header.type) {
      case 'x':
        this.#startMeta('records', header.size);
        break;
      case 'g':
        this.#startMeta('global records', header.size);
        break;
      case 'L':
        this.#startMeta('long name', header.size);
        break;
      case 'K':
        this.#startMeta('long link', header.size);
        break;
      default:
        this.#takeEntry(header, block);
    }
  }

  // ---- what comes before an entry

  #startMeta(state: State, size: number): void {
    if (size < 0) throw this.#invalid('its size is negative');
    if (size > MAX_META)
      throw this.#fault('archive/tar: header field too long', `${size} bytes, at most ${MAX_META}`);
    this.#setLeft(size);
    this.#meta = new Uint8Array(size);
    this.#metaUsed = 0;
    this.#state = state;
    if (size === 0) this.#endMeta();
  }

  #endMeta(): void {
    const meta = byteStringFrom(this.#meta);
    const state = this.#state;
    this.#state = this.#padding > 0 ? 'padding' : 'header';
    if (state === 'long name') this.#longName = untilNul(meta);
    else if (state === 'long link') this.#longLink = untilNul(meta);
    else {
      const records = decodePaxRecords(meta);
      if (typeof records === 'string') throw this.#invalid(records);
      this.#records = records;
      if (state === 'global records') this.#giveGlobal();
    }
  }

  /** A global header has an entry of its own; what is known of the next entry does not outlive it. */
  #giveGlobal(): void {
    const { name } = this.#merged(this.#header as TarHeader);
    this.#handler.entry({
      offset: this.#offset,
      name,
      linkName: byteString(''),
      type: GLOBAL,
      mode: 0,
      uid: 0,
      gid: 0,
      devMajor: 0,
      devMinor: 0,
      size: 0,
      mtime: undefined,
      atime: undefined,
      ctime: undefined,
      xattrs: xattrsOf(this.#records),
      records: this.#records,
    });
    this.#handler.end();
    this.#forget();
  }

  #forget(): void {
    this.#records = NO_RECORDS;
    this.#longName = undefined;
    this.#longLink = undefined;
  }

  // ---- entries

  #takeEntry(header: TarHeader, block: Uint8Array): void {
    const entry = this.#merged(header);
    this.#name = entry.name;
    this.#setLeft(this.#contentSize(entry));
    if (entry.type === SPARSE) {
      const found = header.format === 'gnu' ? partsInHeader(block) : undefined;
      if (found === undefined) throw this.#invalid('it has no list of the parts of a sparse file');
      this.#entry = { ...entry, size: found.size };
      this.#parts = [...found.parts];
      if (found.extended) this.#state = 'sparse extension';
      else this.#giveSparse();
      return;
    }
    const format = this.#records === NO_RECORDS ? undefined : paxSparseFormat(this.#records);
    if (format === undefined) {
      this.#entry = entry;
      this.#parts = [];
      this.#give();
      return;
    }
    this.#entry = this.#sparseEntry(entry);
    if (format === 'in records') {
      const parts = partsInRecords(this.#records);
      if (parts === undefined) throw this.#invalid('its map of a sparse file is no such map');
      this.#parts = parts;
      this.#giveSparse();
    } else {
      this.#map = new SparseMapReader();
      this.#state = 'sparse map';
      if (this.#left < BLOCK) throw this.#invalid('its map of a sparse file is missing');
    }
  }

  #entry: TarEntry | undefined;

  /** What the records and long names before it say in place of the header. */
  #merged(header: TarHeader): TarEntry {
    const records = this.#records;
    let { name, linkName, uid, gid, size } = header;
    let mtime: TarTime | undefined = { seconds: header.mtime, nanoseconds: 0 };
    let atime = time(header.atime);
    let ctime = time(header.ctime);
    const number = (key: string, value: ByteString): number => {
      const found = decimal(value);
      if (found === undefined) throw this.#invalid(`record ${key} is no number`);
      return found;
    };
    const timeOf = (key: string, value: ByteString): TarTime => {
      const found = decodePaxTime(value);
      if (found === undefined) throw this.#invalid(`record ${key} is no time`);
      return found;
    };
    for (const [key, value] of records) {
      if (value === '') continue;
      if (key === 'path') name = value;
      else if (key === 'linkpath') linkName = value;
      else if (key === 'uid') uid = number(key, value);
      else if (key === 'gid') gid = number(key, value);
      else if (key === 'size') size = number(key, value);
      else if (key === 'mtime') mtime = timeOf(key, value);
      else if (key === 'atime') atime = timeOf(key, value);
      else if (key === 'ctime') ctime = timeOf(key, value);
    }
    if (this.#longName !== undefined && this.#longName !== '') name = this.#longName;
    if (this.#longLink !== undefined && this.#longLink !== '') linkName = this.#longLink;
    return {
      offset: this.#offset,
      name,
      linkName,
      type: header.type === '\0' ? (name.endsWith('/') ? DIRECTORY : REGULAR) : header.type,
      mode: header.mode & 0o7777,
      uid: uid >>> 0,
      gid: gid >>> 0,
      devMajor: header.devMajor >>> 0,
      devMinor: header.devMinor >>> 0,
      size,
      mtime,
      atime,
      ctime,
      xattrs: records === NO_RECORDS ? NO_XATTRS : xattrsOf(records),
      records,
    };
  }

  /** Name and size that a sparse file has itself. */
  #sparseEntry(entry: TarEntry): TarEntry {
    const record = (key: string) => this.#records.get(byteString(`GNU.sparse.${key}`)) || undefined;
    const name = record('name') ?? entry.name;
    const said = record('size') ?? record('realsize');
    const size = said === undefined ? entry.size : decimal(said);
    if (size === undefined) throw this.#invalid('the size of a sparse file is no number');
    return { ...entry, name, size };
  }

  #takeSparseExtension(block: Uint8Array): void {
    const found = partsInExtension(block);
    if (found === undefined) throw this.#invalid('its list of the parts of a sparse file has no numbers');
    this.#parts.push(...found.parts);
    if (this.#parts.length > MAX_PARTS) throw this.#invalid('it has too many parts');
    if (!found.extended) this.#giveSparse();
  }

  #takeSparseMap(block: Uint8Array): void {
    this.#left -= BLOCK;
    const more = this.#map.push(block);
    if (more === undefined || (more && this.#left < BLOCK))
      throw this.#invalid('its map of a sparse file is no such map');
    if (!more) {
      const parts = this.#map.parts();
      if (parts === undefined) throw this.#invalid('its map of a sparse file has no numbers');
      this.#parts = parts;
      this.#giveSparse();
    }
  }

  #giveSparse(): void {
    const { type, size } = this.#entry as TarEntry;
    if (WITHOUT_CONTENT.includes(type)) throw this.#invalid('what has no content cannot be sparse');
    if (!areValidParts(this.#parts, size))
      throw this.#invalid('parts of a sparse file overlap or lead outside');
    const held = this.#parts.reduce((sum, { length }) => sum + length, 0);
    if (held > this.#left)
      throw this.#fault('archive/tar: sparse file references non-existent data', `${held} of ${this.#left}`);
    if (held < this.#left)
      throw this.#fault('archive/tar: sparse file contains unreferenced data', `${held} of ${this.#left}`);
    // Parts without bytes would never be begun. An end closes the last hole.
    this.#parts = this.#parts.filter(({ length }) => length > 0);
    this.#parts.push({ offset: size, length: 0 });
    this.#part = 0;
    this.#at = 0;
    this.#give();
  }

  #give(): void {
    const entry = this.#entry as TarEntry;
    this.#forget();
    this.#state = 'content';
    this.#handler.entry(entry);
    this.#passHole();
    if (this.#left === 0) this.#endContent();
  }

  #takeContent(piece: Uint8Array): void {
    if (this.#parts.length === 0) this.#handler.data(piece);
    else this.#takeParts(piece);
    if (this.#left === 0) this.#endContent();
  }

  #takeParts(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; ) {
      const { offset, length } = this.#parts[this.#part] as SparsePart;
      const taken = Math.min(piece.length - at, offset + length - this.#at);
      this.#handler.data(piece.subarray(at, at + taken));
      at += taken;
      this.#at += taken;
      if (this.#at === offset + length) {
        this.#part++;
        this.#passHole();
      }
    }
  }

  #passHole(): void {
    const part = this.#parts[this.#part];
    if (part === undefined || part.offset === this.#at) return;
    this.#handler.zeros(part.offset - this.#at);
    this.#at = part.offset;
  }

  #endContent(): void {
    this.#state = this.#padding > 0 ? 'padding' : 'header';
    this.#handler.end();
  }

  #contentSize({ type, size }: TarEntry): number {
    if (WITHOUT_CONTENT.includes(type)) return 0;
    if (size < 0) throw this.#invalid('its size is negative');
    if (!Number.isSafeInteger(size)) throw this.#invalid('its size is more than 2^53');
    return size;
  }

  #setLeft(size: number): void {
    this.#left = size;
    this.#padding = roundUp(size, BLOCK) - size;
  }

  // ---- faults

  #invalid(why: string): SealtreeError {
    return this.#fault('archive/tar: invalid tar header', why);
  }

  /** `header` in the detail is the number of the header, from 1. */
  #fault(what: string, why: string): SealtreeError {
    const name = this.#name === '' ? '' : `, ${displayByteString(byteString(this.#name))}`;
    return malformed(`${what}: header ${this.#headers}${name}, at byte ${this.#offset}: ${why}`, {
      offset: this.#offset,
      name: this.#name,
      header: this.#headers,
    });
  }
}

function time(seconds: number | undefined): TarTime | undefined {
  return seconds === undefined ? undefined : { seconds, nanoseconds: 0 };
}

function untilNul(text: ByteString): ByteString {
  const end = text.indexOf('\0');
  return end < 0 ? text : byteString(text.slice(0, end));
}

function xattrsOf(records: PaxRecords): readonly Xattr[] {
  const xattrs: Xattr[] = [];
  for (const [key, value] of records) {
    if (key.startsWith(XATTR_PREFIX)) xattrs.push([byteString(key.slice(XATTR_PREFIX.length)), value]);
  }
  return xattrs.sort(([a], [b]) => compareByteStrings(a, b));
}
