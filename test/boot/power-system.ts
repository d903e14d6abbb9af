/**
 * A small sealed system in three versions, and a disk with the first of them. Booted with tools beside it, it deploys
 * the second and then the third to its own disk; booted alone it says which version it is.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { displayByteString } from '../../src/core/bytes/byte-string.ts';
import { bootProgram } from '../initramfs/program.ts';
import { sealtreeOk } from '../run.ts';
import { type BootKind, partsOf, readMenu } from './boot-menu.ts';
import { copyTool, makeDisk } from './guest.ts';
import { runMachine, type Stopped } from './machine.ts';
import { bootRoot, kernelFiles, rootDisk } from './root.ts';
import { onDisk } from './whole-systems.ts';
import { type LogEntry, readWriteLog } from './write-log.ts';

export interface PowerSystem {
  readonly folder: string;
  /** Commits of the versions, the first one first. */
  readonly commits: readonly string[];
  /** Disks for it to deploy with: Node, and the tool with the second and the third version. */
  readonly tools: readonly string[];
}

export interface Recording {
  /** The disk before the machine ran. */
  readonly disk: string;
  /** What was written to it and flushed. */
  readonly log: readonly LogEntry[];
}

const KERNEL = '6.12';
const VERSIONS = [1, 2, 3] as const;
/** Sectors between the partition table and the first partition: writes there mark places in the log. */
export const MARK_OFFSET = 32_768;
/** For a /boot on FAT, besides those on the way to the root. */
const FAT_MODULES = ['vfat', 'nls_cp437', 'nls_ascii', 'nls_utf8'];
const MODULES = ['virtio_pci', 'virtio_blk', 'erofs', 'overlay', ...FAT_MODULES];

const INIT = `#!/usr/bin/busybox sh
b=/usr/bin/busybox
echo "BOOTED version $($b cat /usr/share/version): $($b grep ' / ' /proc/mounts)"
if [ -b /dev/vdb ]; then
  $b mkdir -p /run/debian /run/tools
  $b mount -t ext4 -o ro /dev/vdb /run/debian
  $b mount -t ext4 -o ro /dev/vdc /run/tools
  $b sh -eu /run/tools/record || echo "RECORD failed with $?"
fi
echo END
$b sync
echo o >/proc/sysrq-trigger
$b sleep 60
`;

/** Node and its libraries come from the Debian root, without a change of root: the system is the one that runs. */
const RECORD = `
b=/usr/bin/busybox
$b mkdir -p /run/bin
for name in sh fsfreeze; do $b ln -sf $b /run/bin/$name; done
export PATH=/run/bin HOME=/run LANG=C.UTF-8 TZ=UTC
sealtree() {
  /run/debian/lib64/ld-linux-x86-64.so.2 --library-path /run/debian/usr/lib/x86_64-linux-gnu /run/debian/opt/node/node \\
    /run/tools/sealtree/dist/sealtree.js "$@"
}
mark() { printf '%-512s' "$1" | $b dd of=/dev/vda bs=512 seek=${MARK_OFFSET / 512} conv=notrunc,fsync 2>/dev/null; }
$b mount -t ext4 /dev/vda1 /boot 2>/dev/null || $b mount -t vfat /dev/vda1 /boot
$b mount -o remount,rw /sysroot
$b mount -o bind /sysroot/ostree/deploy/default/var /var
sealtree pull-local --repo=/sysroot/ostree/repo /run/tools/repo v2 v3
$b sync
for version in 2 3; do
  mark "begin deploy $version"
  sealtree admin deploy v$version
  mark "end deploy $version"
done
# An entry that is on the disk before what it names.
entry=$($b ls /boot/loader/entries/* | $b tail -n 1)
linux=$($b sed -n 's/^linux //p' $entry)
$b mkdir /boot/ostree/careless
$b cp /boot/\${linux%/*}/* /boot/ostree/careless/
$b sed "s,\${linux%/*},/ostree/careless," $entry | $b dd of=/boot/loader/entries/ostree-99-1.conf conv=fsync 2>/dev/null
mark "begin careless update"
$b umount /boot
mark "end careless update"
echo RECORDED
`;

/** Seals the three versions. */
export function makePowerSystem(folder: string): PowerSystem {
  const tree = join(folder, 'tree');
  makeTree(tree);
  const commits = VERSIONS.map((version) => {
    writeFileSync(join(tree, 'usr/share/version'), String(version));
    writeFileSync(join(tree, 'usr/share/data'), `${version}`.repeat(200_000));
    writeFileSync(
      join(tree, 'usr/lib/os-release'),
      `ID=sealed\nVERSION_ID=${version}\nPRETTY_NAME="Sealed ${version}"\n`,
    );
    const options = [
      ...['--json', '--repo=repo', `--output=${folder}`, `--branch=v${version}`, '--generator=minimal'],
      ...[`--program=${bootProgram()}`, `--add-metadata-string=version=${version}`],
      ...FAT_MODULES.map((name) => `--module=${name}`),
    ];
    const sealed = sealtreeOk(['seal', ...options, tree], { cwd: folder });
    return (JSON.parse(sealed) as { commit: string }).commit;
  });
  const payload = join(folder, 'payload');
  mkdirSync(payload);
  copyTool(join(payload, 'sealtree'));
  cpSync(join(folder, 'repo'), join(payload, 'repo'), { recursive: true, verbatimSymlinks: true });
  writeFileSync(join(payload, 'record'), RECORD);
  return { folder, commits, tools: [rootDisk(), makeDisk(join(folder, 'tools.ext4'), { tree: payload })] };
}

/** Boots the first version and has it deploy the others. */
export async function record({ folder, tools }: PowerSystem, kind: BootKind): Promise<Recording> {
  const place = join(folder, kind);
  mkdirSync(place);
  const disk = join(place, 'disk.raw');
  const words = ['root=/dev/vda2', 'rw', 'console=ttyS0', 'panic=-1'];
  const kargs = words.map((word) => `--karg=${word}`);
  const sizes = ['--boot-size=64M', '--size=256M'];
  sealtreeOk(['image', '--repo=repo', '--ref=v1', `--boot=${kind}`, ...sizes, ...kargs, `--output=${disk}`], {
    cwd: folder,
  });
  const log = join(place, 'log');
  writeFileSync(log, '');
  const run = join(place, 'run.raw');
  copySparse(disk, run);
  const stopped = await bootDisk(run, kind, { log, others: tools });
  if (!/^RECORDED\r?$/m.test(stopped.console))
    throw new Error(`${stopped.complaint}\n${stopped.console.slice(-6000)}`);
  rmSync(run);
  return { disk, log: readWriteLog(log) };
}

/** Boots what a boot loader would take from the boot partition of a disk. */
export async function bootDisk(
  disk: string,
  kind: BootKind,
  { log, others = [] }: { log?: string; others?: readonly string[] } = {},
): Promise<Stopped> {
  const folder = mkdtempSync(`${disk}-`);
  const [entry] = onDisk(disk, (opened) => {
    const { start, size } = partsOf(opened).boot;
    return readMenu({ size, read: (at, length) => opened.read(start + at, length) }, kind);
  });
  if (entry === undefined) throw new Error('the boot partition has no entry');
  const [kernel, initrd] = [join(folder, 'kernel'), join(folder, 'initrd')];
  writeFileSync(kernel, entry.kernel);
  writeFileSync(initrd, entry.initramfs);
  return runMachine({
    kernel,
    initrd,
    append: displayByteString(entry.options),
    disks: [
      { path: disk, ...(log === undefined ? {} : { log }) },
      ...others.map((path) => ({ path, readonly: true as const })),
    ],
    folder,
    timeout: 300_000,
    until: /boot refused| {2}next: /,
  });
}

export function copySparse(from: string, to: string): void {
  const { status, stderr } = spawnSync('cp', ['--sparse=always', from, to], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

/** The root tree: init, busybox, a kernel and no more of its modules than are needed. */
function makeTree(tree: string): void {
  const { vmlinuz, modules, release } = kernelFiles(KERNEL);
  for (const path of ['boot', 'etc', 'usr/bin', 'usr/sbin', 'usr/share', 'var'])
    mkdirSync(join(tree, path), { recursive: true });
  const place = join(tree, 'usr/lib/modules', release);
  mkdirSync(place, { recursive: true });
  cpSync(vmlinuz, join(place, 'vmlinuz'));
  const lines = readFileSync(join(modules, 'modules.dep'), 'utf8').split('\n');
  const wanted = lines.filter((line) => MODULES.includes(/([^/]*?)\.ko/.exec(line)?.[1] ?? ''));
  const paths = new Set(wanted.flatMap((line) => line.split(/[: ]+/)).filter((path) => path !== ''));
  for (const path of paths) cpSync(join(modules, path), join(place, path), { recursive: true });
  writeFileSync(
    join(place, 'modules.dep'),
    lines.filter((line) => paths.has(line.split(':')[0] ?? '')).join('\n'),
  );
  cpSync(join(modules, 'modules.builtin'), join(place, 'modules.builtin'));
  cpSync(join(bootRoot() as string, 'usr/bin/busybox'), join(tree, 'usr/bin/busybox'), { dereference: true });
  writeFileSync(join(tree, 'usr/sbin/init'), INIT, { mode: 0o755 });
  for (const name of ['bin', 'sbin', 'lib']) symlinkSync(`usr/${name}`, join(tree, name));
}
