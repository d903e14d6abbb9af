/** Deploying through the functions that makers of disk images call. */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { deploy } from '../../src/deploy/deploy.ts';
import { deploymentPath } from '../../src/deploy/deployment.ts';
import { initFs, initStateroot } from '../../src/deploy/init.ts';
import { makeOsTree } from '../os-tree.ts';
import { requires } from '../requires.ts';
import { sealtreeOk } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const needs = requires({ root: true });

needs.describe('deploy()', () => {
  let scratch = '';
  beforeAll(() => {
    scratch = scratchDirectory('deploy');
  });
  afterAll(() => {
    sealtreeOk(['admin', 'undeploy', `--sysroot=${join(scratch, 'sysroot')}`, '0']);
    removeDirectory(scratch);
  });

  needs.it('makes a sysroot that boots the commit', async () => {
    const path = byteString(join(scratch, 'sysroot'));
    const tree = makeOsTree(join(scratch, 'tree'));
    mkdirSync(path);
    initFs(path, 1);
    initStateroot(path, byteString('os'));
    const commit = sealtreeOk(['commit', `--repo=${path}/ostree/repo`, '--branch=main', tree]).trim();
    const messages: string[] = [];
    const made = await deploy(path, {
      stateroot: byteString('os'),
      refspec: byteString('main'),
      arguments: { set: [byteString('root=LABEL=root')] },
      report: (message) => messages.push(message),
    });
    expect(made).toMatchObject({ checksum: commit, serial: 0, bootSerial: 0, stateroot: 'os' });
    expect(messages).toEqual([
      "Relabeling /var (no stamp file 'var/.ostree-selabeled' found)",
      'Bootloader updated; bootconfig swap: yes; bootversion: boot.1.1, deployment count change: 1',
    ]);
    const link = `${path}/ostree/boot.1/os/${made.bootChecksum}/0`;
    expect(readlinkSync(link)).toBe(`../../../deploy/os/deploy/${commit}.0`);
    expect(lstatSync(join(path, deploymentPath(made), 'usr/bin/sh')).nlink).toBe(2);
    expect(existsSync(join(path, deploymentPath(made), '.ostree.cfs'))).toBe(true);
    expect(readdirSync(join(path, 'boot/loader/entries'))).toEqual(['ostree-1.conf']);
    expect(readFileSync(join(path, 'boot/loader/entries/ostree-1.conf'), 'latin1')).toBe(
      `title Test OS 1 (ostree:0)\nversion 1\noptions root=LABEL=root ostree=/ostree/boot.1/os/${made.bootChecksum}/0\n` +
        `linux /ostree/os-${made.bootChecksum}/vmlinuz-6.12.0-test\ninitrd /ostree/os-${made.bootChecksum}/initramfs-6.12.0-test.img\n`,
    );
  });
});
