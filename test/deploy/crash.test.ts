/** Deployments that are killed, that are interrupted, and that have to wait for each other. */
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect } from 'vitest';
import { makeOsTree } from '../os-tree.ts';
import { requires } from '../requires.ts';
import { sealtreeOk, startSealtree } from '../run.ts';
import { deploymentDirectories, removeSysroot } from '../sysroots.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const needs = requires({ root: true });
const MOMENTS = 25;

needs.describe('a deployment', () => {
  let scratch = '';
  let sysroot = '';
  const admin = (...args: readonly string[]) => sealtreeOk(['admin', `--sysroot=${sysroot}`, ...args]);
  const list = () =>
    (JSON.parse(admin('status', '--json')) as { deployments: { refspec: string }[] }).deployments.map(
      ({ refspec }) => refspec,
    );
  const start = (refspec: string) =>
    startSealtree(['admin', `--sysroot=${sysroot}`, 'deploy', '--os=os', refspec], { stdio: 'ignore' });

  beforeEach(() => {
    scratch = scratchDirectory('admin-crash');
    sysroot = join(scratch, 'sysroot');
    mkdirSync(sysroot);
    admin('init-fs', '--modern', sysroot);
    admin('stateroot-init', 'os');
    for (const name of ['one', 'two']) {
      const tree = makeOsTree(join(scratch, name), { version: name, vmlinuz: name });
      sealtreeOk(['commit', `--repo=${sysroot}/ostree/repo`, `--branch=${name}`, '--fsync=false', tree]);
    }
    admin('deploy', '--os=os', 'one');
  });
  afterEach(() => {
    removeSysroot(sysroot);
    removeDirectory(scratch);
  });

  /** Everything that the boot loader sees leads to something whole. */
  function expectBootable(): void {
    const folder = join(sysroot, 'boot/loader/entries');
    const names = readdirSync(folder);
    expect(names).toHaveLength(list().length);
    for (const name of names) {
      const text = readFileSync(join(folder, name), 'latin1');
      for (const [, path] of text.matchAll(/^(?:linux|initrd) (.*)$/gm)) {
        expect(existsSync(join(sysroot, 'boot', path as string))).toBe(true);
      }
      const target = /ostree=(\S+)/.exec(text)?.[1] as string;
      const deployment = realpathSync(join(sysroot, target));
      for (const part of ['.ostree.cfs', 'usr/bin/sh', 'etc/hostname']) {
        expect(existsSync(join(deployment, part)), part).toBe(true);
      }
      expect(existsSync(`${deployment}.origin`)).toBe(true);
    }
  }

  needs.it(
    `killed at ${MOMENTS} moments leaves the old list or the new one, whole`,
    async () => {
      const before = performance.now();
      admin('deploy', '--os=os', 'two');
      const duration = performance.now() - before;
      let current = list();
      for (let moment = 0; moment < MOMENTS; moment++) {
        const refspec = moment % 2 === 0 ? 'one' : 'two';
        const child = start(refspec);
        const closed = once(child, 'close');
        await Promise.race([setTimeout((duration * (moment + 1)) / MOMENTS), closed]);
        child.kill('SIGKILL');
        await closed;
        const now = list();
        const wanted = [refspec, current[0]];
        expect([current, wanted]).toContainEqual(now);
        current = now;
        expectBootable();
      }
      admin('cleanup');
      expect(deploymentDirectories(sysroot)).toHaveLength(current.length);
      expectBootable();
      expect(sealtreeOk(['fsck', `--repo=${sysroot}/ostree/repo`])).toContain('no errors found');
    },
    300_000,
  );

  needs.it('interrupted leaves nothing of itself', async () => {
    for (const delay of [250, 320, 400]) {
      const child = start('two');
      const closed = once(child, 'close');
      await setTimeout(delay);
      child.kill('SIGTERM');
      await closed;
      expect(deploymentDirectories(sysroot)).toHaveLength(list().length);
      expect(existsSync(join(sysroot, 'ostree/lock'))).toBe(false);
      expectBootable();
    }
  });

  needs.it('waits for another one', async () => {
    const children = ['one', 'two', 'one', 'two'].map(start);
    const statuses = await Promise.all(children.map(async (child) => (await once(child, 'close'))[0]));
    expect(statuses).toEqual([0, 0, 0, 0]);
    expect(list()).toHaveLength(2);
    expect(deploymentDirectories(sysroot)).toHaveLength(2);
    expectBootable();
  });
});
