/** A disk that `ostree admin deploy` made, as a tree in memory at /sysroot. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DIRECTORY, file, link, type MemoryTree } from './memory-system.ts';
import { readTar } from './tar.ts';

const VECTORS = fileURLToPath(new URL('./vectors/ostree/', import.meta.url));

export interface DeployedDisk {
  readonly tree: MemoryTree;
  /** `/sysroot/ostree/deploy/golden/deploy/CHECKSUM.0`. */
  readonly deployment: string;
  readonly commit: string;
  /** The argument `ostree=…` of its boot entry. */
  readonly argument: string;
}

/** @param name what its prepare-root.conf says: `signed` signs with key a */
export function deployedDisk(name: 'yes' | 'signed'): DeployedDisk {
  const tree: MemoryTree = new Map();
  for (const entry of readTar(`${VECTORS}deploy/sysroot-${name}.tar.gz`)) {
    const path = `/sysroot${entry.name.slice(name.length).replace(/\/$/, '')}`;
    if (entry.type === 'directory') tree.set(path, DIRECTORY);
    else if (entry.type === 'symlink') tree.set(path, link(entry.target));
    else if (entry.type === 'file') tree.set(path, file(entry.data));
  }
  const paths = [...tree.keys()];
  const deployment = paths.find((path) => /\/deploy\/[0-9a-f]{64}\.0$/.test(path)) as string;
  const boot = paths.find((path) => /^\/sysroot\/ostree\/boot\.1\.1\/.*\/0$/.test(path)) as string;
  return {
    tree,
    deployment,
    commit: deployment.slice(-66, -2),
    argument: `ostree=${boot.slice('/sysroot'.length).replace('boot.1.1', 'boot.1')}`,
  };
}

/** A golden public key in base64. */
export function goldenKey(name: 'a' | 'b' | 'wrong'): string {
  return readFileSync(`${VECTORS}keys/${name}.public`, 'latin1').trim();
}
