/**
 * 100,000 boots of which something was changed, from the configuration to what stands in a file's place: none may end
 * in anything but a plan or a refusal, and none may have a plan that should not be.
 */
import { expect, it } from 'vitest';
import { decodeCommit } from '../../src/core/ostree/commit.ts';
import { composefsDigest } from '../../src/core/ostree/metadata.ts';
import { DIRECTORY, file, link, type MemoryFile } from '../memory-system.ts';
import { readTar } from '../tar.ts';
import type { BootSeeds } from './boot-cases.ts';
import { FUZZ_DIVISOR, fuzz } from './fuzz.ts';
import { keyPairs, objectSeeds, vectorPath } from './seeds.ts';

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
    disks: ['yes', 'signed'].map(disk),
    commits: objectSeeds('commit'),
    keyPairs: keyPairs(),
  };
}

/**
 * The ostree folder of a deployed disk, of the objects the commits alone. The images have the digests that the commits
 * name: the disks were made where there is no fs-verity, and an image without digests was deployed.
 */
function disk(name: string): [string, MemoryFile][] {
  const entries = readTar(vectorPath(`ostree/deploy/sysroot-${name}.tar.gz`));
  const digests = entries
    .filter((entry) => entry.name.endsWith('.commit'))
    .map(({ data }) => composefsDigest(decodeCommit(data, name)));
  return entries.flatMap((entry): [string, MemoryFile][] => {
    const path = entry.name.replace(/^[^/]+/, '/sysroot');
    if (!path.startsWith('/sysroot/ostree/')) return [];
    if (path.includes('/objects/') && !/\.commit(meta)?$/.test(path)) return [];
    if (entry.type === 'symlink') return [[path, link(entry.target)]];
    if (entry.type === 'directory') return [[path, DIRECTORY]];
    if (entry.type !== 'file') return [];
    if (!path.endsWith('/.ostree.cfs')) return [[path, file(entry.data)]];
    return [[path, file('image', { verity: digests[0] as string })]];
  });
}
