/** What a commit's prepare-root.conf demands of the file system is known when it is deployed. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { makeOsTree } from '../os-tree.ts';
import { requires } from '../requires.ts';
import { sealtree, sealtreeOk } from '../run.ts';
import { deploymentDirectories, removeSysroot } from '../sysroots.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const needs = requires({ root: true });
const PREFIX = 'Deploying tree: Initializing deployment: Checking out deployment tree: ';
const hasVerity = requires({ fsverity: true }).reason === undefined;

needs.describe('a tree that demands fs-verity', () => {
  let scratch = '';
  let sysroot = '';
  beforeAll(() => {
    scratch = scratchDirectory('policy');
    sysroot = join(scratch, 'sysroot');
    mkdirSync(sysroot);
    sealtreeOk(['admin', 'init-fs', '--modern', sysroot]);
    sealtreeOk(['admin', 'stateroot-init', `--sysroot=${sysroot}`, 'os']);
    for (const mode of ['yes', 'verity', 'signed']) {
      const tree = makeOsTree(join(scratch, mode), { prepareRoot: `[composefs]\nenabled = ${mode}\n` });
      const repo = `--repo=${sysroot}/ostree/repo`;
      sealtreeOk([
        'commit',
        repo,
        `--branch=${mode}`,
        '--generate-composefs-metadata',
        '--fsync=false',
        tree,
      ]);
    }
  });
  afterAll(() => {
    removeSysroot(sysroot);
    removeDirectory(scratch);
  });

  const deploy = (mode: string, ...options: string[]) =>
    sealtree(['admin', 'deploy', `--sysroot=${sysroot}`, '--os=os', ...options, mode]);

  needs.it('by a signature has to have one, and the digest that it is for', () => {
    const key = join(scratch, 'key');
    sealtreeOk(['keys', 'generate', key]);
    const repo = `--repo=${sysroot}/ostree/repo`;
    const refusal = (missing: string) => ({
      stderr: `error: ${PREFIX}the tree says composefs.enabled=signed, and its commit ${missing}: it would not boot\n`,
      status: 1,
    });
    expect(deploy('signed')).toMatchObject(refusal('has no signature'));
    sealtreeOk(['commit', repo, '--branch=plain', '--fsync=false', join(scratch, 'signed')]);
    for (const name of ['signed', 'plain']) sealtreeOk(['sign', repo, `--keys-file=${key}.secret`, name]);
    expect(deploy('plain')).toMatchObject(refusal('names no composefs digest'));
  });

  for (const mode of ['verity', 'signed']) {
    needs.it(`by ${mode} is refused where there is none, at once and whole`, () => {
      if (hasVerity) return;
      expect(deploy(mode)).toMatchObject({
        stderr: `error: ${PREFIX}the tree says composefs.enabled=${mode}, and this file system has no fs-verity: it would not boot\n`,
        status: 1,
      });
      expect(deploymentDirectories(sysroot)).toEqual([]);
      expect(existsSync(join(sysroot, 'boot/loader'))).toBe(false);
    });
  }

  needs.it('is deployed where somebody else turns it on, and one that demands none everywhere', () => {
    expect(deploy('yes')).toMatchObject({ stderr: '', status: 0 });
    expect(deploy('signed', '--verity-later')).toMatchObject({ stderr: '', status: 0 });
    const [image] = deploymentDirectories(sysroot).map((directory) => join(directory, '.ostree.cfs'));
    expect(existsSync(image as string)).toBe(true);
  });

  needs.it('is not refused where sealtree is ostree, which lets it pass', () => {
    const args = ['admin', 'deploy', `--sysroot=${sysroot}`, '--os=os', 'verity'];
    expect(sealtree(args, { program: 'ostree' })).toMatchObject({ stderr: '', status: 0 });
  });
});
