/** Deleting objects that nothing needs: those behind no ref and no commit that is asked for. @module */
import { readlinkSync, rmSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { fsPath } from '../node/fs-path.ts';
import { deleteObject } from './delete-object.ts';
import { lockRepository } from './lock.ts';
import { type ObjectName, reachableObjects, repositoryLinks } from './reachable.ts';
import { listCollectionRefs, listRefs } from './refs.ts';
import type { Repo } from './repo.ts';
import { writeSettings } from './write-settings.ts';

/**
 * Keeps the commits that refs lead to, without their parents, and those of `needed`.
 *
 * @throws SealtreeError if a commit that is kept is not whole: nothing is deleted then
 */
export function pruneRepository(repo: Repo, needed: readonly string[]): void {
  const lock = lockRepository(repo.path, 'exclusive', writeSettings(repo.config).lockTimeout);
  try {
    const refs: readonly ByteString[] = [
      ...listRefs(repo).values(),
      ...listCollectionRefs(repo, undefined, { remotes: false }).map(({ checksum }) => checksum),
    ];
    const kept = new Set(
      reachableObjects(repositoryLinks(repo), [...refs, ...needed]).map(
        ({ type, checksum }) => `${checksum}.${type}`,
      ),
    );
    const unneeded: ObjectName[] = [];
    repo.forEachObject((type, checksum) => {
      if (!isKept(repo, kept, { type, checksum })) unneeded.push({ type, checksum });
    });
    const tombstones = repo.config.boolean('core', 'tombstone-commits') ?? false;
    // What is cut off in the middle leaves objects that no commit needs, and no commit without its objects.
    unneeded.sort((a, b) => Number(b.type === 'commit') - Number(a.type === 'commit'));
    for (const object of unneeded) {
      if (object.type === 'commit') {
        rmSync(fsPath(byteString(`${repo.path}/state/${object.checksum}.commitpartial`)), { force: true });
      }
      deleteObject(repo, object, tombstones);
    }
  } finally {
    lock.release();
  }
}

/** Detached metadata goes with its commit, a payload link with the file that it leads to. */
function isKept(repo: Repo, kept: ReadonlySet<string>, { type, checksum }: ObjectName): boolean {
  switch (type) {
    case 'commit':
    case 'dirtree':
    case 'dirmeta':
    case 'file':
      return kept.has(`${checksum}.${type}`);
    case 'payload-link': {
      const target = readlinkSync(fsPath(repo.objectFile(type, checksum)), 'latin1');
      const [, first, rest] = /([0-9a-f]{2})\/([0-9a-f]{62})\.file$/.exec(target) ?? [];
      return kept.has(`${first}${rest}.file`);
    }
    default:
      return true;
  }
}
