/** Files of a repository by their inodes, to recognise hard links to them in a checkout that is committed again. @module */
import { lstatSync } from 'node:fs';
import { fsPath } from '../node/fs-path.ts';
import type { FileStatus } from '../node/syscalls.ts';
import type { Repo } from '../repo/repo.ts';

/**
 * Looks at every file object of a repository once.
 *
 * @returns checksums by {@link hardLinkKey}; empty for an archive, whose objects no checkout links to
 */
export function scanLinks(repo: Repo): Map<string, string> {
  const links = new Map<string, string>();
  if (repo.mode === 'archive') return links;
  repo.forEachObject((type, checksum) => {
    if (type !== 'file') return;
    const stat = lstatSync(fsPath(repo.objectFile('file', checksum)), {
      throwIfNoEntry: false,
      bigint: true,
    });
    if (stat !== undefined) links.set(`${stat.dev}:${stat.ino}`, checksum);
  });
  return links;
}

export function hardLinkKey({ dev, ino }: Pick<FileStatus, 'dev' | 'ino'>): string {
  return `${dev}:${ino}`;
}
