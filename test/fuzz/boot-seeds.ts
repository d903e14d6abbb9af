/** What the boots of the fuzz runs are made of: deployed disks, commits and keys of the vectors. @module */
import { decodeCommit } from '../../src/core/ostree/commit.ts';
import { composefsDigest } from '../../src/core/ostree/metadata.ts';
import { deployedDisk } from '../deployed-disk.ts';
import { file, type MemoryFile } from '../memory-system.ts';
import type { BootSeeds } from './boot-cases.ts';
import { keyPairs, objectSeeds } from './seeds.ts';

export function bootSeeds(): BootSeeds {
  return {
    disks: [disk('yes'), disk('signed')],
    commits: objectSeeds('commit'),
    keyPairs: keyPairs(),
  };
}

/**
 * The ostree folder of a deployed disk, of the objects the commits alone. The image has the digest that the commit
 * names: the disks were made where there is no fs-verity, and an image without digests was deployed.
 */
function disk(name: 'yes' | 'signed'): [string, MemoryFile][] {
  const { tree, deployment } = deployedDisk(name);
  const wanted = [...tree].filter(
    ([path]) =>
      path.startsWith('/sysroot/ostree/') && (!path.includes('/objects/') || /\.commit(meta)?$/.test(path)),
  );
  const [, commit] = wanted.find(([path]) => path.endsWith('.commit')) as [string, MemoryFile];
  const verity = composefsDigest(decodeCommit(commit.data as Uint8Array, name)) as string;
  return wanted.map(([path, node]) => [
    path,
    path === `${deployment}/.ostree.cfs` ? file('image', { verity }) : node,
  ]);
}
