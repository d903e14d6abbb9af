/** Sysroots with deployments, for tests: made, compared, removed. @module */
import { closeSync, lstatSync, mkdirSync, openSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmutable } from '../src/node/syscalls.ts';
import { compareTrees } from './compare-trees.ts';
import { removeDirectory } from './trees.ts';

/** Directories of all deployments, whether or not anything boots them. */
export function deploymentDirectories(sysroot: string): string[] {
  const deploy = join(sysroot, 'ostree/deploy');
  return namesIn(deploy).flatMap((stateroot) => {
    const folder = join(deploy, stateroot, 'deploy');
    return namesIn(folder)
      .filter((name) => !name.endsWith('.origin'))
      .map((name) => join(folder, name));
  });
}

/** Removes a sysroot whose deployments nobody may change. */
export function removeSysroot(sysroot: string): void {
  for (const directory of deploymentDirectories(sysroot)) {
    if (lstatSync(directory).isDirectory()) setMutable(directory);
  }
  removeDirectory(sysroot);
}

/** What differs between two sysroots: names, types, modes, owners, xattrs, contents, hard links, immutable bits. */
export function sysrootDifferences(a: string, b: string): readonly string[] {
  const { entries, differences } = compareTrees(a, b);
  const links = [a, b].map((root) => JSON.stringify(hardLinks(root)));
  const sealed = [a, b].map((root) => JSON.stringify(deploymentDirectories(root).sort().map(isImmutable)));
  return [
    ...(entries < 10 ? ['there is nothing to compare'] : []),
    ...differences,
    ...(links[0] === links[1] ? [] : ['hard links']),
    ...(sealed[0] === sealed[1] ? [] : ['immutable bits']),
  ];
}

/** Whether not even root may put something into it. */
export function isImmutable(directory: string): boolean {
  const probe = join(directory, '.probe');
  try {
    mkdirSync(probe);
    rmdirSync(probe);
    return false;
  } catch {
    return true;
  }
}

function setMutable(directory: string): void {
  const fd = openSync(directory, 'r');
  setImmutable(fd, false);
  closeSync(fd);
}

/** Paths that are the same file, sorted. */
function hardLinks(root: string): string[][] {
  const byInode = new Map<number, string[]>();
  const waiting = [''];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const status = lstatSync(join(root, path));
    if (status.isDirectory())
      waiting.push(...namesIn(join(root, path)).map((name) => join(path as string, name)));
    else byInode.set(status.ino, [...(byInode.get(status.ino) ?? []), path]);
  }
  return [...byInode.values()]
    .filter((paths) => paths.length > 1)
    .map((paths) => paths.sort())
    .sort((a, b) => ((a[0] as string) < (b[0] as string) ? -1 : 1));
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path, 'latin1');
  } catch {
    return [];
  }
}
