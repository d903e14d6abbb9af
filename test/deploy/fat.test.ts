/**
 * A /boot without symlinks: new names, the default's entry last, and what was there before stays until the new system
 * has booted. The kernel of a test machine need not have FAT: the layout is asked for on a directory.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { type ByteString, byteString } from '../../src/core/bytes/byte-string.ts';
import { cleanUp } from '../../src/deploy/cleanup.ts';
import { deploy, replaceDeployments } from '../../src/deploy/deploy.ts';
import { initFs, initStateroot } from '../../src/deploy/init.ts';
import { loadSysroot } from '../../src/deploy/sysroot.ts';
import { makeOsTree } from '../os-tree.ts';
import { requires } from '../requires.ts';
import { sealtreeOk } from '../run.ts';
import { deploymentDirectories, removeSysroot } from '../sysroots.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const needs = requires({ root: true });
const layout = 'files' as const;

needs.describe('a /boot without symlinks', () => {
  let scratch = '';
  let sysroot: ByteString;
  const at = (path: string) => join(sysroot, path);
  const entries = () => readdirSync(at('boot/loader/entries')).sort();
  const entry = (name: string) => readFileSync(at(`boot/loader/entries/${name}`), 'latin1');
  const deployOne = (name: string, more = {}) =>
    deploy(sysroot, { stateroot: byteString('os'), refspec: byteString(name), layout, ...more });
  const load = () => loadSysroot(sysroot, { layout });
  const checksums = () => load().deployments.map(({ checksum }) => checksum.slice(0, 8));

  beforeEach(() => {
    scratch = scratchDirectory('fat');
    sysroot = byteString(join(scratch, 'sysroot'));
    mkdirSync(sysroot);
    initFs(sysroot, 1);
    initStateroot(sysroot, byteString('os'));
    for (const name of ['one', 'two', 'three']) {
      const tree = makeOsTree(join(scratch, name), { version: name, vmlinuz: name });
      sealtreeOk(['commit', `--repo=${sysroot}/ostree/repo`, `--branch=${name}`, '--fsync=false', tree]);
    }
  });
  afterEach(() => {
    removeSysroot(sysroot);
    removeDirectory(scratch);
  });

  needs.it('has plain files only, and keeps the generation before', async () => {
    const one = await deployOne('one', { arguments: { set: [byteString('root=x')] } });
    expect(entries()).toEqual(['ostree-1-1.conf']);
    expect(entry('ostree-1-1.conf')).toBe(
      `title Test OS one (ostree:0)\nversion 1\noptions root=x ostree=/ostree/boot.1/os/${one.bootChecksum}/0\n` +
        `linux /ostree/os-${one.bootChecksum}/vmlinuz-6.12.0-test\ninitrd /ostree/os-${one.bootChecksum}/initramfs-6.12.0-test.img\n`,
    );
    const before = entry('ostree-1-1.conf');
    const two = await deployOne('two');
    expect(entries()).toEqual(['ostree-1-1.conf', 'ostree-2-1.conf', 'ostree-2-2.conf']);
    expect(entry('ostree-1-1.conf')).toBe(before);
    expect(entry('ostree-2-2.conf')).toContain(`ostree=/ostree/boot.0/os/${two.bootChecksum}/0`);
    expect(checksums()).toEqual([two.checksum, one.checksum].map((checksum) => checksum.slice(0, 8)));
    const three = await deployOne('three');
    expect(entries()).toEqual(['ostree-2-1.conf', 'ostree-2-2.conf', 'ostree-3-1.conf', 'ostree-3-2.conf']);
    expect(entry('ostree-3-2.conf')).toContain(`ostree=/ostree/boot.1/os/${three.bootChecksum}/0`);
    // The first one is no longer in the list, but the entries of before lead to it.
    expect(deploymentDirectories(sysroot)).toHaveLength(3);
    expect(load().retained.map(({ checksum }) => checksum)).toEqual([one.checksum]);
    expect(readdirSync(at('boot/ostree'))).toHaveLength(3);
    expect(readdirSync(at('boot')).sort()).toEqual(['loader', 'ostree']);
    expect(sealtreeOk(['fsck', `--repo=${sysroot}/ostree/repo`])).toContain('no errors found');
  });

  needs.it('lets the generation before go when the new one has booted', async () => {
    for (const name of ['one', 'two', 'three']) await deployOne(name);
    const running = (version: number) => ({
      ...load(),
      running: { device: 0n, inode: 0n, argument: byteString(`/ostree/boot.${version}/os/x/0`) },
    });
    cleanUp(running(0), { prune: true });
    expect(entries()).toHaveLength(4);
    cleanUp(running(1), { prune: true });
    expect(entries()).toEqual(['ostree-3-1.conf', 'ostree-3-2.conf']);
    expect(deploymentDirectories(sysroot)).toHaveLength(2);
    expect(readdirSync(at('boot/ostree'))).toHaveLength(2);
    expect(readdirSync(at('ostree')).sort()).toEqual(['boot.1', 'boot.1.0', 'deploy', 'repo']);
  });

  needs.it('keeps the generation that runs where the newer one does not boot', async () => {
    for (const name of ['one', 'two']) await deployOne(name);
    const sysrootThen = load();
    const running = { device: 0n, inode: 0n, argument: byteString('/ostree/boot.1/os/x/0') };
    const list = [...sysrootThen.deployments].reverse();
    await replaceDeployments({ ...sysrootThen, running }, list, () => {});
    expect(entries()).toEqual(['ostree-1-1.conf', 'ostree-4-1.conf', 'ostree-4-2.conf']);
  });

  needs.it('passes over a generation that a power cut left incomplete', async () => {
    const one = await deployOne('one');
    await deployOne('two');
    rmSync(at('boot/loader/entries/ostree-2-2.conf'));
    expect(checksums()).toEqual([one.checksum.slice(0, 8)]);
    const three = await deployOne('three');
    expect(checksums()).toEqual([three.checksum, one.checksum].map((checksum) => checksum.slice(0, 8)));
    expect(entries()).toEqual(['ostree-1-1.conf', 'ostree-2-1.conf', 'ostree-2-2.conf']);
  });

  needs.it('leaves alone what is not ours', async () => {
    mkdirSync(at('boot/loader/entries'), { recursive: true });
    writeFileSync(at('boot/loader/entries/windows.conf'), 'title W\n');
    writeFileSync(at('boot/loader/loader.conf'), 'timeout 3\n');
    await deployOne('one');
    await replaceDeployments(load(), [], () => {});
    expect(entries()).toEqual(['windows.conf']);
    expect(load().deployments).toEqual([]);
    expect(deploymentDirectories(sysroot)).toEqual([]);
    expect(readFileSync(at('boot/loader/loader.conf'), 'latin1')).toBe('timeout 3\n');
  });
});
