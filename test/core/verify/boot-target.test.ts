import { expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { portableHash } from '../../../src/core/hash.ts';
import { decideBoot } from '../../../src/core/verify/boot.ts';
import { deployedDisk, goldenKey } from '../../deployed-disk.ts';
import { DIRECTORY, file, link, type MemoryTree, memorySystem } from '../../memory-system.ts';

function refusalOf(tree: MemoryTree, cmdline: string): string | undefined {
  const decision = decideBoot(memorySystem(tree), portableHash, {
    cmdline: byteString(cmdline),
    sysroot: byteString('/sysroot'),
    root: byteString(''),
    initramfs: true,
    sysrootWritable: true,
    kernel: { release: byteString('6.12.0'), features: { loop: true } },
  });
  expect(decision.plan === undefined).toBe(decision.refusal !== undefined);
  return decision.refusal?.message;
}

it.each(['no', 'yes', 'maybe'])(
  'a target that is not on the disk is refused with composefs.enabled=%s',
  (mode) => {
    const { tree } = deployedDisk('yes');
    const elsewhere = `/ostree/deploy/os/deploy/${'a'.repeat(64)}.0`;
    tree.set(elsewhere, DIRECTORY);
    tree.set('/sysroot/ostree/boot.1.1/elsewhere', link(elsewhere));
    tree.set('/usr/lib/ostree/prepare-root.conf', file(`[composefs]\nenabled=${mode}\n`));
    expect(refusalOf(tree, 'ostree=/ostree/boot.1/elsewhere')).toBe(
      `OSTree target leads out of ostree/deploy of the physical root, to ${elsewhere}`,
    );
  },
);

it('deployments are not looked for where a link in place of ostree/deploy leads', () => {
  const { tree } = deployedDisk('signed');
  for (const [path, node] of [...tree]) {
    if (!path.startsWith('/sysroot/ostree/deploy')) continue;
    tree.delete(path);
    tree.set(path.replace('/sysroot/ostree/deploy', '/run/other'), node);
  }
  tree.set('/sysroot/ostree/deploy', link('/run/other'));
  tree.set('/usr/lib/ostree/prepare-root.conf', file('[composefs]\nenabled=signed\n[etc]\ntransient=true\n'));
  tree.set('/usr/lib/sealtree/sealed.conf', file(`[keys]\ntrusted=${goldenKey('a')}\n`));
  expect(refusalOf(tree, 'quiet')).toBe(
    'OSTree target leads out of ostree/deploy of the physical root, to /run/other',
  );
});

it('an empty link leads nowhere', () => {
  const { tree, deployment, argument } = deployedDisk('yes');
  for (const path of [...tree.keys()]) if (path.startsWith(deployment)) tree.delete(path);
  tree.set(deployment, link(''));
  expect(refusalOf(tree, argument)).toMatch(/^realpath\(.*\) failed: No such file or directory$/);
});
