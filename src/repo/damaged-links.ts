/**
 * Links between objects read from a repository that may be damaged: what can be followed is followed, so that fsck
 * reaches all that is left; that an object is not what its name says comes out when it is checked itself.
 * @module
 */
import { hexOf } from '../core/bytes/hex.ts';
import { SealtreeError } from '../core/errors.ts';
import { decodeVariant } from '../core/gvariant/decode.ts';
import type { Value } from '../core/gvariant/value.ts';
import { COMMIT_TYPE } from '../core/ostree/commit.ts';
import { DIRTREE_TYPE } from '../core/ostree/dirtree.ts';
import type { LinkSource, TreeLinks } from './reachable.ts';
import type { Repo } from './repo.ts';

const NOTHING: TreeLinks = { files: [], dirs: [] };

/** A dirtree that is not there is an error, as in the real tool: what hangs on it cannot be checked. */
export function damagedLinks(repo: Repo): LinkSource {
  return {
    commit(checksum) {
      const data = repo.rawObject('commit', checksum);
      if (data === undefined) return undefined;
      const value = tryDecode(COMMIT_TYPE, data);
      const dirtree = checksumIn(value?.[6]);
      const dirmeta = checksumIn(value?.[7]);
      return { root: dirtree === undefined || dirmeta === undefined ? undefined : { dirtree, dirmeta } };
    },
    dirtree(checksum) {
      const data = repo.rawObject('dirtree', checksum);
      if (data === undefined) {
        throw new SealtreeError('missing', `No such metadata object ${checksum}.dirtree`, { checksum });
      }
      const value = tryDecode(DIRTREE_TYPE, data);
      return value === undefined ? NOTHING : linksIn(value);
    },
  };
}

function tryDecode(type: string, data: Uint8Array): Value[] | undefined {
  try {
    return decodeVariant(type, data, '') as Value[];
  } catch {
    return undefined;
  }
}

function linksIn([files, dirs]: readonly Value[]): TreeLinks {
  const links: { files: { checksum: string }[]; dirs: { dirtree: string; dirmeta: string }[] } = {
    files: [],
    dirs: [],
  };
  for (const [, content] of files as Value[][]) {
    const checksum = checksumIn(content);
    if (checksum !== undefined) links.files.push({ checksum });
  }
  for (const [, content, meta] of dirs as Value[][]) {
    const dirtree = checksumIn(content);
    const dirmeta = checksumIn(meta);
    if (dirtree !== undefined && dirmeta !== undefined) links.dirs.push({ dirtree, dirmeta });
  }
  return links;
}

function checksumIn(value: Value | undefined): string | undefined {
  return value instanceof Uint8Array && value.length === 32 ? hexOf(value) : undefined;
}
