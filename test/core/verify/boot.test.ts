import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import type { BootDecision } from '../../../src/core/verify/boot-decision.ts';
import { bootJson, bootLine, refusalLines } from '../../../src/core/verify/explain-boot.ts';
import {
  bootTree,
  COMMIT,
  CONF,
  changed,
  configured,
  DEPLOYMENT,
  DIGEST,
  decide,
  deploymentAt,
  expectBoot,
  expectRefusal,
  KEY_FILE,
  OSTREE,
  objectAt,
  put,
  SIGNED_CONF,
  sealedTree,
  VERITY_CONF,
  YES_CONF,
} from '../../boot-tree.ts';
import { goldenKey } from '../../deployed-disk.ts';
import { DIRECTORY, file, link, type MemoryTree } from '../../memory-system.ts';

describe('a signed boot', () => {
  it('is planned, and says what was checked and what is booted', () => {
    const decision = decide(bootTree());
    expectBoot(decision);
    expect(decision.checks.map(({ name, status }) => `${name} ${status}`)).toEqual([
      'configuration passed',
      'kernel arguments passed',
      'keys passed',
      'etc passed',
      'kernel passed',
      'deployment passed',
      'signature passed',
      'commit name passed',
      'composefs digest passed',
      'image in the kernel passed',
    ]);
    expect(decision.target).toEqual({
      sysroot: '/sysroot',
      deployment: DEPLOYMENT.slice('/sysroot'.length),
      stateroot: 'os',
      commit: COMMIT.checksum,
    });
    expect(decision.onRefusal).toBe('emergency');
    const image = decision.plan?.steps.find(({ step }) => step === 'mount image');
    expect(image).toMatchObject({ digest: DIGEST, image: `${DEPLOYMENT}/.ostree.cfs` });
    expect(bootLine(decision)).toBe(
      `booting os commit ${COMMIT.checksum} version 7 of 2023-11-14T22:13:20Z; mode signed; signed with key ${decision.signer?.hex}; unsigned: nothing; unsigned as soon as it is made: /var/lib/extensions /var/lib/confexts /var/lib/portables /var/spool/cron /usr/local /opt /root /home`,
    );
    expect(refusalLines(decision)).toEqual([]);
  });

  it('lists what of the disk runs code without a signature', () => {
    const tree = configured(SIGNED_CONF.replace('true', 'false'));
    tree.set('/sysroot/ostree/deploy/os/var/lib/extensions', DIRECTORY);
    tree.set('/sysroot/ostree/deploy/os/var/home/user/.profile', file(''));
    const decision = decide(tree);
    expect(bootLine(decision)).toContain('; unsigned: /etc /var/lib/extensions /home;');
    expect(bootLine(decide(configured(VERITY_CONF)))).toContain('; unsigned: /;');
    expect(bootLine(decide(configured('')))).toContain('mode no; unsigned: / /etc;');
  });

  it('prints a refusal with what was booted, what failed and what to do', () => {
    const decision = decide(put(KEY_FILE, file(`${goldenKey('b')}\n`)));
    expect(refusalLines(decision)).toEqual([
      'boot refused: Failed to mount composefs: Checking commit signature: No valid (of 1) signatures found',
      `  booting:  os commit ${COMMIT.checksum}`,
      '  check:    signature',
      `  file:     /ostree/repo/objects/${COMMIT.checksum.slice(0, 2)}/${COMMIT.checksum.slice(2)}.commit`,
      expect.stringMatching(/^ {2}key: {6}[0-9a-f]{64}$/),
      expect.stringMatching(/^ {2}next: {5}boot another deployment, or sign/),
    ]);
    expect(bootJson(decision)).toMatchObject({
      commit: COMMIT.checksum,
      mode: 'signed',
      sealed: false,
      refusal: { check: 'signature', expected: null },
    });
  });
});

describe('the deployment', () => {
  it('may be named by a link or directly', () => {
    expectBoot(decide(bootTree(), `rw ${OSTREE} ostree=/other`));
    const direct = decide(bootTree(), `ostree=${DEPLOYMENT.slice('/sysroot'.length)}`);
    expectBoot(direct);
    expect(direct.target?.commit).toBe(COMMIT.checksum);
  });

  it('may be chosen by an Android boot loader', () => {
    const tree = bootTree();
    tree.set('/sysroot/ostree/root.a', link(`deploy/os/deploy/${COMMIT.checksum}.0`));
    expectBoot(decide(tree, 'androidboot.slot_suffix=_a'));
    expectBoot(decide(tree, 'androidboot.mode=normal ostree=/none'));
    expectRefusal(
      decide(tree, 'androidboot.slot_suffix=_b'),
      'deployment',
      "OSTree root '/sysroot//ostree/root.b'",
    );
    expectRefusal(
      decide(tree, 'androidboot.slot_suffix=_c'),
      'deployment',
      'androidboot.slot_suffix invalid: _c',
    );
  });

  // Words: ostree-prepare-root.c, resolve_deploy_path.
  it.each<[string, string, string, (tree: MemoryTree) => void]>([
    ['no argument', 'rw', 'No ostree target found', () => {}],
    [
      'nothing there',
      'ostree=/ostree/none',
      "Couldn't find specified OSTree root '/sysroot//ostree/none': No such",
      () => {},
    ],
    [
      'a directory that is no deployment',
      'ostree=/ostree/deploy',
      'OSTree target is not a symbolic link',
      () => {},
    ],
    [
      'a file',
      'ostree=/file',
      'OSTree target is not a symbolic link',
      (tree) => void tree.set('/sysroot/file', file('')),
    ],
    [
      'a broken link',
      'ostree=/link',
      'failed: No such file',
      (tree) => void tree.set('/sysroot/link', link('none')),
    ],
    [
      'a link to itself',
      'ostree=/link',
      'Too many levels',
      (tree) => void tree.set('/sysroot/link', link('link')),
    ],
    ['an endless name', `ostree=/${'x/'.repeat(3000)}`, 'File name too long', () => {}],
  ])('is refused: %s', (_, cmdline, message, change) => {
    expectRefusal(decide(changed(change), cmdline), 'deployment', message);
  });

  it.each<[string, (tree: MemoryTree) => void, string]>([
    [
      'outside of ostree/deploy',
      (tree) =>
        void tree
          .set('/sysroot/link', link(`elsewhere/${COMMIT.checksum}.0`))
          .set(`/sysroot/elsewhere/${COMMIT.checksum}.0`, DIRECTORY),
      'leads out of ostree/deploy',
    ],
    [
      'below a link that leads out',
      (tree) =>
        void tree
          .set('/sysroot/link', link(`ostree/deploy/other/deploy/${COMMIT.checksum}.0`))
          .set('/sysroot/ostree/deploy/other', link('../../elsewhere/os'))
          .set(`/sysroot/elsewhere/os/deploy/${COMMIT.checksum}.0`, DIRECTORY),
      'leads out of ostree/deploy',
    ],
    [
      'deeper than a deployment',
      (tree) => void tree.set('/sysroot/link', link(`${DEPLOYMENT}/usr`)).set(`${DEPLOYMENT}/usr`, DIRECTORY),
      'leads out of ostree/deploy',
    ],
    [
      'not named after a commit',
      (tree) =>
        void tree
          .set('/sysroot/link', link('ostree/deploy/os/deploy/latest'))
          .set('/sysroot/ostree/deploy/os/deploy/latest', DIRECTORY),
      'not a deployment, which is named after its commit',
    ],
    [
      'a file',
      (tree) =>
        void tree
          .set('/sysroot/link', link(`ostree/deploy/os/deploy/${'a'.repeat(64)}.0`))
          .set(deploymentAt('a'.repeat(64)), file('')),
      'not a directory',
    ],
    [
      'with a repository that is a link',
      (tree) =>
        void tree
          .set('/sysroot/link', link(DEPLOYMENT))
          .set('/sysroot/ostree/repo/objects', link('/tmp/objects'))
          .set('/tmp/objects', DIRECTORY),
      'ostree/repo/objects of the physical root leads out of it',
    ],
  ])('%s is refused where a signature is demanded, and warned of elsewhere', (_, change, message) => {
    expectRefusal(decide(changed(change), 'ostree=/link'), 'deployment', message);
    const tree = changed(change);
    tree.set(CONF, file(''));
    expectBoot(decide(tree, 'ostree=/link'), message);
  });

  it('is on the disk', () => {
    const initramfs = `/ostree/deploy/os/deploy/${COMMIT.checksum}.0`;
    for (const conf of [SIGNED_CONF, '']) {
      const tree = configured(conf);
      tree.set('/sysroot/link', link(initramfs)).set(initramfs, DIRECTORY);
      expectRefusal(
        decide(tree, 'ostree=/link'),
        'deployment',
        `leads out of ostree/deploy of the physical root, to ${initramfs}`,
      );
    }
  });

  it('is read from regular files alone', () => {
    const commit = objectAt(COMMIT.checksum, 'commit');
    const tree = changed(
      (one) => void one.set(commit, link('/tmp/commit')).set('/tmp/commit', file(COMMIT.data)),
    );
    expectRefusal(
      decide(tree),
      'signature',
      /Error loading signatures from repo: .*is a symlink, expected a file/,
    );
    expectRefusal(decide(put(commit, { kind: 'other' })), 'signature', 'is a special file, expected a file');
    expectRefusal(
      decide(put(objectAt(COMMIT.checksum, 'commitmeta'), DIRECTORY)),
      'signature',
      'is a directory',
    );
    expectRefusal(
      decide(put(`${DEPLOYMENT}/.ostree.cfs`, link('/tmp/image'))),
      'image',
      '.ostree.cfs is no regular file',
      { found: 'symlink' },
    );
  });
});

describe('the configuration', () => {
  it('says signed, which kernel arguments can raise to and never take away', () => {
    for (const value of ['0', 'no', 'yes', 'maybe', '1'])
      expectRefusal(
        decide(bootTree(), `${OSTREE} ostree.prepare-root.composefs=${value}`),
        'kernel arguments',
        `ostree.prepare-root.composefs=${value} would turn off the signature check`,
        { expected: 'signed', found: value },
      );
    expectBoot(decide(bootTree(), `${OSTREE} ostree.prepare-root.composefs=signed`));
    const raised = decide(configured(YES_CONF), `${OSTREE} ostree.prepare-root.composefs=signed`);
    expect(raised.policy?.mode).toBe('signed');
    expect(raised.signer?.hex).toBe(decide(bootTree()).signer?.hex);
    expectRefusal(
      decide(
        changed((tree) => void tree.set(CONF, file(YES_CONF)).delete(KEY_FILE)),
        `${OSTREE} ostree.prepare-root.composefs=signed`,
      ),
      'keys',
      'No such file or directory',
    );
  });

  it('may be lowered by kernel arguments where it is not signed and nothing is sealed, with a warning', () => {
    const decision = decide(configured(VERITY_CONF), `${OSTREE} ostree.prepare-root.composefs=0`);
    expectBoot(decision, 'lowers the mode from verity to no');
    expect(decision.notices).toContain('Using legacy ostree bind mount for /');
  });

  const both = (usr: string, etc: string) =>
    changed((tree) => void tree.set(CONF, file(usr)).set('/etc/ostree/prepare-root.conf', file(etc)));

  it('of /etc replaces that of /usr/lib, but not a stricter one that says signed', () => {
    const weaker = ['', VERITY_CONF, YES_CONF, '[composefs]\nenabled=maybe\n', '[etc]\ntransient=true\n'];
    for (const etc of weaker)
      expectRefusal(decide(both(SIGNED_CONF, etc)), 'configuration', 'replaces the stricter', {
        expected: 'composefs.enabled=signed',
      });
    expectRefusal(
      decide(both(SIGNED_CONF, '[composefs]\nenabled=signed\n')),
      'configuration',
      'etc.transient=false',
    );
    expectBoot(decide(both(SIGNED_CONF, SIGNED_CONF)));
    expectBoot(decide(both(YES_CONF, SIGNED_CONF)));
    expectBoot(decide(both(VERITY_CONF, YES_CONF)), 'replaces the stricter');
    expectRefusal(
      decide(
        changed(
          (tree) =>
            void tree.set('/etc/ostree/prepare-root.conf', file(YES_CONF)).set(CONF, file(VERITY_CONF)),
          sealedTree,
        ),
      ),
      'configuration',
      'replaces the stricter',
    );
  });

  it('that is no key file is refused, also where it would not count', () => {
    expectRefusal(decide(both('nonsense', SIGNED_CONF)), 'configuration', 'Failed to parse config');
    expectRefusal(
      decide(configured('[composefs]\nenabled=bogus\n')),
      'configuration',
      'Invalid tri-state value: bogus',
    );
    // An error that is none of syntax has no effect in a file that is replaced.
    expectBoot(decide(both('[composefs]\nenabled=bogus\n', SIGNED_CONF)));
  });

  it('follows sysroot.readonly of the repository where it says nothing itself', () => {
    const legacy = changed(
      (tree) => void tree.set('/sysroot/ostree/repo/config', file('[sysroot]\nreadonly=true\n')).delete(CONF),
    );
    expect(decide(legacy).notices).toEqual([
      'Found legacy sysroot.readonly flag, not configured in ostree/prepare-root.conf',
      'sysroot.readonly configuration value: 1 (fs writable: 1)',
      'Using legacy ostree bind mount for /',
    ]);
    legacy.set('/sysroot/ostree/repo/config', file('nonsense'));
    expect(decide(legacy, OSTREE, { sysrootWritable: false }).notices[0]).toBe(
      'sysroot.readonly configuration value: 0 (fs writable: 0)',
    );
  });

  it('needs an initramfs for signed', () => {
    expectRefusal(
      decide(bootTree(), OSTREE, { initramfs: false }),
      'configuration',
      'mode signed is meaningless without an initramfs',
    );
    expectBoot(decide(configured(YES_CONF), OSTREE, { initramfs: false }));
    expectRefusal(decide(sealedTree(), OSTREE, { initramfs: false }), 'configuration', 'meaningless');
  });

  it('needs a kernel that can do what it demands', () => {
    const old = { release: byteString('6.1.0-56-cloud-amd64'), features: {} };
    expectRefusal(decide(bootTree(), OSTREE, { kernel: old }), 'kernel', 'is too old', {
      found: '6.1.0-56-cloud-amd64',
    });
    expectBoot(decide(configured(YES_CONF), OSTREE, { kernel: old }));
    expectBoot(decide(configured(''), OSTREE, { kernel: { release: byteString('4.0'), features: {} } }));
    const maybe = '[composefs]\nenabled=maybe\n';
    const without = { release: byteString('6.12.0'), features: { erofs: false } };
    expectRefusal(decide(configured(maybe), OSTREE, { kernel: without }), 'kernel', 'lacks CONFIG_EROFS_FS');
    const bare = changed((tree) => void tree.set(CONF, file(maybe)).delete(`${DEPLOYMENT}/.ostree.cfs`));
    expectBoot(decide(bare, OSTREE, { kernel: without }));
  });

  it('takes a hotfix along, but not into a signed boot', () => {
    const unlocked = (conf: string) =>
      changed((tree) => void tree.set(CONF, file(conf)).set(`${DEPLOYMENT}/.usr-ovl-work`, DIRECTORY));
    const overlays = (decision: BootDecision) =>
      decision.plan?.steps.flatMap((step) =>
        step.step === 'mount overlay' ? [`${step.at} ${step.readonly}`] : [],
      );
    expect(overlays(decide(unlocked(YES_CONF)))).toEqual(['/sysroot.tmp true', '/sysroot.tmp/usr false']);
    expect(overlays(decide(unlocked(YES_CONF), OSTREE, { sysrootWritable: false }))?.at(-1)).toBe(
      '/sysroot.tmp/usr true',
    );
    expect(overlays(decide(unlocked(SIGNED_CONF)))).toEqual(['/sysroot.tmp true', '/sysroot.tmp/etc false']);
    expect(bootLine(decide(unlocked(YES_CONF)))).toContain('/usr');
  });
});
