/**
 * 100,000 boots of which something was changed, from the configuration to what stands in a file's place: none may end
 * in anything but a plan or a refusal, and none may have a plan that should not be.
 */
import { expect, it } from 'vitest';
import { decodeCommit } from '../../src/core/ostree/commit.ts';
import { composefsDigest } from '../../src/core/ostree/metadata.ts';
import { deployedDisk } from '../deployed-disk.ts';
import { file, type MemoryFile } from '../memory-system.ts';
import type { BootSeeds } from './boot-cases.ts';
import { FUZZ_DIVISOR, fuzz } from './fuzz.ts';
import { keyPairs, objectSeeds } from './seeds.ts';

it('boots end in a plan only if nothing that counts was changed', async () => {
  const { targets, failures } = await fuzz('boot-worker.ts', seeds(), {
    'core/sign/ed25519.ts': 'remembered-signatures.ts',
  });
  expect(failures.join('\n\n')).toBe('');
  for (const { accepted, passed, cases, refusedBy } of targets) {
    expect(passed).toBeGreaterThanOrEqual(cases / 2);
    expect(accepted).toBeGreaterThanOrEqual(cases / 10);
    // Every check has had something to refuse.
    if (FUZZ_DIVISOR <= 10) expect(Object.keys(refusedBy).length).toBeGreaterThanOrEqual(10);
  }
});

function seeds(): BootSeeds {
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
