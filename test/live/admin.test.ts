/**
 * `ostree admin` of both tools, step by step on two sysroots: what they print and what is on the disk is the same; and
 * each goes on where the other has been.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { setXattr } from '../../src/node/syscalls.ts';
import { makeOsTree, type OsTree } from '../os-tree.ts';
import { real, realOk } from '../peers.ts';
import { requires } from '../requires.ts';
import { type Ran, sealtree } from '../run.ts';
import { deploymentDirectories, removeSysroot, sysrootDifferences } from '../sysroots.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const needs = requires({ root: true, peers: true, programs: ['mkfifo'] });

const ours = (args: readonly string[]) => sealtree(args, { program: 'ostree' });
const theirs = (args: readonly string[]) => real('ostree', args);

const KERNEL = 'usr/lib/modules/6.12.0-test';
const CHECKSUM = 'ab'.repeat(32);

const TREES: Readonly<Record<string, OsTree & { readonly remove?: readonly string[] }>> = {
  one: {
    version: '1',
    files: { 'usr/etc/default.conf': '1', 'usr/etc/gone/a': 'a', 'usr/etc/removed': 'b' },
  },
  two: { version: '2', files: { 'usr/etc/default.conf': '2', 'usr/etc/new.conf': 'n' } },
  dtb: {
    version: '3',
    kernel: '6.13.0',
    files: {
      'usr/lib/modules/6.13.0/dtb/a.dtb': 'dtb',
      'usr/lib/modules/6.13.0/dtb/sub/b.dtb': 'more',
      'usr/lib/modules/6.13.0/.vmlinuz.hmac': 'hmac',
      'usr/lib/tmpfiles.d/': '',
      'var/lib/data/file': 'state',
    },
  },
  plain: {
    files: { [`${KERNEL}/devicetree`]: 'dt', [`${KERNEL}/aboot.img`]: 'a' },
    remove: [`${KERNEL}/initramfs.img`],
  },
  legacy: {
    files: {
      [`usr/lib/ostree-boot/vmlinuz-5-${CHECKSUM}`]: 'k',
      [`usr/lib/ostree-boot/initramfs-5.img-${CHECKSUM}`]: 'i',
    },
    remove: ['usr/lib/modules'],
  },
  mismatched: {
    files: { [`boot/vmlinuz-5-${CHECKSUM}`]: 'k', [`boot/initramfs-5.img-${'cd'.repeat(32)}`]: 'i' },
    remove: ['usr/lib/modules'],
  },
  'no-kernel': { remove: ['usr/lib/modules'] },
  'no-name': { files: { 'usr/lib/os-release': 'NAME=x\n' } },
  quoted: { files: { 'usr/lib/os-release': `# c\nID="x\nPRETTY_NAME='It'\\''s "q" '"a \\$b"\\ z\n` } },
  'empty-etc': { files: { 'etc/': '' } },
  'two-etc': { files: { 'etc/a': 'a' } },
  'no-etc': { remove: ['usr/etc'] },
  'no-var': { remove: ['var'] },
  whiteout: { files: { 'usr/bin/.ostree-wh.gone': '' } },
  conflict: { files: { 'usr/etc/hostname/a': '' }, remove: ['usr/etc/hostname'] },
  yes: { prepareRoot: '[composefs]\nenabled = yes\n' },
  verity: { prepareRoot: '[composefs]\nenabled = verity\n' },
  signed: { prepareRoot: '[composefs]\nenabled = signed\n' },
  bogus: { prepareRoot: '[composefs]\nenabled = bogus\n' },
};

needs.describe('ostree admin of both tools:', () => {
  let scratch = '';
  let source = '';
  const sysroots: string[] = [];

  beforeAll(() => {
    scratch = scratchDirectory('admin');
    source = join(scratch, 'source');
    realOk('ostree', ['init', `--repo=${source}`, '--mode=archive']);
    for (const [name, { remove = [], ...tree }] of Object.entries(TREES)) {
      const root = join(scratch, `tree-${name}`);
      makeOsTree(root, tree.files?.['usr/etc/hostname/a'] === undefined ? tree : { ...tree, files: {} });
      for (const path of remove) rmSync(join(root, path), { recursive: true });
      if (name === 'conflict') mkdirSync(join(root, 'usr/etc/hostname'));
      const version = name === 'two' ? ['--add-metadata-string=version=2.0'] : [];
      realOk('ostree', [
        'commit',
        `--repo=${source}`,
        `--branch=os/${name}`,
        '--timestamp=@1700000000',
        '--generate-composefs-metadata',
        '--fsync=false',
        ...version,
        root,
      ]);
    }
  });
  afterAll(() => {
    for (const sysroot of sysroots) removeSysroot(sysroot);
    removeDirectory(scratch);
  });

  /** Two sysroots, the first made and changed by the real tool, the second by `second`. */
  function pair(name: string, second: () => (args: readonly string[]) => Ran = () => ours) {
    const places = [join(scratch, `${name}-theirs`), join(scratch, `${name}-ours`)] as const;
    const tools = [() => theirs, second] as const;
    for (const [i, place] of places.entries()) {
      const tool = tools[i as 0 | 1];
      mkdirSync(place);
      sysroots.push(place);
      expect(tool()(['admin', 'init-fs', place]).status).toBe(0);
      expect(tool()(['admin', 'stateroot-init', `--sysroot=${place}`, 'os']).status).toBe(0);
      realOk('ostree', ['pull-local', `--repo=${place}/ostree/repo`, source]);
    }
    const same = (left: Ran, right: Ran, failed: boolean) => {
      const plain = (text: string, place: string) => text.replaceAll(place, 'SYSROOT');
      expect(plain(right.stdout, places[1])).toBe(plain(left.stdout, places[0]));
      expect(right.status).toBe(left.status);
      // With a usage error comes the usage, in words of each tool's own.
      const lastLine = (text: string) => text.trimEnd().split('\n').at(-1) ?? '';
      expect(plain(lastLine(right.stderr), places[1])).toBe(plain(lastLine(left.stderr), places[0]));
      // After a failure the real tool leaves what it had checked out, until the next clean-up.
      if (failed) for (const place of places) theirs(['admin', 'cleanup', `--sysroot=${place}`]);
      expect(sysrootDifferences(...places)).toEqual([]);
    };
    return {
      places,
      /** Runs a command on both. */
      step(...args: readonly string[]): void {
        const [left, right] = places.map((place, i) =>
          tools[i as 0 | 1]()(['admin', ...args, `--sysroot=${place}`]),
        ) as [Ran, Ran];
        same(left, right, left.status !== 0);
      },
      each(change: (sysroot: string) => void): void {
        for (const place of places) change(place);
      },
    };
  }

  it('deploys, merges /etc, keeps, pins, reorders and removes', () => {
    const { step, each, places } = pair('long');
    step('status');
    step('deploy', 'os/one');
    step('deploy', '--os=os', 'os/missing');
    step('deploy', '--os=missing', 'os/one');
    step('deploy');
    step('deploy', '--os=os', '--karg=root=LABEL=root', '--karg-append=rw', 'os/one');
    each(changeEtc);
    step('deploy', '--os=os', 'os/two');
    step('deploy', '--os=os', 'os/two');
    step('status');
    step(
      'deploy',
      '--os=os',
      '--karg=quiet',
      '--karg-append=console=tty0',
      '--karg-append=console=ttyS0',
      'os/dtb',
    );
    step('deploy', '--os=os', '--karg-delete=console=tty0', '--retain', 'os/one');
    step('deploy', '--os=os', '--karg-delete=nothing', '--karg=root=UUID=1', '--retain', 'os/dtb');
    step('deploy', '--os=os', '--karg-delete=root=bad', 'os/dtb');
    step('pin', '1');
    step('pin', '1', '9');
    step('pin', 'x');
    step('pin', 'booted');
    step('status');
    step('deploy', '--os=os', 'os/two');
    step('pin', '-u', '1', '2');
    step('set-default', '1');
    step('status', '--json');
    step('status', '-D');
    step('undeploy', '1');
    step('undeploy', '7');
    step('undeploy', 'x');
    step('kargs', 'edit-in-place', '--append-if-missing=foo=bar', '--append-if-missing=quiet');
    step('cleanup');
    step('deploy', '--os=os', '--not-as-default', '--no-merge', '--karg=a=b', 'os/one');
    step('deploy', '--os=os', '--karg-none', 'os/plain');
    step('deploy', '--os=os', '--karg-proc-cmdline', 'os/plain');
    step('stateroot-init', 'second');
    step('stateroot-init', 'second');
    step('deploy', '--stateroot=second', '--karg=x', 'os/one');
    step('deploy', '--os=second', '--overlay-initrd=/etc/hostname', 'os/one');
    step('deploy', '--os=second', 'os/one');
    step('status');
    step('status', '--print-current-dir');
    for (let i = 0; i < 5; i++) step('undeploy', '0');
    step('status');
    expect(sysrootDifferences(...places)).toEqual([]);
    appendFileSync(join(places[0], 'ostree/repo/config'), '\n');
    expect(sysrootDifferences(...places)).toHaveLength(1);
  });

  it('takes every kind of tree, or refuses it in the same words', () => {
    const { step, each, places } = pair('trees');
    step('deploy', '--os=os', 'os/dtb');
    for (const name of [
      'no-kernel',
      'no-name',
      'quoted',
      'legacy',
      'mismatched',
      'plain',
      'empty-etc',
      'two-etc',
    ]) {
      step('deploy', '--os=os', `os/${name}`);
    }
    for (const name of ['no-etc', 'no-var', 'whiteout', 'yes', 'verity', 'signed', 'bogus']) {
      step('deploy', '--os=os', `os/${name}`);
    }
    each((sysroot) => {
      for (const directory of deploymentDirectories(sysroot)) {
        appendFileSync(join(directory, 'etc/hostname'), 'changed');
        writeFileSync(join(directory, 'etc/.updated'), '');
      }
      writeFileSync(join(sysroot, 'ostree/deploy/os/var/.updated'), '');
      writeFileSync(join(sysroot, '..', 'origin'), '[origin]\n# c\nrefspec=other\n\n[more]\nb = x \n');
    });
    step('deploy', '--os=os', 'os/signed');
    step('deploy', '--os=os', 'os/conflict');
    step('deploy', '--os=os', `--origin-file=${join(scratch, 'origin')}`, 'os/yes');
    step('status');
    step('pin', '0');
    each((sysroot) => {
      const folder = join(sysroot, 'ostree/deploy/os/deploy');
      for (const name of readdirSync(folder)) if (name.endsWith('.origin')) rmSync(join(folder, name));
    });
    step('status');
    step('deploy', '--os=os', 'remote:os/one');
    expect(readFileSync(join(places[1], 'boot/loader/entries/ostree-1.conf'), 'latin1')).toContain(
      'ostree=/ostree',
    );
  });

  it('obeys the settings of the repository', () => {
    const { step, places } = pair('settings');
    const set = (key: string, value: string) => {
      for (const place of places)
        realOk('ostree', ['config', `--repo=${place}/ostree/repo`, 'set', key, value]);
    };
    set('ex-integrity.composefs', 'true');
    for (const name of ['yes', 'verity', 'signed']) step('deploy', '--os=os', `os/${name}`);
    set('ex-integrity.fsverity', 'yes');
    if (!existsVerity()) step('deploy', '--os=os', 'os/yes');
    set('ex-integrity.fsverity', 'maybe');
    set('sysroot.bootprefix', 'true');
    step('deploy', '--os=os', '--karg=b=1', 'os/yes');
    set('sysroot.boot-counting-tries', '3');
    step('deploy', '--os=os', '--karg=b=2', 'os/yes');
    step('deploy', '--os=os', '--karg=b=3', 'os/one');
    set('sysroot.boot-counting-tries', '0');
    set('sysroot.bls-append-except-default', 'key1=value1;grub_users="";a-b=c d;');
    step('deploy', '--os=os', '--karg=b=4', 'os/dtb');
    step('deploy', '--os=os', '--karg=b=5', 'os/two');
    step('set-default', '1');
    set('sysroot.bls-append-except-default', '');
    set('sysroot.bootloader', 'none');
    step('deploy', '--os=os', 'os/one');
  });

  it('says the same of what is damaged', () => {
    const { step, each } = pair('damage');
    step('deploy', '--os=os', '--karg=a', 'os/one');
    const during = (damage: (sysroot: string) => void, mend: (sysroot: string) => void) => {
      each(damage);
      step('status');
      step('deploy', '--os=os', 'os/two');
      each(mend);
      step('status');
    };
    const foreign = (sysroot: string) => join(sysroot, 'ostree/deploy/os/deploy/foreign');
    each((sysroot) => mkdirSync(foreign(sysroot)));
    step('cleanup');
    each((sysroot) => rmSync(foreign(sysroot), { recursive: true }));
    const entry = (sysroot: string) => join(sysroot, 'boot/loader/entries/ostree-bad.conf');
    for (const text of ['', 'options ostree=/x\n', 'options quiet\n']) {
      during(
        (sysroot) => writeFileSync(entry(sysroot), text),
        (sysroot) => rmSync(entry(sysroot)),
      );
    }
    const loader = (sysroot: string) => join(sysroot, 'boot/loader');
    during(
      (sysroot) => {
        rmSync(loader(sysroot));
        symlinkSync('bad', loader(sysroot));
      },
      (sysroot) => {
        rmSync(loader(sysroot));
        symlinkSync('loader.1', loader(sysroot));
      },
    );
    for (const name of ['ostree/repo', 'ostree/boot.1.1']) {
      const moved = (sysroot: string) => join(sysroot, `${name}-moved`);
      during(
        (sysroot) => execFileSync('mv', [join(sysroot, name), moved(sysroot)]),
        (sysroot) => execFileSync('mv', [moved(sysroot), join(sysroot, name)]),
      );
    }
  });

  describe('one sysroot', () => {
    it('is changed by both in turn, as if by one', () => {
      let turn = 0;
      const { step, places } = pair('turns', () => (turn++ % 2 === 0 ? ours : theirs));
      step('deploy', '--os=os', '--karg=a', 'os/one');
      step('deploy', '--os=os', '--karg=b', 'os/two');
      step('deploy', '--os=os', 'os/dtb');
      step('deploy', '--os=os', 'os/dtb');
      step('deploy', '--os=os', '--retain', 'os/one');
      step('deploy', '--os=os', '--retain', 'os/plain');
      step('status');
      step('status');
      step('pin', '1');
      step('set-default', '2');
      step('undeploy', '0');
      step('deploy', '--os=os', 'os/one');
      step('cleanup');
      for (let i = 0; i < 4; i++) step('undeploy', '0');
      expect(realOk('ostree', ['fsck', `--repo=${places[1]}/ostree/repo`])).toContain('no errors found');
    });
  });
});

function changeEtc(sysroot: string): void {
  for (const directory of deploymentDirectories(sysroot)) {
    const etc = (path: string) => join(directory, 'etc', path);
    writeFileSync(etc('hostname'), 'changed\n');
    rmSync(etc('removed'));
    mkdirSync(etc('my/dir'), { recursive: true });
    writeFileSync(etc('my/dir/file'), 'new');
    chmodSync(etc('my'), 0o700);
    symlinkSync('x', etc('my/link'));
    writeFileSync(etc('local.conf'), 'local');
    setXattr(byteString(etc('local.conf')), byteString('user.foo'), byteString('bar'));
    chmodSync(etc('default.conf'), 0o640);
    execFileSync('mkfifo', [etc('my/fifo')]);
    rmSync(etc('ssh/sshd_config'));
    writeFileSync(etc('ssh/key'), 'k');
    chmodSync(etc('ssh'), 0o2750);
  }
}

/** With fs-verity in the kernel what is required can be had. */
function existsVerity(): boolean {
  return requires({ fsverity: true }).reason === undefined;
}
