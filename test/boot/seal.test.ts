/**
 * From a root tree to a running system with nothing but our own verbs: `seal` with the minimal initramfs, `image`, and
 * a machine that boots the disk. No kernel argument names the deployment.
 */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { damageFile, rootHashPlace } from '../damage-disk.ts';
import { bootProgram } from '../initramfs/program.ts';
import { requires } from '../requires.ts';
import { sealtreeOk } from '../run.ts';
import { runMachine } from './machine.ts';
import { bootRoot, kernelFiles } from './root.ts';

/** Says what root it has been given, reads what may have been changed, and powers off. */
const INIT = `#!/usr/bin/busybox sh
b=/usr/bin/busybox
echo "BOOTED $($b grep ' / ' /proc/mounts)"
$b touch /etc/new && echo "ETC $($b grep ' /etc ' /proc/mounts)"
echo "DATA $($b md5sum /usr/share/data)"
echo "OTHER $($b cat /usr/share/other)"
$b touch /usr/new
echo END
$b sync
echo o >/proc/sysrq-trigger
$b sleep 60
`;

interface Facts {
  readonly commit: string;
  readonly image: string;
  readonly publicKey: string;
}

const needs = requires({ root: true, boot: true });

needs.describe('a tree that was sealed', () => {
  let folder: string;
  let facts: Facts;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sealtree-sealed-'));
    const { vmlinuz, modules, release } = kernelFiles('6.12');
    const tree = join(folder, 'tree');
    for (const path of ['etc', 'usr/bin', 'usr/sbin', 'usr/share', 'usr/lib/modules', 'var'])
      mkdirSync(join(tree, path), { recursive: true });
    cpSync(modules, join(tree, 'usr/lib/modules', release), { recursive: true });
    cpSync(vmlinuz, join(tree, 'usr/lib/modules', release, 'vmlinuz'));
    cpSync(join(bootRoot() as string, 'usr/bin/busybox'), join(tree, 'usr/bin/busybox'), {
      dereference: true,
    });
    writeFileSync(join(tree, 'usr/lib/os-release'), 'ID=sealed\nPRETTY_NAME="Sealed 1"\n');
    writeFileSync(join(tree, 'usr/sbin/init'), INIT, { mode: 0o755 });
    writeFileSync(join(tree, 'usr/share/data'), 'x'.repeat(20_000));
    writeFileSync(join(tree, 'usr/share/other'), 'unharmed');
    for (const name of ['bin', 'sbin', 'lib']) symlinkSync(`usr/${name}`, join(tree, name));
    facts = JSON.parse(seal('out')) as Facts;
    const made = sealtreeOk(['image', '--repo=out/repo', '--output=disk.raw', '--json'], { cwd: folder });
    expect(JSON.parse(made).verityFiles).toBeGreaterThan(100);
    takeInitramfs('out', 'initramfs');
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  function seal(output: string): string {
    const program = `--program=${bootProgram()}`;
    return sealtreeOk(['seal', program, `--output=${output}`, '--generator=minimal', '--json', 'tree'], {
      cwd: folder,
    });
  }

  function takeInitramfs(output: string, name: string): void {
    const { release } = kernelFiles('6.12');
    const path = `/usr/lib/modules/${release}/initramfs.img`;
    const data = sealtreeOk(['cat', `--repo=${output}/repo`, 'os', path], { cwd: folder });
    writeFileSync(join(folder, name), Buffer.from(data, 'latin1'));
  }

  async function boot(
    disk: string,
    initrd = 'initramfs',
    qemu: readonly string[] = [],
  ): Promise<{ shown: string; seconds: number }> {
    const work = mkdtempSync(join(folder, 'machine-'));
    // The machine writes to its disk.
    spawnSync('cp', ['--sparse=always', disk, join(work, 'disk')], { cwd: folder });
    const stopped = await runMachine({
      kernel: kernelFiles('6.12').vmlinux,
      initrd: join(folder, initrd),
      append: 'console=ttyS0 panic=-1 root=LABEL=root rw',
      disks: [{ path: join(work, 'disk') }],
      qemu,
      folder: work,
      timeout: 240_000,
      // A refusal stands for 30 s before the machine is powered off.
      until: /\bEND\b|boot refused| {2}next: /,
    });
    return { shown: stopped.console.replaceAll('\r', ''), seconds: stopped.seconds };
  }

  function changed(name: string, path: string, place: number | typeof rootHashPlace): void {
    spawnSync('cp', ['--sparse=always', 'disk.raw', name], { cwd: folder });
    damageFile(join(folder, name), `ostree/deploy/default/deploy/${facts.commit}.0/${path}`, place);
  }

  it('is on its disk as it was sealed', () => {
    const key = '--keys-file=out/initramfs-root-binding.key';
    const found = sealtreeOk(['image', 'verify', key, 'disk.raw'], { cwd: folder });
    expect(found).toContain(`yes   image in the kernel: the kernel measures ${facts.image}`);
  });

  it('boots, without an argument that names it', async ({ task }) => {
    // Of a processor that some of the modules of the initramfs find nothing to do on.
    const { shown, seconds } = await boot('disk.raw', 'initramfs', ['-cpu', 'qemu64']);
    expect(shown).toMatch(/^BOOTED (composefs|overlay) \/ overlay ro,.*verity=require/m);
    expect(shown).toMatch(/^ETC overlay \/etc overlay rw/m);
    expect(shown).toContain('DATA ');
    expect(shown).toContain('OTHER unharmed');
    expect(shown).toMatch(/touch: \/usr\/new: Read-only file system/);
    task.meta.boot = { expected: 'root verified, found by its key', seen: 'booted', seconds };
  });

  it('boots and refuses just the file of which a byte was changed', async ({ task }) => {
    changed('object.raw', 'usr/share/data', 100);
    const { shown, seconds } = await boot('object.raw');
    expect(shown).toMatch(/md5sum: .*\/usr\/share\/data.*(I\/O|Input\/output) error/);
    expect(shown).toContain('OTHER unharmed');
    task.meta.boot = { expected: 'I/O error for the file', seen: 'I/O error, others read', seconds };
  });

  it('says which file was changed, and whose key protects it, where that is its init', async ({ task }) => {
    changed('init.raw', 'usr/sbin/init', 100);
    const { shown, seconds } = await boot('init.raw');
    expect(shown).not.toContain('BOOTED');
    expect(shown).toMatch(/boot refused: no init: \/sbin\/init: Input\/output error/);
    expect(shown).toMatch(/ {2}file: {5}\/sbin\/init$/m);
    expect(shown).toContain(`  key:      ${facts.publicKey}`);
    task.meta.boot = { expected: 'refused', seen: 'no init: /sbin/init: Input/output error', seconds };
  });

  it('does not boot with a changed descriptor of its image', async ({ task }) => {
    changed('image.raw', '.ostree.cfs', rootHashPlace);
    const { shown, seconds } = await boot('image.raw');
    expect(shown).not.toContain('BOOTED');
    expect(shown).toContain(`  key:      ${facts.publicKey}`);
    task.meta.boot = {
      expected: 'refused',
      seen: /refused: (.*)$/m.exec(shown)?.[1] ?? 'refused',
      seconds,
    };
  });

  it('does not boot with the initramfs of another sealing of the same tree', async ({ task }) => {
    seal('other');
    takeInitramfs('other', 'other-initramfs');
    const { shown, seconds } = await boot('disk.raw', 'other-initramfs');
    expect(shown).not.toContain('BOOTED');
    expect(shown).toMatch(/refused/);
    task.meta.boot = {
      expected: 'refused',
      seen: /refused: (.*)$/m.exec(shown)?.[1] ?? 'refused',
      seconds,
    };
  });
});
