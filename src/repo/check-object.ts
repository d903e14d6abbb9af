/**
 * One object held against its name and its format: what `fsck` does to each. The messages of failures are the real
 * tool's; `beyond` are findings in bytes that no checksum covers and that it does not look at.
 * @module
 */
import { createHash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import { hexOf } from '../core/bytes/hex.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import { isSymlink } from '../core/fs/mode.ts';
import { decodeCommit } from '../core/ostree/commit.ts';
import { decodeCommitmeta } from '../core/ostree/commitmeta.ts';
import { decodeDirmeta } from '../core/ostree/dirmeta.ts';
import { decodeDirtree } from '../core/ostree/dirtree.ts';
import { encodeFileHeader } from '../core/ostree/file-header.ts';
import { opensslHash } from '../node/hash.ts';
import { inflatedContent, type OpenArchiveFile, openArchiveFile } from './modes/archive.ts';
import type { ObjectName } from './reachable.ts';
import type { Repo } from './repo.ts';

export interface Finding {
  /** `missing`: there is no such object. `beyond`: the real tool passes it. */
  readonly kind: 'missing' | 'corrupted' | 'beyond';
  readonly message: string;
}

const DECODERS = { commit: decodeCommit, dirtree: decodeDirtree, dirmeta: decodeDirmeta } as const;

/** Undefined if the object is what its name says. */
export function checkObject(repo: Repo, { type, checksum }: ObjectName): Finding | undefined {
  try {
    if (type === 'commit' || type === 'dirtree' || type === 'dirmeta')
      return checkMetadata(repo, type, checksum);
    return checkFile(repo, checksum);
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

function checkFile(repo: Repo, checksum: string): Finding | undefined {
  const what = `fsck content object ${checksum}`;
  for (let owner: Repo | undefined = repo; owner?.mode === 'archive'; owner = owner.parent) {
    const file = openArchiveFile(owner, checksum, what);
    if (file === undefined) continue;
    try {
      return checkArchiveFile(owner, checksum, what, file);
    } finally {
      closeSync(file.descriptor);
    }
  }
  requireChecksum(what, 'file', checksum, hashFile(repo, checksum, what));
  return undefined;
}

function hashFile(repo: Repo, checksum: string, what: string): string {
  try {
    const { header, content } = repo.file(checksum);
    const hash = createHash('sha256').update(encodeFileHeader(header));
    for (const piece of content()) hash.update(piece);
    return hash.digest('hex');
  } catch (error) {
    throw prefixed(what, error);
  }
}

function checkArchiveFile(
  repo: Repo,
  checksum: string,
  what: string,
  file: OpenArchiveFile,
): Finding | undefined {
  const hash = createHash('sha256').update(encodeFileHeader(file.header));
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
  requireChecksum(what, 'file', checksum, hash.digest('hex'));
  const problem = archiveProblem(file, length, end);
  if (problem === undefined) return undefined;
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
