/** Sysroots and commits that somebody else has made: nothing outside is read for them, written or removed. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { resolveInside } from '../../src/deploy/inside.ts';
import { makeOsTree, type OsTree } from '../os-tree.ts';
import { requires } from '../requires.ts';
import { type Ran, sealtree, sealtreeOk } from '../run.ts';
import { deploymentDirectories, removeSysroot } from '../sysroots.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const needs = requires({ root: true });

needs.describe('sealtree admin with what is not to be trusted:', () => {
  let scratch = '';
  let sysroot = '';
  let outside = '';
  let count = 0;

  beforeEach(() => {
    scratch = scratchDirectory('hostile');
    sysroot = join(scratch, 'sysroot');
    outside = join(scratch, 'outside');
    mkdirSync(sysroot);
    mkdirSync(join(outside, 'deploy'), { recursive: true });
    writeFileSync(join(outside, 'secret'), 'SECRET=1\nPRETTY_NAME=stolen\n');
    sealtreeOk(['admin', 'init-fs', '--modern', sysroot]);
    sealtreeOk(['admin', 'stateroot-init', `--sysroot=${sysroot}`, 'os']);
  });
  afterEach(() => {
    expect(readdirSync(outside).sort()).toEqual(['deploy', 'secret']);
    expect(readdirSync(join(outside, 'deploy'))).toEqual([]);
    removeSysroot(sysroot);
    removeDirectory(scratch);
  });

  const admin = (...args: readonly string[]): Ran => sealtree(['admin', `--sysroot=${sysroot}`, ...args]);

  function commit(tree: OsTree, change: (root: string) => void = () => {}, ...options: string[]): string {
    const root = join(scratch, `tree-${count++}`);
    makeOsTree(root, tree);
    change(root);
    const repo = `--repo=${sysroot}/ostree/repo`;
    return sealtreeOk(['commit', repo, `--branch=b${count}`, '--fsync=false', ...options, root]).trim();
  }

  const deploy = (checksum: string, ...options: string[]) => admin('deploy', '--os=os', ...options, checksum);

  /** Refused, and nothing of it is left. */
  function expectRefusal(ran: Ran, message: string): void {
    expect(ran.stderr).toContain(message);
    expect(ran.stderr.trimEnd()).not.toContain('\n');
    expect(ran.status).not.toBe(0);
    expect(deploymentDirectories(sysroot)).toEqual([]);
    expect(existsSync(join(sysroot, 'boot/loader'))).toBe(false);
  }

  for (const name of ['a/b', '..', '.', '', 'a b', 'a\nb', 'x'.repeat(200)]) {
    needs.it(`a stateroot cannot be called ${JSON.stringify(name).slice(0, 20)}`, () => {
      expectRefusal(admin('stateroot-init', '--', name), 'Invalid stateroot name');
      expectRefusal(admin('deploy', `--os=${name}`, commit({})), 'Invalid stateroot name');
    });
  }

  needs.it('kernel arguments, versions and names may not begin lines of boot entries', () => {
    expectRefusal(deploy(commit({}), '--karg=a\nlinux /evil'), 'kernel arguments hold a control character');
    const version = commit({}, undefined, '--add-metadata-string=version=1\nlinux /evil');
    expectRefusal(deploy(version), 'boot entry: title holds a control character');
    expectRefusal(
      deploy(commit({ kernel: '6 evil' })),
      "kernel version '6 evil' cannot stand in a boot entry",
    );
    expectRefusal(deploy(commit({ kernel: '6\nevil' })), 'cannot stand in a boot entry');
    expectRefusal(deploy(commit({}), `--karg=${'a'.repeat(17_000)}`), 'kernel arguments have');
  });

  needs.it('links in a tree stay in it', () => {
    const release = commit({}, (root) => {
      rmSync(join(root, 'usr/lib/os-release'));
      symlinkSync(join(outside, 'secret'), join(root, 'usr/lib/os-release'));
    });
    expectRefusal(
      deploy(release),
      'Reading /etc/os-release: openat(etc/os-release): No such file or directory',
    );
    const kernel = commit({}, (root) => {
      rmSync(join(root, 'usr/lib/modules/6.12.0-test/vmlinuz'));
      symlinkSync(join(outside, 'secret'), join(root, 'usr/lib/modules/6.12.0-test/vmlinuz'));
    });
    expectRefusal(deploy(kernel), 'vmlinuz: not a regular file');
    const modules = commit({}, (root) => {
      rmSync(join(root, 'usr/lib/modules'), { recursive: true });
      symlinkSync(outside, join(root, 'usr/lib/modules'));
    });
    expectRefusal(deploy(modules), 'Failed to find kernel');
    const etc = commit({}, (root) => symlinkSync(outside, join(root, 'etc')));
    expectRefusal(deploy(etc), 'etc is not a directory');
    const config = commit({}, (root) =>
      symlinkSync(join(outside, 'secret'), join(root, 'usr/lib/ostree/prepare-root.conf')),
    );
    expect(deploy(config).status).toBe(0);
  });

  needs.it('a merge of /etc follows no link of the new tree', () => {
    const files = { 'usr/etc/a/b/c': 'x', 'usr/etc/gone/secret': 'x' };
    expect(deploy(commit({ files })).status).toBe(0);
    const [first = ''] = deploymentDirectories(sysroot);
    writeFileSync(join(first, 'etc/a/b/c'), 'changed');
    rmSync(join(first, 'etc/gone/secret'));
    const evil = commit({ version: '2' }, (root) => symlinkSync(outside, join(root, 'usr/etc/a')));
    const ran = deploy(evil);
    expect(ran.stderr).toContain('During /etc merge: Copying a/b/c: opendir(a): Not a directory');
    expect(deploymentDirectories(sysroot)).toHaveLength(1);
    const linked = commit({}, (root) => symlinkSync(outside, join(root, 'usr/etc/gone')));
    expect(deploy(linked).status).toBe(0);
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toContain('SECRET');
    expect(deploymentDirectories(sysroot)).toHaveLength(2);
  });

  for (const path of ['boot/ostree', 'boot/loader.1/entries', 'ostree/deploy', 'boot']) {
    needs.it(`${path} may not lead out of the sysroot`, () => {
      const checksum = commit({});
      const place = join(sysroot, path);
      rmSync(place, { recursive: true, force: true });
      mkdirSync(join(place, '..'), { recursive: true });
      symlinkSync(outside, place);
      const ran = deploy(checksum);
      expect(ran.stderr).toContain(`${path} leads out of the sysroot`);
      expect(admin('cleanup').status).not.toBe(0);
      rmSync(place);
    });
  }

  needs.it('folders of a stateroot and of a kernel may not be links', () => {
    const checksum = commit({});
    symlinkSync(outside, join(sysroot, 'ostree/deploy/os/backing'));
    expectRefusal(deploy(checksum), 'ostree/deploy/os/backing is a symbolic link');
    rmSync(join(sysroot, 'ostree/deploy/os/backing'));
    expect(deploy(checksum).status).toBe(0);
    const folder = readdirSync(join(sysroot, 'boot/ostree'))[0] as string;
    expect(admin('undeploy', '0').status).toBe(0);
    rmSync(join(sysroot, 'boot/loader'));
    mkdirSync(join(sysroot, 'boot/ostree'), { recursive: true });
    symlinkSync(outside, join(sysroot, 'boot/ostree', folder));
    expectRefusal(deploy(checksum), `boot/ostree/${folder} is a symbolic link`);
  });

  needs.it('a boot link leads to its own deployment or nowhere', () => {
    expect(deploy(commit({})).status).toBe(0);
    const [link = ''] = execFileSync('find', [join(sysroot, 'ostree/boot.1.1'), '-type', 'l'], {
      encoding: 'utf8',
    }).split('\n');
    const [directory = ''] = deploymentDirectories(sysroot);
    rmSync(link);
    symlinkSync(join(outside, directory.replace(/^.*\//, '')), link);
    const ran = admin('status');
    expect(ran.stderr).toMatch(/leads to .*, expected \.\.\/\.\.\/\.\.\/deploy\/os/);
    expect(admin('cleanup').status).not.toBe(0);
    rmSync(link);
    symlinkSync(`../../../deploy/os/deploy/${directory.replace(/^.*\//, '')}`, link);
    expect(admin('status').status).toBe(0);
  });

  needs.it('files larger than they can be are not read', () => {
    expect(deploy(commit({})).status).toBe(0);
    const entry = join(sysroot, 'boot/loader/entries/ostree-9.conf');
    writeFileSync(entry, 'title x\n'.repeat(100_000));
    expect(admin('status').stderr).toContain(
      'Parsing ostree-9.conf: ostree-9.conf: 800000 bytes, at most 65536',
    );
    rmSync(entry);
    execFileSync('mkfifo', [entry]);
    expect(admin('status').status).toBe(0);
  });

  needs.it('does not change anything while /boot is not there', () => {
    expect(deploy(commit({})).status).toBe(0);
    execFileSync('mv', [join(sysroot, 'boot'), join(sysroot, 'away')]);
    expect(admin('cleanup').stderr).toContain('opendir(boot): No such file or directory');
    expect(deploymentDirectories(sysroot)).toHaveLength(1);
    execFileSync('mv', [join(sysroot, 'away'), join(sysroot, 'boot')]);
    expect(admin('status').status).toBe(0);
  });

  needs.it('says so where a boot loader has a configuration of its own', () => {
    const checksum = commit({});
    mkdirSync(join(sysroot, 'boot/grub2'));
    writeFileSync(join(sysroot, 'boot/grub2/grub.cfg'), '');
    expectRefusal(deploy(checksum), 'the configuration of grub2 (boot/grub2/grub.cfg) is not written');
  });

  needs.it('refuses a tree whose SELinux labels it would not get right', () => {
    const policy = (mode: string) =>
      commit({ files: { 'usr/etc/selinux/config': `SELINUX=${mode}\nSELINUXTYPE=targeted\n` } });
    expectRefusal(deploy(policy('enforcing')), "the tree has the SELinux policy 'targeted' (enforcing)");
    expect(deploy(policy('disabled')).status).toBe(0);
  });
});

needs.it('a path in a tree is followed as the tree would', () => {
  const root = scratchDirectory('inside');
  mkdirSync(join(root, 'a/b'), { recursive: true });
  writeFileSync(join(root, 'a/b/file'), '');
  symlinkSync('/a/b', join(root, 'absolute'));
  symlinkSync('../../../../../a', join(root, 'a/up'));
  symlinkSync('loop', join(root, 'loop'));
  const resolve = (path: string) => resolveInside(byteString(root), byteString(path))?.slice(root.length);
  expect(resolve('absolute/file')).toBe('/a/b/file');
  expect(resolve('a/up/b/./file')).toBe('/a/b/file');
  expect(resolve('a/b/../b/file')).toBe('/a/b/file');
  expect(resolve('a/missing')).toBeUndefined();
  expect(resolve('a/b/file/below')).toBeUndefined();
  expect(() => resolve('loop')).toThrow('Too many levels of symbolic links');
  removeDirectory(root);
});
