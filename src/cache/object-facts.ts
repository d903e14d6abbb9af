/**
 * What a repository's content objects are: owner, mode, attributes, size and fs-verity digest by checksum. An object
 * never changes, so neither do these; they are what a composefs image needs of it.
 * @module
 */
import { type ByteString, byteString, byteStringFrom, bytesOf } from '../core/bytes/byte-string.ts';
import { readHex } from '../core/bytes/hex.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import type { Xattr } from '../core/fs/file-tree.ts';
import { isRegular, isSymlink } from '../core/fs/mode.ts';
import { decodeVariant } from '../core/gvariant/decode.ts';
import { encodeVariant } from '../core/gvariant/encode.ts';
import type { ComposefsFile } from '../core/ostree/composefs-tree.ts';
import { xattrsFrom, xattrsValue } from '../core/ostree/xattrs.ts';
import type { Repo } from '../repo/repo.ts';
import { usablePayload, writeCacheFile } from './cache-file.ts';
import { RecordIndex } from './record-index.ts';

const NAME = byteString('objects');

/**
 * Places in a record, in numbers of 32 bits: checksum, fs-verity digest (zeros for none), mode, owner, group, size (low
 * half first), and where the extended attributes and the target of a symlink begin among the texts, plus one.
 */
const RECORD = {
  checksum: 0,
  verity: 8,
  mode: 16,
  uid: 17,
  gid: 18,
  size: 19,
  xattrs: 21,
  target: 22,
  words: 23,
};

/** The payload begins with the number of records; records and texts follow. */
const HEADER_WORDS = 1;

/** Entries beyond those that are in use, after which those whose objects are gone are thrown out. */
const SLACK = 1 << 16;

const XATTRS_TYPE = 'a(ayay)';
const NO_XATTRS: readonly Xattr[] = [];

/** A payload taken apart and found to be sound. */
interface Parts {
  readonly records: Uint32Array;
  readonly texts: Uint8Array;
  /** Attributes by their place: few files have their own. */
  readonly xattrs: ReadonlyMap<number, readonly Xattr[]>;
}

const NOTHING: Parts = { records: new Uint32Array(0), texts: new Uint8Array(0), xattrs: new Map() };

export class ObjectFacts {
  readonly #repo: Repo;
  readonly #records: Uint32Array;
  /** The same memory. */
  readonly #bytes: Buffer;
  readonly #texts: Uint8Array;
  readonly #count: number;
  readonly #added = new Map<string, ComposefsFile>();
  readonly #xattrs: ReadonlyMap<number, readonly Xattr[]>;
  readonly #wanted = new Uint8Array(32);
  readonly #wantedWords = new Uint32Array(this.#wanted.buffer);
  #index: RecordIndex | undefined;
  #next = 0;
  #used = 0;

  private constructor(repo: Repo, { records, texts, xattrs }: Parts) {
    this.#repo = repo;
    this.#records = records;
    this.#bytes = Buffer.from(records.buffer, records.byteOffset, records.byteLength);
    this.#count = records.length / RECORD.words;
    this.#texts = texts;
    this.#xattrs = xattrs;
  }

  static open(repo: Repo): ObjectFacts {
    const payload = usablePayload(repo, NAME);
    return new ObjectFacts(repo, (payload && partsOf(payload)) ?? NOTHING);
  }

  /** How many objects are known. */
  get size(): number {
    return this.#count + this.#added.size;
  }

  has(checksum: string): boolean {
    return this.#added.has(checksum) || this.#find(checksum) >= 0;
  }

  /** @throws SealtreeError `malformed` if `checksum` is none */
  find(checksum: string): ComposefsFile | undefined {
    const added = this.#added.get(checksum);
    if (added !== undefined) return added;
    const record = this.#find(checksum);
    if (record < 0) return undefined;
    this.#used++;
    return this.#fileOf(record);
  }

  /** Remembers an object, with its fs-verity digest if it has one. */
  add(checksum: string, file: ComposefsFile): void {
    const { header, size, verity } = file;
    // Without one it is not what the next asks for.
    if (isRegular(header.mode) && size > 0 && verity === undefined) return;
    if (this.#find(checksum) < 0) this.#added.set(checksum, file);
  }

  /**
   * Writes what is new.
   *
   * @param exists whether the repository still has an object, asked when many were not needed any more
   */
  save(exists: (checksum: string) => boolean): void {
    if (this.#added.size === 0) return;
    const all = this.#count > 2 * this.#used + SLACK ? this.#kept(exists) : this.#records;
    const kept = all.length / RECORD.words;
    const count = kept + this.#added.size;
    const records = new Uint32Array(HEADER_WORDS + count * RECORD.words);
    records[0] = count;
    records.set(all, HEADER_WORDS);
    const texts = new Texts(this.#texts);
    let at = HEADER_WORDS + kept * RECORD.words;
    for (const [checksum, file] of this.#added) {
      writeRecord(records, at, checksum, file, texts);
      at += RECORD.words;
    }
    writeCacheFile(this.#repo, NAME, [records, texts.finish()]);
  }

  #kept(exists: (checksum: string) => boolean): Uint32Array {
    const kept = new Uint32Array(this.#records.length);
    let used = 0;
    for (let record = 0; record < this.#count; record++) {
      const start = record * RECORD.words;
      if (!exists(this.#hexAt(start + RECORD.checksum))) continue;
      kept.set(this.#records.subarray(start, start + RECORD.words), used);
      used += RECORD.words;
    }
    return kept.subarray(0, used);
  }

  #find(checksum: string): number {
    if (this.#count === 0) return -1;
    readHex(checksum, this.#wanted);
    const next = this.#next;
    if (next < this.#count && this.#isWanted(next)) {
      this.#next = next + 1;
      return next;
    }
    const record = this.#indexed().find(this.#wantedWords[0] as number, (found) => this.#isWanted(found));
    if (record >= 0) this.#next = record + 1;
    return record;
  }

  #isWanted(record: number): boolean {
    const start = record * RECORD.words;
    for (let i = 0; i < 8; i++) if (this.#records[start + i] !== this.#wantedWords[i]) return false;
    return true;
  }

  #indexed(): RecordIndex {
    if (this.#index === undefined) {
      this.#index = new RecordIndex(this.#count);
      for (let record = 0; record < this.#count; record++) {
        this.#index.add(this.#records[record * RECORD.words] as number, record);
      }
    }
    return this.#index;
  }

  #fileOf(record: number): ComposefsFile {
    const start = record * RECORD.words;
    const word = (at: number) => this.#records[start + at] as number;
    const mode = word(RECORD.mode);
    const size = word(RECORD.size) + word(RECORD.size + 1) * 2 ** 32;
    const target = word(RECORD.target);
    return {
      header: {
        uid: word(RECORD.uid),
        gid: word(RECORD.gid),
        mode,
        rdev: 0,
        symlinkTarget: target === 0 ? byteString('') : byteStringFrom(textAt(this.#texts, target)),
        xattrs: this.#xattrs.get(word(RECORD.xattrs)) ?? NO_XATTRS,
      },
      size,
      verity: isSymlink(mode) || size === 0 ? undefined : this.#hexAt(start + RECORD.verity),
    };
  }

  #hexAt(at: number): string {
    return this.#bytes.toString('hex', 4 * at, 4 * at + 32);
  }
}

/** undefined if anything in it cannot be: a hash says that the file is whole, not who wrote it. */
function partsOf(payload: Uint32Array): Parts | undefined {
  const end = HEADER_WORDS + (payload[0] ?? 0) * RECORD.words;
  if (payload.length < Math.max(end, HEADER_WORDS)) return undefined;
  const records = payload.subarray(HEADER_WORDS, end);
  const texts = new Uint8Array(payload.buffer, payload.byteOffset + 4 * end, 4 * (payload.length - end));
  const xattrs = new Map<number, readonly Xattr[]>();
  try {
    for (let at = 0; at < records.length; at += RECORD.words) {
      const mode = records[at + RECORD.mode] as number;
      const place = records[at + RECORD.xattrs] as number;
      const target = records[at + RECORD.target] as number;
      const isFile = isRegular(mode) || isSymlink(mode);
      if (!isFile || isSymlink(mode) !== target > 0 || (records[at + RECORD.size + 1] as number) >= 1 << 21)
        return undefined;
      if (target > 0) textAt(texts, target);
      if (place > 0 && !xattrs.has(place)) {
        xattrs.set(place, xattrsFrom(decodeVariant(XATTRS_TYPE, textAt(texts, place), 'cache'), 'cache'));
      }
    }
  } catch (error) {
    if (error instanceof SealtreeError) return undefined;
    throw error;
  }
  return { records, texts, xattrs };
}

/** @throws SealtreeError `malformed` if there is none */
function textAt(texts: Uint8Array, place: number): Uint8Array {
  const start = place + 3;
  if (start > texts.length) throw malformed('cache: a text that is not there');
  const length = new DataView(texts.buffer, texts.byteOffset + place - 1, 4).getUint32(0, true);
  if (start + length > texts.length) throw malformed('cache: a text that is not there');
  return texts.subarray(start, start + length);
}

function writeRecord(
  records: Uint32Array,
  at: number,
  checksum: string,
  { header, size, verity }: ComposefsFile,
  texts: Texts,
): void {
  readHex(checksum, new Uint8Array(records.buffer, 4 * (at + RECORD.checksum), 32));
  if (verity !== undefined) readHex(verity, new Uint8Array(records.buffer, 4 * (at + RECORD.verity), 32));
  records[at + RECORD.mode] = header.mode;
  records[at + RECORD.uid] = header.uid;
  records[at + RECORD.gid] = header.gid;
  records[at + RECORD.size] = size >>> 0;
  records[at + RECORD.size + 1] = Math.floor(size / 2 ** 32);
  if (header.xattrs.length > 0) {
    const encoded = encodeVariant(XATTRS_TYPE, xattrsValue(header.xattrs));
    records[at + RECORD.xattrs] = texts.place(byteStringFrom(encoded));
  }
  if (isSymlink(header.mode)) records[at + RECORD.target] = texts.place(header.symlinkTarget);
}

/** Texts behind each other, each with its length before it. Those that are added now stand there once. */
class Texts {
  readonly #places = new Map<ByteString, number>();
  #data: Uint8Array;
  #length: number;

  constructor(before: Uint8Array) {
    this.#data = before;
    this.#length = before.length;
  }

  /** Where the text is, plus one. */
  place(text: ByteString): number {
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    const at = this.#length;
    const end = at + 4 + text.length;
    if (end > this.#data.length) {
      const grown = new Uint8Array(Math.max(2 * this.#data.length, end, 4096));
      grown.set(this.#data.subarray(0, at));
      this.#data = grown;
    }
    new DataView(this.#data.buffer, this.#data.byteOffset).setUint32(at, text.length, true);
    this.#data.set(bytesOf(text), at + 4);
    this.#length = end;
    this.#places.set(text, at + 1);
    return at + 1;
  }

  finish(): Uint32Array {
    const padded = new Uint8Array(Math.ceil(this.#length / 4) * 4);
    padded.set(this.#data.subarray(0, this.#length));
    return new Uint32Array(padded.buffer);
  }
}
