import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../../src/core/bytes/hex.ts';
import { parseSealed } from '../../../src/core/conf/sealed.ts';
import { portableHash } from '../../../src/core/hash.ts';
import { decideBoot } from '../../../src/core/verify/boot.ts';
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

  describe('of a sealed boot', () => {
    /** What a boot with this configuration in the initramfs keeps of its sealed file. */
    const kept = (conf: string, sealed: string) => {
      const { tree, argument, deployment } = deployedDisk('signed');
      tree.set(`${deployment}/.ostree.cfs`, file('image', { verity: DIGEST }));
      tree.set('/usr/lib/ostree/prepare-root.conf', file(conf));
      tree.set('/usr/lib/sealtree/sealed.conf', file(sealed));
      tree.set('/etc/ostree/initramfs-root-binding.key', file(`${goldenKey('a')}\n`));
      const { plan, refusal } = decideBoot(memorySystem(tree), portableHash, {
        cmdline: byteString(argument),
        sysroot: byteString('/sysroot'),
        root: byteString(''),
        initramfs: true,
        sysrootWritable: true,
        kernel: { release: byteString('6.12.0'), features: {} },
      });
      const step = plan?.steps.find(({ step }) => step === 'write file');
      if (step?.step !== 'write file') throw new Error(refusal?.message ?? 'nothing is kept');
      return step.data;
    };

    it('is held against what its own configuration demanded beyond the sealed file', () => {
      const demands = '[composefs]\nenabled=signed\nminimum-timestamp=1600000000\n[etc]\ntransient=true\n';
      const text = kept(demands, '[sealed]\nmode=verity\n');
      expect(parseSealed(text, byteString('kept'))).toMatchObject({
        mode: 'signed',
        trusted: [{ hex: hexOf(Buffer.from(goldenKey('a'), 'base64')) }],
        demands: { minimumTimestamp: 1600000000n },
      });
      const keep = (tree: MemoryTree) => void tree.set('/run/ostree/sealed.conf', file(text));
      expect(soft(SIGNED, keep).refusal).toBeUndefined();
      const verity = soft('[composefs]\nenabled=verity\n[etc]\ntransient=true\n', keep);
      expect(verity.refusal).toMatchObject({ check: 'mode', expected: 'signed', found: 'verity' });
      // The key that the target names, and that lies where anybody could put it, does not count.
      const other = soft(`${SIGNED}[composefs]\nkeypath=/var/key\n`, (tree) => {
        keep(tree);
        tree.set('/var/key', file(`${goldenKey('wrong')}\n`));
      });
      expect(other.policy?.keys.map(({ hex }) => hex)).toEqual([
        hexOf(Buffer.from(goldenKey('a'), 'base64')),
      ]);
    });

    it('keeps the sealed file where nothing demanded more', () => {
      const sealed = `[sealed]\nmode=signed\nrefusal=poweroff\n\n[keys]\ntrusted=${goldenKey('a')}\n`;
      expect(kept(SIGNED, sealed)).toBe(sealed);
    });

    // Half of the values are left out: most of those that are there lead to a refusal.
    const value = (...values: string[]) => fc.option(fc.constantFrom(...values), { nil: undefined, freq: 2 });
    const conf = fc
      .record({
        enabled: value('signed', 'signed', 'signed', 'verity', 'yes', 'maybe', 'no', '0', 'wrong'),
        keypath: value('/var/key', '/none', '/etc/ostree/initramfs-root-binding.key'),
        keyfile: value('/var/key'),
        timestamp: value('0', '1', '1800000000'),
        metadata: value('', 'version=none'),
        etc: value('true', 'false'),
        root: value('transient=true', 'transient-ro=true', 'transient=wrong'),
        sysroot: value('readonly=false'),
        sealed: value('[sealed]\nmode=yes\n', '[keys]\ntrusted=\n', '[etc]\nunsigned=allow\n'),
      })
      .map(({ enabled, keypath, keyfile, timestamp, metadata, etc, root, sysroot, sealed }) => {
        const lines = (group: string, values: Readonly<Record<string, string | undefined>>) =>
          Object.entries(values).reduce(
            (text, [key, found]) => (found === undefined ? text : `${text}${key}=${found}\n`),
            `[${group}]\n`,
          );
        return [
          lines('composefs', {
            enabled,
            keypath,
            keyfile,
            'minimum-timestamp': timestamp,
            'require-metadata': metadata,
          }),
          lines('etc', { transient: etc }),
          `[root]\n${root ?? ''}\n[sysroot]\n${sysroot ?? ''}\n${sealed ?? ''}`,
        ].join('');
      });

    it('is never weaker than the sealed file, whatever the target says', () => {
      const sealed = `[sealed]\nmode=signed\n[keys]\ntrusted=${goldenKey('a')};${goldenKey('b')}\nrevoked=${goldenKey('b')}\n[composefs]\nminimum-timestamp=1500000000\n`;
      let planned = 0;
      fc.assert(
        fc.property(conf, fc.option(conf, { nil: undefined }), (vendor, own) => {
          const { plan, policy } = soft(vendor, (tree, deployment) => {
            tree
              .set('/run/ostree/sealed.conf', file(sealed))
              .set('/var/key', file(`${goldenKey('wrong')}\n`));
            if (own !== undefined) tree.set(`${deployment}/etc/ostree/prepare-root.conf`, file(own));
          });
          if (plan === undefined) return;
          planned++;
          expect(policy?.mode).toBe('signed');
          expect(policy?.keys.map(({ hex }) => hex)).toEqual([hexOf(Buffer.from(goldenKey('a'), 'base64'))]);
          expect(policy?.demands.minimumTimestamp).toBeGreaterThanOrEqual(1500000000n);
          expect(plan.steps).toContainEqual(expect.objectContaining({ step: 'mount image', digest: DIGEST }));
          const overlays = plan.steps.filter(({ step }) => step === 'mount overlay');
          expect(overlays).toEqual([
            expect.objectContaining({ at: '/run/nextroot', verity: true }),
            // /etc is taken from the image.
            expect.objectContaining({ at: '/run/nextroot/etc', lower: ['/run/nextroot/usr/etc'] }),
          ]);
          expect(plan.steps.at(-2)).toMatchObject({ path: '/run/nextroot/sysroot', readonly: true });
        }),
        { numRuns: 1000 },
      );
      expect(planned).toBeGreaterThan(5);
    });
  });

  it('does not let the running command line lower what the target says', () => {
    expect(soft(SIGNED, undefined, 'ostree.prepare-root.composefs=1').refusal?.message).toContain(
      'would turn off the signature check',
    );
  });
});
