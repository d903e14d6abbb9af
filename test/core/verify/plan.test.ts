import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { parsePrepareRoot } from '../../../src/core/conf/prepare-root.ts';
import { encodeVariant } from '../../../src/core/gvariant/encode.ts';
import type { Value } from '../../../src/core/gvariant/value.ts';
import { explainPlan } from '../../../src/core/verify/explain.ts';
import { type BootPlanFacts, type MountPlan, planBoot, planImage } from '../../../src/core/verify/plan.ts';

const DEPLOYMENT = '/ostree/deploy/os/deploy/abc.0';

function plan(conf: string, facts: Partial<BootPlanFacts> = {}): MountPlan {
  return planBoot({
    config: parsePrepareRoot(byteString(conf), byteString('prepare-root.conf')),
    sysroot: byteString('/sysroot'),
    deployment: byteString(DEPLOYMENT),
    hasImage: true,
    digest: undefined,
    hotfix: false,
    legacyReadonly: false,
    sysrootWritable: true,
    sealedFile: undefined,
    unnamed: false,
    ...facts,
  });
}

const step = <Name extends MountPlan['steps'][number]['step']>({ steps }: MountPlan, name: Name) =>
  steps.filter((one): one is Extract<(typeof steps)[number], { step: Name }> => one.step === name);

const overlays = (made: MountPlan) => step(made, 'mount overlay');

/** The size of the dictionary as it would be written. */
function bootedSize(made: MountPlan): number {
  const entries = step(made, 'write dictionary')[0]?.entries ?? [];
  const value = entries.map((entry): Value => {
    if (entry.type === '(tt)') return [byteString(entry.key), { type: '(tt)', value: [1n, 2n] }];
    return [byteString(entry.key), { type: entry.type, value: entry.value }];
  });
  return encodeVariant('a{sv}', value).length;
}

describe('planBoot', () => {
  it('mounts /var itself where no kernel argument tells ostree-system-generator of the deployment', () => {
    const binds = (facts: Partial<BootPlanFacts>) =>
      step(plan('[composefs]\nenabled=yes\n', facts), 'bind').filter(({ at }) => at.endsWith('/var'));
    expect(binds({ unnamed: false }).at(-1)).toMatchObject({ onlyIf: '/run/ostree/initramfs-mount-var' });
    expect(binds({ unnamed: true }).at(-1)).toEqual({
      step: 'bind',
      from: '../../var',
      at: '/sysroot.tmp/var',
    });
  });

  // Expected: mounts and calls of ostree-prepare-root 2026.4 with the same configurations.
  it('mounts a signed image read-only with verity, and refuses hotfixes', () => {
    const made = plan('[composefs]\nenabled=signed\n', { digest: 'd'.repeat(64), hotfix: true });
    expect(step(made, 'mount image')).toEqual([
      {
        step: 'mount image',
        image: `/sysroot${DEPLOYMENT}/.ostree.cfs`,
        digest: 'd'.repeat(64),
        at: '/run/ostree/.private/cfsroot-lower',
      },
    ]);
    expect(overlays(made)).toEqual([
      {
        step: 'mount overlay',
        source: 'composefs',
        lower: ['/run/ostree/.private/cfsroot-lower'],
        data: ['/sysroot/ostree/repo/objects'],
        upper: undefined,
        work: undefined,
        composefs: true,
        verity: true,
        readonly: true,
        at: '/sysroot.tmp',
      },
    ]);
    const entries = step(made, 'write dictionary')[0]?.entries.map(({ key }) => key);
    expect(entries).toEqual([
      'backing-root-device-inode',
      'root.transient',
      'root.transient-ro',
      'composefs.signed',
      'composefs',
      'composefs.verity',
      'sysroot-ro',
    ]);
    expect(made.steps.at(-1)).toEqual({ step: 'remount', path: '/sysroot/sysroot', readonly: true });
  });

  it('writes /run/ostree-booted of the size that the real program writes', () => {
    expect(bootedSize(plan('[composefs]\nenabled=yes\n'))).toBe(194);
    expect(bootedSize(plan(''))).toBe(136);
  });

  it('mounts any image with yes', () => {
    const made = plan('[composefs]\nenabled=yes\n', { hotfix: true });
    expect(step(made, 'mount image')[0]?.digest).toBeUndefined();
    expect(overlays(made).map(({ at, verity }) => [at, verity])).toEqual([
      ['/sysroot.tmp', false],
      ['/sysroot.tmp/usr', false],
    ]);
  });

  it('binds the deployment where there is no image', () => {
    for (const made of [plan(''), plan('[composefs]\nenabled=maybe\n', { hasImage: false })]) {
      expect(overlays(made)).toEqual([]);
      expect(step(made, 'bind').map(({ from, at }) => `${from} ${at}`)).toEqual([
        `/sysroot${DEPLOYMENT} /sysroot.tmp`,
        '/sysroot.tmp/usr /sysroot.tmp/usr',
        '/sysroot /sysroot.tmp/sysroot',
        '../../var /sysroot.tmp/var',
      ]);
    }
    expect(() => plan('[composefs]\nenabled=yes\n', { hasImage: false })).toThrow(
      'composefs: failed to mount: No such file or directory',
    );
    expect(() => plan('[root]\ntransient=true\n')).toThrow('Must enable composefs with root.transient');
  });

  it('decides about the disk: composefs, configuration, and without both the repository', () => {
    const readonly = (conf: string, legacyReadonly = false) =>
      plan(conf, { legacyReadonly }).steps.at(-1)?.step === 'remount';
    expect(readonly('')).toBe(false);
    expect(readonly('', true)).toBe(true);
    expect(readonly('[composefs]\nenabled=yes\n')).toBe(true);
    expect(readonly('[composefs]\nenabled=maybe\n')).toBe(false);
    expect(readonly('[composefs]\nenabled=yes\n[sysroot]\nreadonly=false\n', true)).toBe(false);
    expect(readonly('[sysroot]\nreadonly=true\n')).toBe(true);
    expect(readonly('[sysroot]\nreadonly=false\n', true)).toBe(true);
  });

  it('keeps changes of transient parts in memory', () => {
    const made = plan('[composefs]\nenabled=yes\n[root]\ntransient=true\n[etc]\ntransient=true\n');
    expect(overlays(made).map(({ at, upper, readonly }) => ({ at, upper, readonly }))).toEqual([
      { at: '/sysroot.tmp', upper: '/run/ostree/.private/root/upper', readonly: false },
      { at: '/sysroot.tmp/etc', upper: '/run/ostree/transient-etc.XXXXXX/upper', readonly: false },
    ]);
    expect(step(made, 'write dictionary')[0]?.entries.at(-1)).toEqual({
      key: 'transient-etc',
      type: 's',
      value: '/run/ostree/transient-etc.XXXXXX',
    });
    const [root] = overlays(plan('[composefs]\nenabled=yes\n[root]\ntransient-ro=true\n'));
    expect(root).toMatchObject({ readonly: true, upper: '/run/ostree/.private/root/upper' });
  });

  it('says every step in words', () => {
    const words = explainPlan(plan('[composefs]\nenabled=signed\n[etc]\ntransient=true\n', { digest: 'ab' }));
    expect(words[0]).toBe('   1. create directory /run/ostree (mode 0755); it must not exist');
    expect(words.join('\n')).toContain('verity=require,lowerdir+=/run/ostree/.private/cfsroot-lower');
    expect(words.join('\n')).not.toContain('undefined');
    expect(explainPlan(plan('')).join('\n')).not.toContain('undefined');
  });
});

describe('planImage', () => {
  it('is two mounts, one of which goes again', () => {
    const made = planImage({
      image: byteString('image.cfs'),
      digest: undefined,
      verity: false,
      data: [byteString('objects')],
      lower: byteString('LOWER'),
      at: byteString('HERE'),
      readonly: false,
    });
    expect(explainPlan(made)).toEqual([
      '  1. mount image image.cfs (any) as EROFS at LOWER',
      '  2. mount overlay at HERE: source=composefs,metacopy=on,redirect_dir=on,lowerdir+=LOWER,datadir+=objects',
      '  3. detach LOWER',
    ]);
  });
});
