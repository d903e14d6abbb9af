import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { portableHash } from '../../../src/core/hash.ts';
import { explainPlan } from '../../../src/core/verify/explain.ts';
import { checkMounted } from '../../../src/core/verify/mounted.ts';
import { planSoftReboot } from '../../../src/core/verify/soft-reboot.ts';
import { deployedDisk, goldenKey } from '../../deployed-disk.ts';
import { file, link, type MemoryTree, memorySystem } from '../../memory-system.ts';

const DIGEST = 'c6c8d4aaec2ba8b33b1d0ef6445dea44ec6eab9d9458796288ae1c78ca0725a2';

function soft(conf: string, change?: (tree: MemoryTree, deployment: string) => void, cmdline = '') {
  const { tree, deployment } = deployedDisk('signed');
  tree.set(`${deployment}/.ostree.cfs`, file('image', { verity: DIGEST }));
  tree.set(`${deployment}/usr/lib/ostree/prepare-root.conf`, file(conf));
  tree.set('/etc/ostree/initramfs-root-binding.key', file(`${goldenKey('a')}\n`));
  change?.(tree, deployment);
  return planSoftReboot(memorySystem(tree), portableHash, {
    cmdline: byteString(cmdline),
    sysroot: byteString('/sysroot'),
    deployment: byteString(deployment),
    kernel: { release: byteString('6.12.0'), features: {} },
  });
}

const SIGNED = '[composefs]\nenabled=signed\n[etc]\ntransient=true\n';

describe('planSoftReboot', () => {
  it("makes the next root ready by the target's configuration and the running system's keys", () => {
    const decision = soft(SIGNED);
    expect(decision.refusal).toBeUndefined();
    const words = explainPlan(decision.plan ?? { steps: [] }).map((line) => line.replace(/^ *\d+\. /, ''));
    // Order: ostree admin prepare-soft-reboot 2026.4.
    expect(words[0]).toBe('create directory /run/nextroot (mode 0755)');
    expect(words[1]).toBe('bind /sysroot to /sysroot');
    expect(words.join('\n')).toContain('mount overlay at /run/nextroot: source=composefs');
    expect(words.join('\n')).toContain('bind /sysroot/boot to /run/nextroot/boot');
    expect(words.join('\n')).toContain('lowerdir+=/run/nextroot/usr/etc');
    expect(words.slice(-3, -1)).toEqual([
      'bind /sysroot to /run/nextroot/sysroot',
      'remount /run/nextroot/sysroot read-only',
    ]);
    expect(words.at(-1)).toMatch(/^write \/run\/ostree\/nextroot-booted: .*sysroot-ro=true$/);
    expect(words.join('\n')).not.toContain('move mount');
  });

  it('can be looked at afterwards', () => {
    const { plan } = soft(
      '[composefs]\nenabled=verity\n',
      (tree) => void tree.delete('/sysroot/boot/loader'),
    );
    if (plan === undefined) throw new Error('no plan');
    const deployment =
      '/ostree/deploy/golden/deploy/89824b2792ed896a87e87cf1e913d569dbe0f71718e2d6e6daf0b33681f7fb28.0';
    const before = [
      '40 1 0:40 / / ro - overlay composefs ro',
      '41 40 8:1 /root /sysroot ro - ext4 /dev/sda rw',
      '',
    ];
    const mounts = [
      ...before.slice(0, -1),
      '50 40 0:50 / /run/nextroot ro - overlay composefs ro,lowerdir+=/run/ostree/.private/cfsroot-lower,datadir+=/sysroot/ostree/repo/objects,verity=require',
      `51 50 8:1 /root${deployment}/etc /run/nextroot/etc rw - ext4 /dev/sda rw`,
      '52 50 8:1 /root /run/nextroot/sysroot ro - ext4 /dev/sda rw',
      '',
    ].join('\n');
    const check = (text: string) => checkMounted(plan, byteString(before.join('\n')), byteString(text));
    expect(check(mounts)).toEqual([]);
    expect(check(mounts.replace(',verity=require', ''))).toHaveLength(1);
    // The bind over /sysroot that a soft reboot needs in between.
    const again = '53 41 8:1 /root /sysroot ro - ext4 /dev/sda rw\n';
    expect(check(mounts + again)[0]?.message).toBe('/sysroot: is still mounted');
  });

  it('binds /boot only where it is on the disk and the target has a place for it', () => {
    const binds = (change?: (tree: MemoryTree, deployment: string) => void) =>
      JSON.stringify(soft(SIGNED, change).plan).includes('/run/nextroot/boot');
    expect(binds()).toBe(true);
    expect(binds((tree) => void tree.set('/sysroot/boot/loader', file('')))).toBe(false);
    expect(binds((tree, deployment) => void tree.set(`${deployment}/boot`, link('x')))).toBe(false);
  });

  it('follows links to the target, which must be on the disk', () => {
    const at = (path: string) => {
      const { tree, deployment } = deployedDisk('signed');
      tree.set(`${deployment}/usr/lib/ostree/prepare-root.conf`, file('[composefs]\nenabled=yes\n'));
      tree
        .set('/next', link(deployment))
        .set('/elsewhere/usr/lib/ostree/prepare-root.conf', file('[composefs]\nenabled=yes\n'));
      return planSoftReboot(memorySystem(tree), portableHash, {
        cmdline: byteString(''),
        sysroot: byteString('/sysroot'),
        deployment: byteString(path),
        kernel: { release: byteString('6.12.0'), features: {} },
      });
    };
    expect(at('/next').plan).toEqual(at(deployedDisk('signed').deployment).plan);
    expect(at('/next').plan).toBeDefined();
    expect(at('/none').refusal).toMatchObject({
      check: 'deployment',
      message: '/none: No such file or directory',
    });
    expect(at('/elsewhere').refusal?.message).toContain('leads out of ostree/deploy');
  });

  it('needs composefs', () => {
    for (const conf of ['', '[composefs]\nenabled=maybe\n'])
      expect(soft(conf).refusal?.message).toBe('soft reboot not supported without composefs');
  });

  it('holds the target against what the running system was sealed with', () => {
    const sealed = (text: string) => (tree: MemoryTree) =>
      void tree.set('/run/ostree/sealed.conf', file(text));
    const keys = `[keys]\ntrusted=${goldenKey('a')}\n`;
    expect(soft(SIGNED, sealed(`[sealed]\nmode=signed\n${keys}`)).refusal).toBeUndefined();
    expect(
      soft('[composefs]\nenabled=verity\n', sealed(`[sealed]\nmode=signed\n${keys}`)).refusal,
    ).toMatchObject({
      check: 'mode',
      expected: 'signed',
      found: 'verity',
    });
    // The target may demand more than the running system.
    expect(
      soft(SIGNED, sealed(`[sealed]\nmode=verity\n${keys.replace(goldenKey('a'), goldenKey('b'))}`)).refusal,
    ).toMatchObject({
      check: 'signature',
    });
    expect(soft(SIGNED, sealed('[sealed]\nmode=wrong\n')).refusal?.check).toBe('sealed file');
    expect(soft(SIGNED, sealed('[sealed]\nmode=wrong\n')).onRefusal).toBe('emergency');
  });

  it('does not let the running command line lower what the target says', () => {
    expect(soft(SIGNED, undefined, 'ostree.prepare-root.composefs=1').refusal?.message).toContain(
      'would turn off the signature check',
    );
  });
});
