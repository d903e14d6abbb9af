/**
 * Commits taken over from another repository on this machine: objects as hard links where both store them the same
 * way and the file system allows, else written anew in the form of this repository's mode. A commit is marked as
 * partial until all its objects are here. Decisions are those of the real tool.
 * @module
 */
import { statSync, unlinkSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { isChecksum } from '../core/bytes/hex.ts';
import { malformed, prefixed, SealtreeError } from '../core/errors.ts';
import { isRegular } from '../core/fs/mode.ts';
import { type Commit, decodeCommit } from '../core/ostree/commit.ts';
import { formatRefspec, parseRefspec, validateRef } from '../core/ostree/refs.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { refBindings, verifyBindings } from './bindings.ts';
import { checkObject } from './check-object.ts';
import { markPartial } from './delete-object.ts';
import { findRev } from './refs.ts';
import type { MetadataType, Repo } from './repo.ts';
import { Transaction } from './transaction.ts';

export interface PullOptions {
  /** Refs become those of this remote. */
  readonly remote: ByteString | undefined;
  /** Whether objects are taken as they are; else each is held against its name first. */
  readonly trusted: boolean;
  readonly commitsOnly: boolean;
  /** Parents that are followed; -1 for all. */
  readonly depth: number;
  readonly verifyBindings: boolean;
  /** Whether files with mode bits outside of 0775 are refused. */
  readonly canonicalFiles: boolean;
  readonly fsync: boolean | undefined;
}

export interface PullStats {
  readonly metadata: number;
  readonly content: number;
  /** Bytes of detached metadata read anew for commits that were here. */
  readonly transferred: number;
  /** Bytes of files that were written, and not linked. */
  readonly written: number;
}

/**
 * @param wanted refs or checksums
 * @throws SealtreeError in ostree's words; this repository is then as it was
 */
export async function pullLocal(
  repo: Repo,
  source: Repo,
  wanted: readonly ByteString[],
  options: PullOptions,
): Promise<PullStats> {
  const requests = wanted.map((name) => resolve(source, name));
  for (const { ref } of requests) if (ref !== undefined) targetRef(ref, options);
  const transaction = Transaction.begin(repo, { fsync: options.fsync });
  const pull = new Pull(repo, source, transaction, options);
  try {
    for (const [checksum, refs] of byCommit(requests)) await pull.commit(checksum, refs);
    for (const { checksum, ref } of requests) {
      if (ref === undefined) continue;
      const target = targetRef(ref, options);
      if (findRev(repo, target, { localOnly: true }) !== checksum) transaction.setRef(target, checksum);
    }
    transaction.commit();
  } catch (error) {
    transaction.abort();
    pull.forgetMarks();
    throw error;
  }
  pull.finish();
  return { ...pull.counts, written: transaction.stats.contentBytesWritten };
}

interface Request {
  readonly checksum: string;
  /** Undefined for a commit asked for by its checksum. */
  readonly ref: ByteString | undefined;
}

function resolve(source: Repo, name: ByteString): Request {
  if (isChecksum(name)) return { checksum: name, ref: undefined };
  validateRef(name);
  const checksum = findRev(source, name, { localOnly: true });
  if (checksum === undefined) throw new SealtreeError('missing', `Refspec '${name}' not found`);
  return { checksum, ref: name };
}

function byCommit(requests: readonly Request[]): Map<string, (ByteString | undefined)[]> {
  const commits = new Map<string, (ByteString | undefined)[]>();
  for (const { checksum, ref } of requests) {
    const refs = commits.get(checksum);
    if (refs === undefined) commits.set(checksum, [ref]);
    else refs.push(ref);
  }
  return commits;
}

function targetRef(ref: ByteString, { remote }: PullOptions): ByteString {
  const target = formatRefspec({ remote, ref });
  parseRefspec(target);
  return target;
}

class Pull {
  readonly counts = { metadata: 0, content: 0, transferred: 0 };
  readonly #repo: Repo;
  readonly #source: Repo;
  readonly #transaction: Transaction;
  readonly #options: PullOptions;
  readonly #sameOwner: boolean;
  readonly #seen = new Set<string>();
  /** Commits that are complete when all is written. */
  readonly #scanned: string[] = [];
  /** Commits that were not marked as partial before. */
  readonly #marked: string[] = [];

  constructor(repo: Repo, source: Repo, transaction: Transaction, options: PullOptions) {
    this.#repo = repo;
    this.#source = source;
    this.#transaction = transaction;
    this.#options = options;
    this.#sameOwner = objectsOwner(repo) === objectsOwner(source);
  }

  /** @param refs by which the commit was asked for; it has to be bound to one of them */
  async commit(first: string, refs: readonly (ByteString | undefined)[]): Promise<void> {
    let depth = this.#options.depth;
    let checksum: string | undefined = first;
    for (let isParent = false; checksum !== undefined; isParent = true) {
      if (isParent && !this.#has('commit', checksum) && !this.#source.hasObject('commit', checksum)) {
        // The source itself may hold no more of the history.
        return;
      }
      const parent = await this.#oneCommit(checksum, isParent ? [undefined] : refs);
      if (depth === 0) return;
      if (depth > 0) depth--;
      checksum = parent;
    }
  }

  /** All is written and visible: the commits are whole. */
  finish(): void {
    if (this.#options.commitsOnly) return;
    for (const checksum of this.#scanned) removeMark(this.#repo, checksum);
  }

  /** Nothing was written: no commit is partial that was not before. */
  forgetMarks(): void {
    for (const checksum of this.#marked) removeMark(this.#repo, checksum);
  }

  /** @returns the parent's checksum */
  async #oneCommit(checksum: string, refs: readonly (ByteString | undefined)[]): Promise<string | undefined> {
    const fresh = !this.#has('commit', checksum);
    if (fresh) {
      if (markPartial(this.#repo, checksum, 'pull')) this.#marked.push(checksum);
      this.#importMetadata('commit', checksum);
    }
    const again = this.#seen.has(checksum);
    this.#seen.add(checksum);
    if (!again) this.#importDetached(checksum, fresh);
    const commit = fresh ? this.#source.commit(checksum) : this.#readCommit(checksum);
    if (this.#options.verifyBindings && !again) this.#verifyBindings(checksum, commit, refs);
    if (!this.#options.commitsOnly && this.#repo.commitState(checksum) !== 'complete') {
      this.#scanned.push(checksum);
      await this.#tree(commit.rootDirtree, commit.rootDirmeta);
    }
    return commit.parent;
  }

  /** As the real tool, which holds a commit only against the first ref that leads to it, but whatever their order. */
  #verifyBindings(checksum: string, commit: Commit, refs: readonly (ByteString | undefined)[]): void {
    const bound = refBindings(commit);
    const ref = refs.find((name) => name === undefined || bound?.includes(name)) ?? refs[0];
    const collection = this.#source.config.get('core', 'collection-id');
    try {
      verifyBindings(commit, ref, collection === '' ? undefined : collection);
    } catch (error) {
      throw prefixed(`Commit ${checksum}`, error);
    }
  }

  /** One that was here, or came with another ref of this pull. */
  #readCommit(checksum: string) {
    if (this.#repo.hasObject('commit', checksum)) return this.#repo.commit(checksum);
    const data = this.#transaction.readStaged(checksum, 'commit');
    return data === undefined ? this.#source.commit(checksum) : decodeCommit(data, `${checksum}.commit`);
  }

  async #tree(rootDirtree: string, rootDirmeta: string): Promise<void> {
    const waiting = [{ dirtree: rootDirtree, dirmeta: rootDirmeta }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      this.#importMetadata('dirmeta', next.dirmeta);
      if (this.#seen.has(next.dirtree)) continue;
      this.#seen.add(next.dirtree);
      this.#importMetadata('dirtree', next.dirtree);
      const { files, dirs } = this.#source.hasObject('dirtree', next.dirtree)
        ? this.#source.dirtree(next.dirtree)
        : this.#repo.dirtree(next.dirtree);
      for (const { checksum } of files) {
        if (this.#seen.has(checksum) || this.#has('file', checksum)) continue;
        this.#seen.add(checksum);
        await this.#importFile(checksum);
        this.counts.content++;
      }
      waiting.push(...dirs);
    }
  }

  #importMetadata(type: MetadataType, checksum: string): void {
    if (this.#has(type, checksum)) return;
    this.#requireSound(type, checksum);
    if (!this.#link(type, checksum)) {
      this.#transaction.writeMetadata(type, this.#source.readObject(type, checksum), checksum);
    }
    this.counts.metadata++;
  }

  async #importFile(checksum: string): Promise<void> {
    const { mode } = this.#source;
    const conversion = mode === 'bare-user' && this.#repo.mode === 'bare-user-only';
    let linkable = mode === this.#repo.mode;
    if (conversion || this.#options.canonicalFiles) {
      const { header } = this.#source.file(checksum);
      if (this.#options.canonicalFiles) requireCanonicalMode(checksum, header.mode);
      linkable ||= conversion && isRegular(header.mode);
    }
    if (linkable) {
      this.#requireSound('file', checksum);
      if (this.#link('file', checksum)) return;
    }
    const { header, size, content } = this.#source.file(checksum);
    await this.#transaction.writeFile(header, size, content(), checksum);
  }

  /** Commits that are here get what signatures they have there now. */
  #importDetached(checksum: string, fresh: boolean): void {
    const data = this.#source.rawObject('commitmeta', checksum);
    if (data === undefined) return;
    this.#transaction.writeCommitmeta(checksum, data);
    if (!fresh) this.counts.transferred += data.length;
  }

  #requireSound(type: MetadataType | 'file', checksum: string): void {
    if (this.#options.trusted) return;
    const finding = checkObject(this.#source, { type, checksum });
    if (finding !== undefined) throw new SealtreeError('mismatch', finding.message);
  }

  /** @returns false if the object has to be written */
  #link(type: MetadataType | 'file', checksum: string): boolean {
    if (!this.#sameOwner) return false;
    const owner = ownerOf(this.#source, type, checksum);
    if (owner.mode !== this.#source.mode && type === 'file') return false;
    try {
      return this.#transaction.linkObject(checksum, type, owner.objectFile(type, checksum));
    } catch (error) {
      throw prefixed(`Importing ${checksum}.${type}`, error);
    }
  }

  #has(type: MetadataType | 'file', checksum: string): boolean {
    return this.#transaction.has(checksum, type) || this.#repo.hasObject(type, checksum);
  }
}

/** The repository, this or a parent, that has the object itself. */
function ownerOf(repo: Repo, type: MetadataType | 'file', checksum: string): Repo {
  for (let owner: Repo | undefined = repo; owner !== undefined; owner = owner.parent) {
    if (owner.hasOwnObject(type, checksum)) return owner;
  }
  return repo;
}

function objectsOwner(repo: Repo): number {
  return statSync(fsPath(byteString(`${repo.path}/objects`))).uid;
}

function requireCanonicalMode(checksum: string, mode: number): void {
  const bits = isRegular(mode) ? mode & 0o7777 & ~0o775 : 0;
  if (bits === 0) return;
  const octal = (value: number) => `0${value.toString(8).padStart(4, '0')}`;
  throw malformed(`Content object ${checksum}: invalid mode ${octal(mode)} with bits ${octal(bits)}`);
}

function removeMark(repo: Repo, checksum: string): void {
  try {
    unlinkSync(fsPath(byteString(`${repo.path}/state/${checksum}.commitpartial`)));
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw ioError(`unlinkat(${checksum}.commitpartial)`, error);
  }
}
