/**
 * What the files of a source tree became: for each file, symlink and directory, known by all that a change would show
 * in (device, inode number, mode, owner, size, modification and change time), the checksum of the content object or
 * dirmeta that was made of it.
 *
 * A file that was changed less than {@link MARGIN} before it was read is not remembered: another change within the
 * resolution of its times would not show. For the same reason nothing is remembered of a tree on a network file
 * system, whose times are another machine's, nor of what is mounted below the tree.
 *
 * One file of the cache for each tree and for each set of options that change what becomes of a file.
 * @module
 */
import { hash } from 'node:crypto';
import { readFileSync, readlinkSync, statfsSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { readHex } from '../core/bytes/hex.ts';
import type { Xattr } from '../core/fs/file-tree.ts';
import { fsPath } from '../node/fs-path.ts';
import { IDENTITY_CTIME, IDENTITY_WORDS } from '../node/syscalls.ts';
import type { Repo } from '../repo/repo.ts';
import {
  listCacheFiles,
  removeCacheFile,
  touchCacheFile,
  usablePayload,
  writeCacheFile,
} from './cache-file.ts';
import { RecordIndex } from './record-index.ts';

/** Identity, then the checksum. */
const RECORD_WORDS = IDENTITY_WORDS + 8;

/** Seconds that the last change of a file must lie back: more than any file system's times are apart. */
const MARGIN = 2.5;

/** Trees that are remembered at once. */
const MAX_TREES = 32;

/** Files of one tree that are remembered. */
const MAX_RECORDS = 1 << 23;

/** `f_type` of file systems whose clock is not this machine's, or may not be: NFS, SMB, CIFS, 9P, Ceph, AFS, FUSE. */
const FOREIGN_CLOCKS = new Set([
  0x6969, 0x517b, 0xfe534d42, 0xff534d42, 0x01021997, 0x00c36400, 0x5346414f, 0x65735546,
]);

export interface SourceTree {
  readonly path: ByteString;
  /** Identity of its root. */
  readonly identity: Uint32Array;
  /** Attributes of its root, which show how the file system is mounted. */
  readonly xattrs: readonly Xattr[];
  /** All options that change what a file becomes. */
  readonly options: unknown;
}

export class SourceCache {
  readonly #repo: Repo;
  readonly #name: ByteString;
  readonly #device: number;
  /** Seconds since 1970: what was changed later is not remembered. */
  readonly #settled: number;
  readonly #known: Uint32Array;
  readonly #knownBytes: Buffer;
  readonly #kept: Uint8Array;
  #keptCount = 0;
  #index: RecordIndex | undefined;
  /** The record behind the one that was found last: mostly the next that is looked for. */
  #next = 0;
  #added = new Uint32Array(0);
  #addedCount = 0;

  private constructor(repo: Repo, name: ByteString, device: number, known: Uint32Array) {
    this.#repo = repo;
    this.#name = name;
    this.#device = device;
    this.#settled = Date.now() / 1000 - MARGIN;
    this.#known = known;
    this.#knownBytes = Buffer.from(known.buffer, known.byteOffset, known.byteLength);
    this.#kept = new Uint8Array(known.length / RECORD_WORDS);
  }

  /** Before any file is looked at. undefined if nothing can be remembered of this tree. */
  static open(repo: Repo, tree: SourceTree): SourceCache | undefined {
    try {
      if (FOREIGN_CLOCKS.has(statfsSync(fsPath(tree.path)).type)) return undefined;
    } catch {
      return undefined;
    }
    const name = byteString(`source-${keyOf(tree)}`);
    const payload = usablePayload(repo, name) ?? new Uint32Array(0);
    const isWhole = payload.length % RECORD_WORDS === 0;
    return new SourceCache(repo, name, tree.identity[0] as number, isWhole ? payload : new Uint32Array(0));
  }

  /** How many files are known. */
  get size(): number {
    return this.#kept.length;
  }

  /**
   * The record of a file that is what it was.
   *
   * @param identity of the file, in an array that begins with it
   * @returns -1 if there is none
   */
  find(identity: Uint32Array): number {
    const next = this.#next;
    if (next < this.#kept.length && this.#isRecordOf(next, identity)) {
      this.#next = next + 1;
      return next;
    }
    const record = this.#indexed().find(identity[4] as number, (found) => this.#isRecordOf(found, identity));
    if (record >= 0) this.#next = record + 1;
    return record;
  }

  /** The checksum in a record, 32 bytes. */
  checksum(record: number): Buffer {
    const at = (record * RECORD_WORDS + IDENTITY_WORDS) * 4;
    return this.#knownBytes.subarray(at, at + 32);
  }

  /** Remembers a record further: its checksum was used. */
  keep(record: number): void {
    if (this.#kept[record] === 1) return;
    this.#kept[record] = 1;
    this.#keptCount++;
  }

  /**
   * Remembers what a file became.
   *
   * @param identities with that of the file at `at`, as it was before the file was read
   */
  add(identities: Uint32Array, at: number, checksum: string): void {
    if (identities[at] !== this.#device || !this.#isSettled(identities, at)) return;
    if (this.#keptCount + this.#addedCount >= MAX_RECORDS) return;
    const start = this.#addedCount++ * RECORD_WORDS;
    if (start + RECORD_WORDS > this.#added.length) {
      const grown = new Uint32Array(Math.max(2 * this.#added.length, 1024 * RECORD_WORDS));
      grown.set(this.#added);
      this.#added = grown;
    }
    for (let i = 0; i < IDENTITY_WORDS; i++) this.#added[start + i] = identities[at + i] as number;
    readHex(checksum, new Uint8Array(this.#added.buffer, (start + IDENTITY_WORDS) * 4, 32));
  }

  /** Writes what is to be remembered, unless it is what is remembered already. */
  save(): void {
    if (this.#addedCount === 0 && this.#keptCount === this.#kept.length) {
      if (this.#keptCount > 0) touchCacheFile(this.#repo, this.#name);
      return;
    }
    writeCacheFile(this.#repo, this.#name, [this.#records()]);
    const trees = listCacheFiles(this.#repo).filter(({ kind }) => kind === 'source');
    for (const { name } of trees.slice(MAX_TREES)) removeCacheFile(this.#repo, name);
  }

  /** Kept and added ones; of a file that has several names one. */
  #records(): Uint32Array {
    const count = this.#keptCount + this.#addedCount;
    const records = new Uint32Array(count * RECORD_WORDS);
    const index = new RecordIndex(count);
    let used = 0;
    const take = (source: Uint32Array, record: number) => {
      const start = record * RECORD_WORDS;
      const low = source[start + 4] as number;
      const high = source[start + 5] as number;
      const isSame = (other: number) =>
        records[other * RECORD_WORDS + 4] === low && records[other * RECORD_WORDS + 5] === high;
      if (index.find(low, isSame) >= 0) return;
      records.set(source.subarray(start, start + RECORD_WORDS), used * RECORD_WORDS);
      index.add(low, used++);
    };
    // What was read now goes before what was known.
    for (let record = 0; record < this.#addedCount; record++) take(this.#added, record);
    for (let record = 0; record < this.#kept.length; record++) {
      if (this.#kept[record] === 1) take(this.#known, record);
    }
    return records.subarray(0, used * RECORD_WORDS);
  }

  #isRecordOf(record: number, identity: Uint32Array): boolean {
    const start = record * RECORD_WORDS;
    for (let i = 0; i < IDENTITY_WORDS; i++) if (this.#known[start + i] !== identity[i]) return false;
    return true;
  }

  /** A time in the future is not trusted either. */
  #isSettled(identities: Uint32Array, at: number): boolean {
    const low = identities[at + IDENTITY_CTIME] as number;
    const high = identities[at + IDENTITY_CTIME + 1] as number;
    const nanoseconds = identities[at + IDENTITY_CTIME + 2] as number;
    return (high | 0) * 2 ** 32 + low + nanoseconds / 1e9 < this.#settled;
  }

  #indexed(): RecordIndex {
    if (this.#index === undefined) {
      const count = this.#kept.length;
      this.#index = new RecordIndex(count);
      for (let record = 0; record < count; record++) {
        this.#index.add(this.#known[record * RECORD_WORDS + 4] as number, record);
      }
    }
    return this.#index;
  }
}

/** Which tree it is, what becomes of its files, and who asks: not everyone sees all extended attributes. */
function keyOf({ identity, xattrs, options }: SourceTree): string {
  const [device, , , , inodeLow, inodeHigh] = identity;
  const capabilities = /^CapEff:.*$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[0];
  const user = [process.geteuid?.(), capabilities, readlinkSync('/proc/self/ns/user')];
  const key = JSON.stringify([device, inodeLow, inodeHigh, xattrs, options, user]);
  return hash('sha256', key, 'hex').slice(0, 32);
}
