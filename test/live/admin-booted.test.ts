/**
 * `ostree admin` of both tools on the system that runs: a root made of this machine's, with the sysroot, /boot and
 * /run/ostree-booted where a boot puts them, read-only where a boot leaves them so.
 */
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { type ByteString, byteString } from '../../src/core/bytes/byte-string.ts';
import { encodeVariant } from '../../src/core/gvariant/encode.ts';
import { compareTrees } from '../compare-trees.ts';
import { mountNamespace, type Namespace } from '../namespace.ts';
import { makeOsTree } from '../os-tree.ts';
import { realCommand, realOk } from '../peers.ts';
import { requires } from '../requires.ts';
import { link, type Ran } from '../run.ts';
import { deploymentDirectories, removeSysroot, sysrootDifferences } from '../sysroots.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const needs = requires({ root: true, peers: true, mount: 'overlay', programs: ['chroot', 'nsenter'] });

const ENTER = `cd "$1"
mount -t proc proc proc
mount --bind "$2" proc/cmdline
shift 2
exec chroot . "$@"`;

needs.describe('ostree admin on the running system', () => {
  let scratch = '';
  const machines: Machine[] = [];
  /** The same with a small /boot of their own. */
  const crowded: Machine[] = [];

  interface Machine {
    readonly name: string;
    readonly sysroot: string;
    readonly root: string;
    readonly namespace: Namespace;
    admin(...args: readonly string[]): Ran;
    /** A file below its root. */
    path(path: string): string;
  }

  beforeAll(async () => {
    scratch = scratchDirectory('booted');
    const source = join(scratch, 'source');
    realOk('ostree', ['init', `--repo=${source}`, '--mode=archive']);
    for (const name of ['one', 'two', 'three', 'four', 'five', 'huge']) {
      const tree = makeOsTree(join(scratch, name), {
        version: name,
        vmlinuz: name.padEnd(name === 'huge' ? 6_000_000 : 900_000),
      });
      realOk('ostree', ['commit', `--repo=${source}`, `--branch=${name}`, '--timestamp=@1700000000', tree]);
    }
    for (const name of ['theirs', 'ours']) machines.push(await boot(name, source));
    for (const name of ['theirs', 'ours']) crowded.push(await boot(name, source, '4m'));
  });
  afterAll(async () => {
    for (const { namespace, sysroot } of [...machines, ...crowded]) {
      await namespace.close();
      removeSysroot(sysroot);
    }
    removeDirectory(scratch);
  });

  async function boot(name: string, source: string, bootSize = ''): Promise<Machine> {
    const sysroot = join(scratch, name + bootSize);
    mkdirSync(sysroot);
    realOk('ostree', ['admin', 'init-fs', '--modern', sysroot]);
    realOk('ostree', ['admin', 'stateroot-init', `--sysroot=${sysroot}`, 'os']);
    realOk('ostree', ['pull-local', `--repo=${sysroot}/ostree/repo`, source]);
    realOk('ostree', ['admin', 'deploy', `--sysroot=${sysroot}`, '--os=os', '--karg=quiet', 'one']);
    const [deployment = ''] = deploymentDirectories(sysroot);
    const { dev, ino } = statSync(deployment, { bigint: true });
    const entry = readFileSync(join(sysroot, 'boot/loader/entries/ostree-1.conf'), 'latin1');
    const place = join(scratch, `${name}${bootSize}-root`);
    for (const folder of ['upper', 'work', 'root']) mkdirSync(join(place, folder), { recursive: true });
    writeFileSync(
      join(place, 'booted'),
      encodeVariant('a{sv}', [
        ['backing-root-device-inode', { type: '(tt)', value: [dev, ino] }],
      ] as unknown as Parameters<typeof encodeVariant>[1]),
    );
    writeFileSync(join(place, 'cmdline'), `${/^options (.*)$/m.exec(entry)?.[1]}\n`);
    const namespace = await mountNamespace();
    namespace.sh(
      `mount -t tmpfs tmpfs "$2/upper" && mkdir "$2/upper/u" "$2/upper/w"
       mount -t overlay -o "lowerdir=/,upperdir=$2/upper/u,workdir=$2/upper/w" overlay "$2/root"
       cd "$2/root" && mkdir -p sysroot boot run proc
       for path in sysroot boot; do
         [ $path = boot ] && from=$1/boot || from=$1
         mount --bind "$from" $path && mount -o remount,bind,ro $path
       done
       if [ -n "$3" ]; then
         umount boot && mount -t tmpfs -o "size=$3,mode=755" tmpfs boot && cp -a "$1/boot/." boot
       fi
       rm -rf ostree && ln -s sysroot/ostree ostree
       mount --rbind "$(dirname "$2")" ".$(dirname "$2")"
       mount --rbind /dev dev
       mount -t tmpfs tmpfs run && cp "$2/booted" run/ostree-booted`,
      sysroot,
      place,
      bootSize,
    );
    const root = join(place, 'root');
    const tool = (args: readonly string[]) =>
      name === 'ours' ? [process.execPath, link('ostree'), ...args] : realCommand('ostree', args);
    return {
      name,
      sysroot,
      root,
      namespace,
      // With mounts of its own, so that what one command remounts is read-only for the next, and as process 1, whose
      // mounts are those of the system.
      admin: (...args) =>
        namespace.run([
          ...['unshare', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'],
          ...['sh', '-euc', ENTER, 'sh', root, join(place, 'cmdline'), ...tool(['admin', ...args])],
        ]),
      path: (path) => namespace.path(join(root, path)),
    };
  }

  function step(...args: readonly string[]): Ran {
    return stepOn(machines, ...args);
  }

  function stepOn(pair: readonly Machine[], ...args: readonly string[]): Ran {
    const [theirs, ours] = pair.map((machine) => machine.admin(...args)) as [Ran, Ran];
    const lastLine = (text: string) => text.trimEnd().split('\n').at(-1);
    expect(ours.stdout).toBe(theirs.stdout);
    expect(lastLine(ours.stderr)).toBe(lastLine(theirs.stderr));
    expect(ours.status).toBe(theirs.status);
    const [a, b] = pair.map(({ sysroot }) => sysroot) as [string, string];
    expect(sysrootDifferences(a, b)).toEqual([]);
    const [bootA, bootB] = pair.map(({ path }) => path('boot')) as [string, string];
    expect(compareTrees(bootA, bootB).differences).toEqual([]);
    return ours;
  }

  needs.it('is what is merged with, what stays, and what is marked', () => {
    expect(step('status').stdout).toMatch(/^\* os /);
    step('deploy', '--karg=debug', 'two');
    expect(step('status').stdout).toMatch(/^ {2}os .*\(pending\)/);
    step('status', '--json');
    step('status', '--is-default');
    step('deploy', '--retain-pending', '--not-as-default', 'three');
    expect(step('status').stdout).toMatch(/\(rollback\)/);
    step('deploy', '--retain-rollback', 'two');
    step('status');
    step('pin', 'booted');
    step('pin', 'pending', 'rollback');
    step('pin', '--unpin', 'booted', 'pending', 'rollback');
    step('undeploy', '1');
    step('set-default', '1');
    step('status', '--is-default');
    step('deploy', '--retain', 'three');
    step('undeploy', '0');
    step('cleanup');
    step('status', '--print-current-dir');
  });

  needs.it('makes room on a small /boot, or says that there is none', () => {
    const step = (...args: readonly string[]) => stepOn(crowded, ...args);
    step('deploy', 'two');
    step('deploy', 'three');
    step('deploy', '--retain', 'four');
    expect(step('status').stdout.match(/^. os /gm)).toHaveLength(3);
    expect(step('deploy', '--retain-rollback', 'five').stdout.match(/Bootloader updated/g)).toHaveLength(2);
    step('status');
    const [theirs, ours] = crowded.map((machine) => machine.admin('deploy', '--retain', 'huge')) as [
      Ran,
      Ran,
    ];
    expect([theirs.status, ours.status]).toEqual([1, 1]);
    expect(ours.stderr).toContain('No space left on device');
    crowded[0]?.admin('cleanup');
    step('status');
  });

  needs.it('shows what is staged and what is unlocked', () => {
    const before = step('status').stdout;
    const [, checksum = ''] = /^\* os ([0-9a-f]{64})\.0/m.exec(before) ?? [];
    const text = (value: string) => ({ type: 's', value: byteString(value) as ByteString });
    for (const { sysroot } of machines) mkdirSync(join(sysroot, `ostree/deploy/os/deploy/${checksum}.9`));
    const target = [
      ['name', text(`${checksum}.9`)],
      ['osname', text('os')],
      ['bootcsum', text('ab'.repeat(32))],
    ];
    const staged = (locked: boolean) =>
      encodeVariant('a{sv}', [
        ['target', { type: 'a{sv}', value: target }],
        ...(locked ? [['locked', { type: 'b', value: true }]] : []),
      ] as unknown as Parameters<typeof encodeVariant>[1]);
    for (const { path } of machines) {
      mkdirSync(path(`run/ostree/deployment-state/${checksum}.0`), { recursive: true });
      writeFileSync(path(`run/ostree/deployment-state/${checksum}.0/unlocked-development`), '');
      writeFileSync(path('run/ostree/staged-deployment'), staged(false));
    }
    expect(step('status').stdout).toContain('(staged)');
    expect(step('status').stdout).toContain('Unlocked: development');
    for (const { path } of machines) writeFileSync(path('run/ostree/staged-deployment'), staged(true));
    step('status', '--json');
    expect(step('status').stdout).toContain('(finalization locked)');
    expect(machines[1]?.admin('deploy', 'two').stderr).toContain('a deployment is staged');
  });
});
