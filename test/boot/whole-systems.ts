/**
 * Whether a disk on which the power went boots: what a boot loader finds there, after the file systems are repaired and as
 * it was found, judged by the decision of the boot program and by `image verify`.
 * @module
 */
import { byteString, displayByteString } from '../../src/core/bytes/byte-string.ts';
import type { Ext4Reader } from '../../src/core/ext4/reader.ts';
import { decideBoot } from '../../src/core/verify/boot.ts';
import { isValid } from '../../src/core/verify/report.ts';
import { findRoot, type OpenDisk, openDisk } from '../../src/disk/disk-file.ts';
import { diskSystem } from '../../src/disk/disk-system.ts';
import { verifyDisk } from '../../src/disk/verify-disk.ts';
import { unpack } from '../../src/initramfs/archives.ts';
import { decompress } from '../../src/initramfs/decompress.ts';
import { systemOf } from '../../src/initramfs/root-file-system.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { nodeSystem } from '../../src/node/system.ts';
import { run, type Word } from '../run.ts';
import { type BootKind, type MenuEntry, type Parts, readMenu } from './boot-menu.ts';
import { bootCommand } from './root.ts';

export interface Judgement {
  /** Commits of the deployments that the boot menu leads to, the default first. */
  readonly commits: readonly string[];
  /** Why the disk is not as it should be, its file systems repaired; empty if it is. */
  readonly faults: readonly string[];
  /** The same for a boot loader that replays no journal and repairs nothing. */
  readonly unrepaired: readonly string[];
}

/**
 * Judges a disk by its partitions.
 *
 * @param parts files which are changed: journals are replayed, file systems repaired
 */
export function judgeParts({ boot, root }: Parts, kind: BootKind): Judgement {
  const faults: string[] = [];
  const unrepaired: string[] = [];
  const menu = (what: string[]) =>
    attempt(what, [], () => {
      const entries = onDisk(boot, (disk) => readMenu(disk, kind));
      if (entries.length === 0) what.push('the boot menu is empty');
      return entries;
    });
  const found = menu(unrepaired);
  attempt(faults, undefined, () => {
    if (kind === 'esp') repairFat(boot);
    else repairExt4(boot);
    repairExt4(root);
  });
  const repaired = menu(faults);
  const judge = (menu: readonly MenuEntry[], what: string[]) =>
    attempt(what, [], () =>
      onDisk(root, (disk) => {
        const judgeOne = judgeRoot(disk, root, what);
        return menu.map(judgeOne);
      }),
    );
  const commits = judge(repaired, faults);
  const same = found.length === repaired.length && found.every((entry, at) => isSame(entry, repaired[at]));
  if (!same) judge(found, unrepaired);
  return { commits, faults, unrepaired };
}

/** What `work` returns; if it fails, that is noted, and `otherwise` is returned. */
function attempt<T>(faults: string[], otherwise: T, work: () => T): T {
  try {
    return work();
  } catch (error) {
    faults.push((error as Error).message);
    return otherwise;
  }
}

export function onDisk<T>(path: string, use: (disk: OpenDisk) => T): T {
  const disk = openDisk(byteString(path));
  try {
    return use(disk);
  } finally {
    disk.close();
  }
}

/** Replays the journal as the kernel does; then nothing may be left to repair. */
function repairExt4(path: string): void {
  expectStatus(bootCommand('e2fsck', ['-p', path]), 1);
  expectStatus(bootCommand('e2fsck', ['-f', '-n', path]), 0);
}

function repairFat(path: string): void {
  expectStatus(bootCommand('fsck.vfat', ['-a', path]), 1);
  expectStatus(bootCommand('fsck.vfat', ['-n', path]), 0);
}

/** @param most the highest exit status that is no failure */
function expectStatus(command: readonly Word[], most: number): void {
  const { status, stdout, stderr } = run(command);
  if (status > most || status < 0) throw new Error(`${command.slice(-3).join(' ')}: ${stdout}${stderr}`);
}

function isSame(a: MenuEntry, b: MenuEntry | undefined): boolean {
  return (
    b !== undefined &&
    a.fileName === b.fileName &&
    a.options === b.options &&
    Buffer.compare(a.kernel, b.kernel) === 0 &&
    Buffer.compare(a.initramfs, b.initramfs) === 0
  );
}

/** @returns what judges an entry of the boot menu, and returns the commit that it boots */
function judgeRoot(disk: OpenDisk, path: string, faults: string[]): (entry: MenuEntry) => string {
  const { reader } = findRoot(disk, path);
  const name = byteString(path);
  const { damage, deployments } = verifyDisk(reader, {
    ...{ system: nodeSystem, name, ownPolicy: true, onProgress: () => {} },
    facts: { cmdline: byteString(''), root: byteString('') },
  });
  for (const { object, fault } of damage) faults.push(`${displayByteString(object)}: ${fault}`);
  const whole = new Set(deployments.filter(isValid).map(({ target }) => target.name));
  return (entry) => {
    const { deployment, commit } = judgeEntry(reader, path, entry);
    if (!whole.has(deployment)) faults.push(`${entry.fileName}: ${deployment} is not whole`);
    return commit;
  };
}

/** @throws Error unless the boot program would boot it, and kernel and initramfs are its own */
function judgeEntry(reader: Ext4Reader, path: string, { fileName, options, kernel, initramfs }: MenuEntry) {
  const sysroot = byteString(path);
  const system = diskSystem(reader, sysroot, opensslHash, systemOf(unpack(initramfs, decompress).root));
  const { target, refusal } = decideBoot(system, opensslHash, {
    ...{ cmdline: options, sysroot, root: byteString(''), initramfs: true, sysrootWritable: true },
    kernel: undefined,
    bootedAt: byteString('/sysroot'),
  });
  if (refusal !== undefined || target === undefined) throw new Error(`${fileName}: ${refusal?.message}`);
  const modules = byteString(`${path}${target.deployment}/usr/lib/modules`);
  const [release] = system.readDirectory(modules) ?? [];
  for (const [name, data] of Object.entries({ vmlinuz: kernel, 'initramfs.img': initramfs })) {
    const own = system.readFile(byteString(`${modules}/${release}/${name}`), 1 << 28);
    if (own === undefined || Buffer.compare(own, data) !== 0)
      throw new Error(`${fileName}: ${name} is not that of ${target.deployment}`);
  }
  return target;
}
