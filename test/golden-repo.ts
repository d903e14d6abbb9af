/**
 * The golden repositories among the test vectors, as objects by name; test/vectors/ostree/ORIGIN.md says how they were made.
 * @module
 */
import { chmodSync, lchownSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { byteString } from '../src/core/bytes/byte-string.ts';
import { setXattr } from '../src/node/syscalls.ts';
import { readTar, type TarEntry } from './tar.ts';

const FOLDER = fileURLToPath(new URL('./vectors/ostree/', import.meta.url));

export const GOLDEN_TREES = ['empty', 'basic', 'perms', 'xattrs', 'unicode', 'links', 'os'] as const;

/** What the real tool said of a commit. */
export interface GoldenCommit {
  readonly commit_hex: string;
  readonly commitmeta_hex?: string;
  readonly root_dirtree: string;
  readonly root_dirmeta: string;
  readonly composefs_digest_v0: string | null;
  readonly show_raw: string;
  readonly ls_RCX: string;
  readonly cfs_image?: { readonly size: number; readonly sha256: string; readonly fsverity: string };
}

export interface GoldenTree {
  readonly variants: Record<
    string,
    {
      readonly args: readonly string[];
      readonly by_mode: Record<string, string>;
      readonly commits: Record<string, GoldenCommit>;
    }
  >;
  readonly repos: Record<string, unknown>;
}

export function goldenTree(tree: string): GoldenTree {
  return JSON.parse(readFileSync(`${FOLDER}${tree}/expected.json`, 'utf8'));
}

/** All commits of a golden tree, each once, by checksum. */
export function goldenCommits(tree: string): Map<string, GoldenCommit> {
  return new Map(Object.values(goldenTree(tree).variants).flatMap(({ commits }) => Object.entries(commits)));
}

/** Path of the packed repository of a golden tree. */
export function goldenRepoPath(tree: string, mode: string): string {
  return `${FOLDER}${tree}/repo-${mode}.tar.gz`;
}

/** The objects of a golden repository by `CHECKSUM.EXTENSION`. */
export function goldenObjects(tree: string, mode: string): Map<string, TarEntry> {
  const objects = new Map<string, TarEntry>();
  for (const entry of readTar(goldenRepoPath(tree, mode))) {
    const match = /\/objects\/([0-9a-f]{2})\/([0-9a-f]{62}\..*)$/.exec(entry.name);
    if (match !== null) objects.set(`${match[1]}${match[2]}`, entry);
  }
  return objects;
}

/** The golden repository of the archive mode: the bytes of its objects by `CHECKSUM.EXTENSION`. */
export function goldenArchive(tree: string): Map<string, Uint8Array> {
  return new Map([...goldenObjects(tree, 'archive')].map(([name, { data }]) => [name, data]));
}

/**
 * Unpacks a golden repository. As another user than root everything belongs to that user, and `trusted.` attributes
 * are left out.
 *
 * @returns the repository's path
 */
export function unpackGoldenRepo(tree: string, mode: string, into: string): string {
  const isRoot = process.getuid?.() === 0;
  const entries = readTar(goldenRepoPath(tree, mode));
  const pathOf = (name: string) => Buffer.from(join(into, name), 'latin1');
  for (const { name, type, data, target, xattrs, uid, gid, mode: bits } of entries) {
    const path = pathOf(name);
    if (type === 'directory') mkdirSync(path, { recursive: true });
    else if (type === 'symlink') symlinkSync(Buffer.from(target, 'latin1'), path);
    else writeFileSync(path, type === 'hardlink' ? readFileSync(pathOf(target)) : data);
    if (isRoot) lchownSync(path, uid, gid);
    for (const [key, value] of xattrs) {
      if (!isRoot && !key.startsWith('user.')) continue;
      setXattr(
        byteString(path.toString('latin1')),
        byteString(key),
        byteString(Buffer.from(value).toString('latin1')),
      );
    }
    if (type !== 'symlink') chmodSync(path, bits & 0o7777);
  }
  return join(into, (entries[0] as TarEntry).name.split('/')[0] as string);
}
