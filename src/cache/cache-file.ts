/**
 * Files in which a repository remembers what was computed: below `tmp/cache/sealtree`, where ostree looks at nothing
 * and removes nothing. Each is whole or not there, and says by a hash whether it is what was written: one that is damaged,
 * of another machine's byte order or of another format is passed over and written anew. None is needed; they may be
 * deleted at any time.
 *
 * A file is a header of {@link HEADER_SIZE} bytes and a payload of 32-bit numbers.
 * @module
 */
import { hash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { writeFileAtomically } from '../node/atomic-file.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { isErrno } from '../node/io-error.ts';
import { readFileLimited } from '../node/read-file.ts';
import type { Repo } from '../repo/repo.ts';

/** To be raised whenever what is remembered, or what it is computed by, changes its meaning. */
const FORMAT = 1;

const MAGIC = Buffer.from('sealtree');
const BYTE_ORDER = 0x01020304;
const HEADER_SIZE = 64;
const CHECKSUM_AT = 32;
const MAX_SIZE = 1 << 30;

/** What a file remembers; also the beginning of its name. */
export type CacheKind = 'source' | 'objects' | 'images';

const NAME = /^(source|objects|images)(-[0-9a-f]{32})?$/;

/** Why a file is not used. */
export type CacheProblem = 'damaged' | 'of another format' | 'from the future';

export interface CacheFile {
  readonly name: ByteString;
  readonly kind: CacheKind;
  /** Bytes of the file. */
  readonly size: number;
  /** Milliseconds since 1970 of its last use. */
  readonly used: number;
}

/** Where the files of a repository are. */
export function cacheFolder(repo: Pick<Repo, 'path'>): ByteString {
  return joinPath(repo.path, byteString('tmp/cache/sealtree'));
}

/** All files of a repository's cache, those last used first; whatever else lies there is no part of it. */
export function listCacheFiles(repo: Pick<Repo, 'path'>): CacheFile[] {
  const folder = cacheFolder(repo);
  const files: CacheFile[] = [];
  for (const name of namesIn(folder)) {
    const kind = NAME.exec(name)?.[1] as CacheKind | undefined;
    if (kind === undefined) continue;
    const stat = lstatSync(fsPath(joinPath(folder, name)), { throwIfNoEntry: false });
    if (stat?.isFile()) files.push({ name, kind, size: stat.size, used: stat.mtimeMs });
  }
  return files.sort((a, b) => b.used - a.used);
}

/** Removes the whole cache of a repository. */
export function clearCache(repo: Pick<Repo, 'path'>): void {
  rmSync(fsPath(cacheFolder(repo)), { recursive: true, force: true });
}

export function removeCacheFile(repo: Pick<Repo, 'path'>, name: ByteString): void {
  rmSync(fsPath(joinPath(cacheFolder(repo), name)), { force: true });
}

/** The payload of a file; undefined if there is none; or why it must not be used. */
function readCacheFile(repo: Pick<Repo, 'path'>, name: ByteString): Uint32Array | CacheProblem | undefined {
  let data: Uint8Array | undefined;
  try {
    data = readFileLimited(joinPath(cacheFolder(repo), name), 'cache', MAX_SIZE);
  } catch {
    return 'damaged';
  }
  return data === undefined ? undefined : payloadOf(data, name);
}

/** Why a file of the cache is not used, undefined if it is. */
export function cacheProblem(repo: Pick<Repo, 'path'>, { name }: CacheFile): CacheProblem | undefined {
  const payload = readCacheFile(repo, name);
  return typeof payload === 'string' ? payload : undefined;
}

/** Only what can be trusted: for those who compute anew what is not there, whatever the reason. */
export function usablePayload(repo: Pick<Repo, 'path'>, name: ByteString): Uint32Array | undefined {
  const payload = readCacheFile(repo, name);
  return typeof payload === 'string' ? undefined : payload;
}

function payloadOf(data: Uint8Array, name: ByteString): Uint32Array | CacheProblem {
  const header = Buffer.from(data.buffer, data.byteOffset, data.length);
  if (data.length < HEADER_SIZE || !header.subarray(0, 8).equals(MAGIC)) return 'damaged';
  const words = new Uint32Array(data.buffer, data.byteOffset, HEADER_SIZE / 4);
  if (words[2] !== FORMAT || words[3] !== BYTE_ORDER) return 'of another format';
  const [writtenAt, length] = new Float64Array(data.buffer, data.byteOffset + 16, 2) as unknown as number[];
  if (length !== data.length - HEADER_SIZE || length % 4 !== 0) return 'damaged';
  if (!header.subarray(CHECKSUM_AT, HEADER_SIZE).equals(checksumOf(data, name))) return 'damaged';
  // The clock was set back since: its times say nothing about what came before and what after.
  if (!((writtenAt as number) <= Date.now())) return 'from the future';
  return new Uint32Array(data.buffer, data.byteOffset + HEADER_SIZE, (length as number) / 4);
}

/**
 * Writes a file of the cache. That it cannot be written is no failure: the next run computes again. It is not
 * synchronised either, since a file that a power failure spoils is seen to be damaged.
 *
 * @param parts the payload, in pieces
 */
export function writeCacheFile(
  repo: Pick<Repo, 'path'>,
  name: ByteString,
  parts: readonly Uint32Array[],
): void {
  const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
  if (HEADER_SIZE + length > MAX_SIZE) return;
  const data = new Uint8Array(HEADER_SIZE + length);
  data.set(MAGIC);
  const words = new Uint32Array(data.buffer);
  words[2] = FORMAT;
  words[3] = BYTE_ORDER;
  new Float64Array(data.buffer, 16, 2).set([Date.now(), length]);
  let at = HEADER_SIZE / 4;
  for (const part of parts) {
    words.set(part, at);
    at += part.length;
  }
  data.set(checksumOf(data, name), CHECKSUM_AT);
  try {
    mkdirSync(fsPath(cacheFolder(repo)), { recursive: true });
    writeFileAtomically(joinPath(cacheFolder(repo), name), data, { sync: false });
  } catch {
    // A full or read-only file system; whatever it is, it is not what the caller is here for.
  }
}

/** Says that a file was of use, so that it is not the first to go. */
export function touchCacheFile(repo: Pick<Repo, 'path'>, name: ByteString): void {
  try {
    const now = new Date();
    utimesSync(fsPath(joinPath(cacheFolder(repo), name)), now, now);
  } catch {
    // Deleted meanwhile, or another's.
  }
}

/** Of name, header and payload: a file under another's name is not taken for it. */
function checksumOf(data: Uint8Array, name: ByteString): Uint8Array {
  const parts = [
    hash('sha256', Buffer.from(name, 'latin1'), 'buffer'),
    hash('sha256', data.subarray(0, CHECKSUM_AT), 'buffer'),
    hash('sha256', data.subarray(HEADER_SIZE), 'buffer'),
  ];
  return hash('sha256', Buffer.concat(parts), 'buffer');
}

function namesIn(folder: ByteString): ByteString[] {
  try {
    return readdirSync(fsPath(folder), 'latin1') as ByteString[];
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
