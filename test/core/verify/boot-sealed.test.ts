import { describe, expect, it } from 'vitest';
import { COMPOSEFS_DIGEST_KEY } from '../../../src/core/ostree/metadata.ts';
import { bootLine, refusalLines } from '../../../src/core/verify/explain-boot.ts';
import {
  addCommit,
  addDeployment,
  bootTree,
  COMMIT,
  CONF,
  changed,
  configured,
  decide,
  deploymentAt,
  expectBoot,
  expectRefusal,
  KEY_FILE,
  makeCommit,
  OSTREE,
  objectAt,
  put,
  SEALED_FILE,
  SIGNED_CONF,
  sealedTree,
  signatures,
  text,
  VERITY_CONF,
  YES_CONF,
} from '../../boot-tree.ts';
import { goldenKey } from '../../deployed-disk.ts';
import { DIRECTORY, file, link, type MemoryTree } from '../../memory-system.ts';

describe('an initramfs that is not sealed', () => {
  it('only warns of what a sealed one refuses', () => {
    expectBoot(decide(configured(SIGNED_CONF.replace('true', 'false'))), '/etc is persistent');
    expectBoot(decide(bootTree(), `${OSTREE} systemd.mask=x.service`), 'can lead around the verified root');
    expectBoot(
      decide(configured(`${SIGNED_CONF}[composefs]\nminimum-timestamp=1800000000\n`)),
      'commit is of 2023-11-14',
    );
    expectBoot(
      decide(configured(`${SIGNED_CONF}[composefs]\nrequire-metadata=product=two\n`)),
      'commit has product=one, expected product=two',
    );
    expectBoot(decide(configured(`${YES_CONF}minimum-timestamp=1800000000\n`)), 'commit is of 2023-11-14');
  });
});

describe('a sealed initramfs', () => {
  it('boots what is as it says', () => {
    const decision = decide(sealedTree());
    expectBoot(decision);
    expect(decision.onRefusal).toBe('poweroff');
    expect(bootLine(decision)).toContain('; mode signed, sealed; ');
    expect(decision.plan?.steps).toContainEqual({
      step: 'write file',
      path: '/run/ostree/sealed.conf',
      data: expect.stringMatching(/^\[sealed\]\nmode=signed\n/),
      mode: 0o644,
    });
    expect(decide(bootTree()).plan?.steps.some(({ step }) => step === 'write file')).toBe(false);
  });

  it('has a minimum mode', () => {
    const mode = (sealed: string, conf: string) =>
      decide(
        changed(
          (tree) => void tree.set(CONF, file(conf)),
          () => sealedTree(`[sealed]\nmode=${sealed}\n`),
        ),
      );
    expectBoot(mode('signed', SIGNED_CONF));
    expectBoot(mode('verity', VERITY_CONF));
    expectBoot(mode('yes', VERITY_CONF));
    expectRefusal(mode('signed', VERITY_CONF), 'mode', 'mode verity is weaker than signed', {
      expected: 'signed',
      found: 'verity',
    });
    expectRefusal(mode('verity', YES_CONF), 'mode', 'mode yes is weaker than verity');
    expectRefusal(mode('yes', '[composefs]\nenabled=maybe\n'), 'mode', 'mode maybe is weaker than yes');
    expectRefusal(
      decide(changed((tree) => void tree.delete(CONF), sealedTree)),
      'mode',
      'the initramfs has no prepare-root.conf: mode no is weaker than signed',
    );
    const raised = changed((tree) => void tree.set(CONF, file('[etc]\ntransient=true\n')), sealedTree);
    expectBoot(decide(raised, `${OSTREE} ostree.prepare-root.composefs=signed`));
    expectRefusal(
      decide(
        changed(
          (tree) => void tree.set(CONF, file(VERITY_CONF)),
          () => sealedTree('[sealed]\nmode=yes\n'),
        ),
        `${OSTREE} ostree.prepare-root.composefs=maybe`,
      ),
      'kernel arguments',
      'lowers the mode from verity to maybe',
    );
  });

  it('allows the kernel arguments of its list', () => {
    const allow = (list: string, cmdline: string) =>
      decide(sealedTree(`[sealed]\narguments=${list}\n`), `${cmdline} ${OSTREE}`);
    expectBoot(allow('quiet;root=*;rw;console=ttyS0', 'root=UUID=1 rw quiet console=ttyS0'));
    expectBoot(allow('', ''));
    expectRefusal(
      allow('', 'quiet'),
      'kernel arguments',
      'kernel argument quiet is not one that the sealed file allows',
      { found: 'quiet' },
    );
    expectRefusal(
      allow('quiet;console=ttyS0', 'quiet console=ttyS1'),
      'kernel arguments',
      'console=ttyS1 is not one',
    );
    // The kernel ends an argument at any white space, and takes quotation marks away.
    expectRefusal(allow('root=*', 'root=x\tinit=/bin/sh'), 'kernel arguments', 'init=/bin/sh is not one');
    expectRefusal(allow('root=*', 'root="x init=/bin/sh"'), 'kernel arguments', 'root="x is not one');
    expectRefusal(allow('root=*', 'root=x\xa0init=/bin/sh'), 'kernel arguments', 'init=/bin/sh is not one');
  });

  it('without a list allows no argument that is known to weaken', () => {
    for (const word of [
      'systemd.mask=ostree-prepare-root.service',
      'rd.systemd.mask=ostree-prepare-root.service',
      'init=/bin/sh',
      'rd.break',
      'rd.break=pre-mount',
      'systemd.unit=rescue.target',
      'rd.systemd.unit=emergency.target',
      'systemd.mount_extra=/dev/sdb:/usr',
      'systemd.mount-extra=/dev/sdb:/usr',
      'single',
      '"init=/bin/sh"',
      'rd.shell',
      'systemd.sysext=1',
      'rd.overlay=1',
      'LD_PRELOAD=/var/x.so',
      'SYSTEMD_UNIT_PATH=/var',
      's',
      'systemd.confirm_spawn=yes',
      'rd.systemd.crash-shell',
      'systemd.condition_first_boot=1',
      'systemd.pull=tar,sysext:x:https://example.org/x.tar.xz',
      'sysctl.kernel.modprobe=/var/x',
      'sysctl/kernel/core_pattern=|/var/x',
      'firmware_class.path=/var/x',
      'kgdboc=ttyS0',
    ])
      expectRefusal(
        decide(sealedTree(), `${OSTREE} ${word}`),
        'kernel arguments',
        'can lead around the verified root',
      );
    expectBoot(
      decide(
        sealedTree(),
        `${OSTREE} rw quiet root=LABEL=x console=ttyS0 rd.shell=0 rd.emergency=reboot panic=-1 rd.luks.uuid=1 systemd.log_level=debug systemd.sysext=0 systemd.crash_shell=no BOOT_IMAGE=/vmlinuz`,
      ),
    );
  });

  it('has keys of its own, whatever the key file says', () => {
    const other = changed((tree) => void tree.set(KEY_FILE, file(`${goldenKey('b')}\n`)), sealedTree);
    expectBoot(decide(other));
    expectBoot(decide(changed((tree) => void tree.delete(KEY_FILE), sealedTree)));
    expectRefusal(decide(sealedTree('', ['b'])), 'signature', 'No valid');
    expectRefusal(decide(sealedTree('[keys]\n')), 'sealed file', 'keys.trusted is missing');
  });

  it('knows revoked keys', () => {
    const [a, b] = [goldenKey('a'), goldenKey('b')];
    expectRefusal(
      decide(sealedTree(`[keys]\ntrusted=${a};${b}\nrevoked=${a}\n`)),
      'signature',
      /^commit [0-9a-f]{64} is signed with key [0-9a-f]{64}, which the sealed file revokes$/,
    );
    expectRefusal(
      decide(sealedTree(`[keys]\ntrusted=${a}\nrevoked=${a};${b}\n`)),
      'keys',
      'every trusted key is revoked',
    );
    expectBoot(decide(sealedTree(`[keys]\ntrusted=${a};${b}\nrevoked=${b}\n`)));
    const twice = sealedTree(`[keys]\ntrusted=${a};${b}\nrevoked=${a}\n`);
    twice.set(objectAt(COMMIT.checksum, 'commitmeta'), file(signatures(COMMIT.data, ['a', 'b'])));
    expectBoot(decide(twice));
  });

  it('refuses a persistent /etc unless it is told to allow it', () => {
    const persistent = (more = '') =>
      changed(
        (tree) => void tree.set(CONF, file('[composefs]\nenabled=signed\n')),
        () => sealedTree(more),
      );
    expectRefusal(decide(persistent()), 'etc', '/etc is persistent, and nothing signs it', {
      expected: 'etc.transient=true',
    });
    expectRefusal(decide(persistent('[etc]\nunsigned=refuse\n')), 'etc', '/etc is persistent');
    const allowed = decide(persistent('[etc]\nunsigned=allow\n'));
    expectBoot(allowed, '/etc is persistent and unsigned, which the sealed file allows');
    expect(bootLine(allowed)).toContain('unsigned: /etc;');
  });

  it('refuses an older commit', () => {
    const minimum = (value: string) => decide(sealedTree(`[composefs]\nminimum-timestamp=${value}\n`));
    for (const good of ['1700000000', '@1700000000', '2023-11-14T22:13:20Z', '0']) expectBoot(minimum(good));
    expectRefusal(
      minimum('1700000001'),
      'minimum timestamp',
      'commit is of 2023-11-14T22:13:20Z, expected 2023-11-14T22:13:21Z or later',
      {
        found: '2023-11-14T22:13:20Z',
      },
    );
    expectRefusal(minimum('2024-01-01'), 'minimum timestamp', 'expected 2024-01-01T00:00:00Z or later');
    expectRefusal(minimum('soon'), 'sealed file', "not a time: 'soon'");
    const both = sealedTree('[composefs]\nminimum-timestamp=1\n');
    both.set(CONF, file(`${SIGNED_CONF}[composefs]\nminimum-timestamp=1800000000\n`));
    expectRefusal(decide(both), 'minimum timestamp', 'or later');
  });

  it('refuses another product', () => {
    const demand = (list: string) => decide(sealedTree(`[composefs]\nrequire-metadata=${list}\n`));
    expectBoot(demand('product=one'));
    expectBoot(demand('product=one;version=7'));
    expectRefusal(demand('product=two'), 'required metadata', 'commit has product=one, expected product=two');
    expectRefusal(
      demand('product=one;channel=x'),
      'required metadata',
      'commit has no channel, expected channel=x',
    );
    expectRefusal(demand(`${COMPOSEFS_DIGEST_KEY}=x`), 'required metadata', 'of type ay');
    expectRefusal(demand('product'), 'sealed file', "expected KEY=VALUE, found 'product'");
  });

  it('demands them of the commit that is signed, not of what bootc made of it', () => {
    const config = text('ostree.container.image-config', '{}');
    const base = makeCommit({ timestamp: 1_600_000_000, metadata: [text('product', 'old')] });
    const derived = makeCommit({
      timestamp: 1_900_000_000,
      metadata: [config, text('product', 'one')],
      parent: base.checksum,
      keys: [],
    });
    const bootc = (more: string) =>
      decide(
        changed(
          (tree) => {
            addCommit(tree, base);
            addDeployment(tree, derived);
          },
          () => sealedTree(more),
        ),
        `ostree=${deploymentAt(derived.checksum).slice('/sysroot'.length)}`,
      );
    expectBoot(bootc(''));
    expectRefusal(bootc('[composefs]\nminimum-timestamp=1700000000\n'), 'minimum timestamp', '2020-09-13');
    expectRefusal(bootc('[composefs]\nrequire-metadata=product=one\n'), 'required metadata', 'product=old');
  });

  it('says what follows on a refusal', () => {
    const following = (more: string) => decide(sealedTree(more, ['b'])).onRefusal;
    expect(following('')).toBe('poweroff');
    expect(following('[sealed]\nrefusal=shell\n')).toBe('shell');
    expect(following('[sealed]\nrefusal=poweroff\n')).toBe('poweroff');
  });

  it('follows no sealed file with a fault in it', () => {
    for (const [textOf, message] of [
      ['nonsense', 'is not a key-value pair'],
      ['[sealed]\nmode=no\n', 'sealed.mode: expected signed or verity or yes'],
      ['[sealed]\nmdoe=signed\n', 'sealed.mdoe means nothing'],
      ['[other]\nkey=1\n', 'other.key means nothing'],
      ['[sealed]\nmode=yes\nrefusal=beep\n', 'sealed.refusal: expected poweroff or shell'],
      ['[sealed]\nmode=yes\n[etc]\nunsigned=true\n', 'etc.unsigned: expected allow or refuse'],
      ['[keys]\ntrusted=nonsense\n', 'keys.trusted: key 1: not a public key'],
      [`[keys]\ntrusted=${goldenKey('a')}\nrevoked=x\n`, 'keys.revoked: key 1: not a public key'],
    ] as const) {
      const tree = bootTree();
      tree.set(SEALED_FILE, file(textOf));
      const decision = decide(tree);
      expectRefusal(decision, 'sealed file', message);
      expect(decision.onRefusal).toBe('poweroff');
    }
    expectRefusal(decide(put(SEALED_FILE, DIRECTORY)), 'sealed file', /EISDIR/);
  });
});

describe('without ostree= among the arguments', () => {
  const [old, middle, recent] = [1, 2, 3].map((n) => makeCommit({ timestamp: 1_700_000_000 + n })) as [
    ReturnType<typeof makeCommit>,
    ReturnType<typeof makeCommit>,
    ReturnType<typeof makeCommit>,
  ];
  const search = (change: (tree: MemoryTree) => void, more = '') =>
    decide(
      changed(
        (tree) => {
          for (const commit of [old, middle, recent]) addDeployment(tree, commit);
          change(tree);
        },
        () => sealedTree(more),
      ),
      'rw',
    );

  it('the newest deployment is booted whose commit verifies', () => {
    const found = search(() => {});
    expectBoot(found);
    expect(found.target?.commit).toBe(recent.checksum);
    expect(found.signer).toBeDefined();
    expect(found.commit?.timestamp).toBe(1_700_000_003n);
    expect(found.unsigned.length).toBeGreaterThan(0);
  });

  it('is passed over what does not verify, is not whole, or not what is demanded', () => {
    const over = (change: (tree: MemoryTree) => void, message: string) => {
      const found = search(change);
      expectBoot(found, message);
      expect(found.target?.commit).toBe(middle.checksum);
    };
    over((tree) => void tree.delete(objectAt(recent.checksum, 'commitmeta')), 'No commitmeta');
    over(
      (tree) => void tree.set(objectAt(recent.checksum, 'commitmeta'), file(signatures(recent.data, ['b']))),
      'No valid',
    );
    over(
      (tree) => void tree.delete(`${deploymentAt(recent.checksum)}/.ostree.cfs`),
      'No such file or directory',
    );
    over(
      (tree) => void tree.set(`${deploymentAt(recent.checksum)}/.ostree.cfs`, file('')),
      'fsverity not enabled',
    );
    over((tree) => void tree.set(objectAt(recent.checksum, 'commit'), file('garbage')), 'is passed over');
    const foreign = makeCommit({ timestamp: 1_800_000_000, metadata: [text('product', 'two')] });
    const demanding = search(
      (tree) => addDeployment(tree, foreign),
      '[composefs]\nrequire-metadata=product=one\n',
    );
    expect(demanding.target?.commit).toBe(COMMIT.checksum);
  });

  it('of two deployments of one commit the later is taken', () => {
    const found = search((tree) => addDeployment(tree, recent, { serial: 10 }));
    expect(found.target?.deployment).toContain(`${recent.checksum}.10`);
  });

  it('only deployments count', () => {
    const forged = makeCommit({ timestamp: 1_800_000_000 });
    const found = search((tree) => {
      addCommit(tree, forged);
      tree.set('/sysroot/ostree/deploy/other', link('/tmp/other'));
      tree.set(`/tmp/other/deploy/${forged.checksum}.0`, DIRECTORY);
      tree.set(`/sysroot/ostree/deploy/os/deploy/${forged.checksum}.0`, link('/tmp/x'));
      tree.set(`/sysroot/ostree/deploy/os/deploy/${forged.checksum}.0.origin`, file(''));
    });
    expect(found.target?.commit).toBe(recent.checksum);
  });

  it('nothing is booted if none is good, and the work is bounded', () => {
    const bad = search((tree) => {
      for (const path of [...tree.keys()]) if (path.endsWith('.commitmeta')) tree.delete(path);
    });
    expectRefusal(
      bad,
      'signature',
      /No ostree target found: .*\(4 deployments, 4 tried\); the newest: .*No commitmeta/,
    );
    // As where it was named: what is to be mended.
    const { checksum } = recent;
    expect(refusalLines(bad)).toContain(
      `  file:     /ostree/repo/objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.commit`,
    );
    expect(refusalLines(bad).join('\n')).toMatch(
      /^ {2}booting: {2}os commit .*\n[\s\S]*^ {2}key: {6}[0-9a-f]{64}$/m,
    );
    const many = search((tree) => {
      for (let i = 0; i < 20; i++)
        addDeployment(tree, makeCommit({ timestamp: 1_800_000_000 + i, keys: ['b'] }));
    });
    expectRefusal(many, 'signature', '24 deployments, 8 tried');
    const unreadable = search((tree) => {
      for (const path of [...tree.keys()]) if (path.endsWith('.commit')) tree.set(path, file('garbage'));
    });
    expectRefusal(unreadable, 'signature', /\(4 deployments, 0 tried\); the newest: [0-9a-f]{64}\.commit: /);
    const none = search((tree) => {
      for (const path of [...tree.keys()]) if (path.includes('/ostree/deploy/')) tree.delete(path);
    });
    expectRefusal(none, 'deployment', /\(0 deployments, 0 tried\)$/);
    const flood = search((tree) => {
      for (let i = 0; i < 70; i++) tree.set(deploymentAt(i.toString(16).padStart(64, '0')), DIRECTORY);
    });
    expectRefusal(flood, 'deployment', 'more than 64 deployments');
  });

  it('an initramfs that is not sealed boots nothing', () => {
    expectRefusal(decide(bootTree(), 'rw'), 'deployment', 'No ostree target found');
  });
});
