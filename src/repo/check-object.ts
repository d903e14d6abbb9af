/**
 * One object held against its name and its format: what `fsck` does to each. The messages of failures are the real
 * tool's; `beyond` are findings in bytes that no checksum covers and that it does not look at.
 * @module
 */
import { closeSync, readSync } from 'node:fs';
import type { ObjectFacts } from '../cache/object-facts.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import { isSymlink } from '../core/fs/mode.ts';
import { decodeCommit } from '../core/ostree/commit.ts';
import { decodeCommitmeta } from '../core/ostree/commitmeta.ts';
import type { ComposefsFile } from '../core/ostree/composefs-tree.ts';
import { decodeDirmeta } from '../core/ostree/dirmeta.ts';
import { decodeDirtree } from '../core/ostree/dirtree.ts';
import { encodeFileHeader, type FileHeader } from '../core/ostree/file-header.ts';
import { makePieceHash } from '../node/content-hash.ts';
import { opensslHash } from '../node/hash.ts';
import { inflatedContent, type OpenArchiveFile, openArchiveFile } from './modes/archive.ts';
import type { ObjectName } from './reachable.ts';
import type { Repo } from './repo.ts';

export interface Finding {
  /** `missing`: there is no such object. `beyond`: the real tool passes it. `cache`: the object is sound, not what is known of it. */
  readonly kind: 'missing' | 'corrupted' | 'beyond' | 'cache';
  readonly message: string;
}

const DECODERS = { commit: decodeCommit, dirtree: decodeDirtree, dirmeta: decodeDirmeta } as const;

/**
 * Undefined if the object is what its name says.
 *
 * @param facts what the cache knows of content objects, which is held against them too
 */
export function checkObject(
  repo: Repo,
  { type, checksum }: ObjectName,
  facts?: ObjectFacts,
): Finding | undefined {
  try {
    if (type === 'commit' || type === 'dirtree' || type === 'dirmeta')
      return checkMetadata(repo, type, checksum);
    return checkFile(repo, checksum, facts?.find(checksum));
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    return { kind: error.code === 'missing' ? 'missing' : 'corrupted', message: error.message };
  }
}

function checkMetadata(repo: Repo, type: keyof typeof DECODERS, checksum: string): Finding | undefined {
  const what = `fsck ${checksum}.${type}`;
  const data = repo.rawObject(type, checksum);
  if (data === undefined) throw new SealtreeError('missing', `No such metadata object ${checksum}.${type}`);
  requireChecksum(what, type, checksum, hexOf(opensslHash.digest('sha256', data)));
  DECODERS[type](data, `${what}: ${checksum}.${type}`);
  return type === 'commit' ? checkCommitmeta(repo, checksum) : undefined;
}

/** Its bytes are vouched for by signatures alone; here it only has to be readable. */
function checkCommitmeta(repo: Repo, checksum: string): Finding | undefined {
  const data = repo.rawObject('commitmeta', checksum);
  try {
    if (data !== undefined) decodeCommitmeta(data, repo.objectPath('commitmeta', checksum));
    return undefined;
  } catch (error) {
    return { kind: 'beyond', message: (error as Error).message };
  }
}

function checkFile(repo: Repo, checksum: string, known: ComposefsFile | undefined): Finding | undefined {
  const what = `fsck content object ${checksum}`;
  for (let owner: Repo | undefined = repo; owner?.mode === 'archive'; owner = owner.parent) {
    const file = openArchiveFile(owner, checksum, what);
    if (file === undefined) continue;
    try {
      return checkArchiveFile(owner, checksum, what, file, known);
    } finally {
      closeSync(file.descriptor);
    }
  }
  const hash = new ObjectHash(known);
  try {
    const { header, content } = repo.file(checksum);
    hash.begin(header);
    for (const piece of content()) hash.update(piece);
  } catch (error) {
    throw prefixed(what, error);
  }
  requireChecksum(what, 'file', checksum, hash.digest());
  return hash.finding(checksum);
}

/** The hash of a content object; with what is known of it also what shows whether that is true. */
class ObjectHash {
  readonly #hash = makePieceHash();
  readonly #known: ComposefsFile | undefined;
  #header: Uint8Array = new Uint8Array(0);
  #size = 0;
  #verity: string | undefined;

  constructor(known: ComposefsFile | undefined) {
    this.#known = known;
  }

  begin(header: FileHeader): void {
    this.#header = encodeFileHeader(header);
    this.#hash.begin(this.#header, this.#known?.verity !== undefined);
  }

  update(piece: Uint8Array): void {
    this.#hash.update(piece);
    this.#size += piece.length;
  }

  digest(): string {
    const { checksum, verity } = this.#hash.end();
    this.#verity = verity;
    return checksum;
  }

  finding(checksum: string): Finding | undefined {
    const known = this.#known;
    if (known === undefined) return undefined;
    const verity = this.#verity;
    const isTrue =
      known.size === this.#size &&
      known.verity === verity &&
      Buffer.compare(encodeFileHeader(known.header), this.#header) === 0;
    if (isTrue) return undefined;
    const expected = `${this.#size} bytes with the fs-verity digest ${verity ?? 'none'}`;
    const message = `cache: ${checksum}.file is not what is remembered of it, it has ${expected}`;
    return { kind: 'cache', message };
  }
}

function checkArchiveFile(
  repo: Repo,
  checksum: string,
  what: string,
  file: OpenArchiveFile,
  known: ComposefsFile | undefined,
): Finding | undefined {
  const hash = new ObjectHash(known);
  hash.begin(file.header);
  let length = 0;
  let end = file.start;
  if (!isSymlink(file.header.mode)) {
    try {
      const pieces = inflatedContent(file);
      let piece = pieces.next();
      for (; piece.done !== true; piece = pieces.next()) {
        hash.update(piece.value);
        length += piece.value.length;
      }
      end += piece.value;
    } catch (error) {
      throw prefixed(what, error);
    }
  }
  requireChecksum(what, 'file', checksum, hash.digest());
  const problem = archiveProblem(file, length, end);
  if (problem === undefined) return hash.finding(checksum);
  return { kind: 'beyond', message: `${repo.objectPath('file', checksum)}: ${problem}` };
}

function archiveProblem(file: OpenArchiveFile, length: number, end: number): string | undefined {
  if (file.size !== BigInt(length)) return `header says ${file.size} bytes of content, it has ${length}`;
  if (end !== file.fileSize)
    return `${file.fileSize - end} bytes behind the end of the object, expected none`;
  const padding = Buffer.alloc(4);
  readSync(file.descriptor, padding, 0, 4, 4);
  const found = padding.readUInt32BE(0);
  return found === 0 ? undefined : `padding behind the length of the header is ${found}, expected 0`;
}

function requireChecksum(what: string, type: string, expected: string, found: string): void {
  if (expected === found) return;
  const message = `${what}: Corrupted ${type} object; checksum expected='${expected}' actual='${found}'`;
  throw new SealtreeError('mismatch', message, { expected, found });
}
