/**
 * A repository of the archive mode in memory, read as src/repo reads one: every object is held against its name
 * before anything else is done with it.
 * @module
 */
import { createHash } from 'node:crypto';
import { hexOf } from '../../src/core/bytes/hex.ts';
import { malformed, SealtreeError } from '../../src/core/errors.ts';
import { isSymlink } from '../../src/core/fs/mode.ts';
import { type Commit, decodeCommit } from '../../src/core/ostree/commit.ts';
import type { ComposefsFile, ComposefsReader } from '../../src/core/ostree/composefs-tree.ts';
import { type Dirmeta, decodeDirmeta } from '../../src/core/ostree/dirmeta.ts';
import { type Dirtree, decodeDirtree } from '../../src/core/ostree/dirtree.ts';
import { decodeArchiveHeader, encodeFileHeader } from '../../src/core/ostree/file-header.ts';
import { VerityHash } from '../../src/core/verity/digest.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { inflateRaw } from '../../src/node/inflate.ts';

/** Objects by `CHECKSUM.EXTENSION`. */
export type Objects = Map<string, Uint8Array>;

export interface MemoryRepo extends ComposefsReader {
  commit(checksum: string): Commit;
  has(name: string): boolean;
}

/** What has been read of objects that do not change from case to case. */
export type KnownObjects = Map<string, Dirtree | Dirmeta | ComposefsFile>;

/**
 * @param base objects that were there before
 * @param known remembers what those are
 * @param changed objects that are looked for first
 */
export function memoryRepo(base: Objects, known: KnownObjects, changed: Objects): MemoryRepo {
  const read = (name: string): Uint8Array => {
    const data = changed.get(name) ?? base.get(name);
    if (data === undefined) throw new SealtreeError('missing', `No such metadata object ${name}`);
    return data;
  };
  const metadata = (name: string): Uint8Array => {
    const data = read(name);
    requireName(name, createHash('sha256').update(data).digest('hex'));
    return data;
  };
  const remembered = <T extends Dirtree | Dirmeta | ComposefsFile>(name: string, decode: () => T): T => {
    if (changed.has(name)) return decode();
    const found = known.get(name) ?? decode();
    known.set(name, found);
    return found as T;
  };
  return {
    commit: (checksum) => decodeCommit(metadata(`${checksum}.commit`), `${checksum}.commit`),
    dirtree(checksum) {
      const name = `${checksum}.dirtree`;
      return remembered(name, () => decodeDirtree(metadata(name), name));
    },
    dirmeta(checksum) {
      const name = `${checksum}.dirmeta`;
      return remembered(name, () => decodeDirmeta(metadata(name), name));
    },
    file(checksum) {
      const name = `${checksum}.filez`;
      return remembered(name, () => readFile(name, read(name)));
    },
    has: (name) => changed.has(name) || base.has(name),
  };
}

function readFile(name: string, data: Uint8Array): ComposefsFile {
  const { header, size, length } = decodeArchiveHeader(data, name);
  if (size > Number.MAX_SAFE_INTEGER) throw malformed(`${name}: header says ${size} bytes of content`);
  const hash = createHash('sha256').update(encodeFileHeader(header));
  const verity = new VerityHash(opensslHash);
  let found = 0;
  for (const piece of isSymlink(header.mode) ? [] : inflateRaw([data.subarray(length)])) {
    found += piece.length;
    if (found > size) throw malformed(`${name}: header says ${size} bytes of content, it has more`);
    hash.update(piece);
    verity.update(piece);
  }
  requireName(name, hash.digest('hex'));
  if (!isSymlink(header.mode) && BigInt(found) !== size)
    throw malformed(`${name}: header says ${size} bytes of content, it has ${found}`);
  return { header, size: found, verity: found > 0 ? hexOf(verity.digest()) : undefined };
}

function requireName(name: string, found: string): void {
  if (!name.startsWith(found))
    throw new SealtreeError('mismatch', `${name}: has the checksum ${found}`, { found });
}
