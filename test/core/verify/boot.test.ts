import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { portableHash } from '../../../src/core/hash.ts';
import { decideBoot } from '../../../src/core/verify/boot.ts';
import { DIRECTORY, file, link, memorySystem } from '../../memory-system.ts';

const COMMIT = 'a'.repeat(64);
const DEPLOYMENT = `/sysroot/ostree/deploy/os/deploy/${COMMIT}.0`;

describe('decideBoot', () => {
  it('follows ostree= and plans the boot', () => {
    const tree = new Map([
      [DEPLOYMENT, DIRECTORY],
      ['/sysroot/ostree/boot.1', link('boot.1.1')],
      ['/sysroot/ostree/boot.1.1/os/sum/0', link(`../../../deploy/os/deploy/${COMMIT}.0`)],
      [`${DEPLOYMENT}/.ostree.cfs`, file('image')],
      ['/usr/lib/ostree/prepare-root.conf', file('[composefs]\nenabled=yes\n')],
    ]);
    const decision = decideBoot(memorySystem(tree), portableHash, {
      cmdline: byteString('root=x rw ostree=/ostree/boot.1/os/sum/0'),
      sysroot: byteString('/sysroot'),
      root: byteString(''),
      initramfs: true,
      sysrootWritable: true,
      kernel: { release: byteString('6.1.0'), features: { loop: true } },
    });
    expect(decision.refusal).toBeUndefined();
    expect(decision.notices).toEqual(['sysroot.readonly configuration value: 1 (fs writable: 1)']);
    expect(decision.target).toMatchObject({ commit: COMMIT, stateroot: 'os' });
    expect(decision.plan?.steps.length).toBeGreaterThan(10);
  });
});
