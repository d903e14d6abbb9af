/**
 * A Debian root as somebody would seal it, with systemd and the two generators of an initramfs. Made once and kept
 * outside the clone; each use sees it through an overlay of its own, which goes with its mount namespace.
 * @module
 */
import { copyFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findRoot, makeRoot } from '../debian.ts';
import { mountNamespace } from '../namespace.ts';
import { expectSuccess, link } from '../run.ts';
import { type Kernel, kernelFiles } from './root.ts';

const FOLDER = process.env.SEALTREE_SYSTEM ?? '/var/cache/sealtree-system';
const PACKAGES = [
  'systemd',
  'systemd-sysv',
  'udev',
  'ostree',
  'ostree-boot',
  'dracut-core',
  'initramfs-tools-core',
  'busybox',
  'kmod',
  'zstd',
  'cpio',
];

/** Where the root is, which is made if it is not there: that takes a minute. */
export function systemRoot(): string {
  return findRoot(FOLDER, PACKAGES) ?? makeRoot(FOLDER, PACKAGES);
}

export interface SystemTree {
  /** For sealtree and the test itself: the tree seen from the host. */
  readonly path: string;
  readonly release: string;
  /** Shell lines in the tree, which must succeed. @returns their output */
  sh(script: string): string;
  /** `sealtree initramfs install` into the tree, which must succeed. */
  install(...args: readonly string[]): string;
  /** Has the generator make an initramfs for the kernel. @returns a copy of it */
  initramfs(generator: 'dracut' | 'initramfs-tools', copy: string): string;
  close(): Promise<void>;
}

const MOUNT = `
  mount -t tmpfs -o size=2g tmp /mnt
  mkdir /mnt/upper /mnt/work /mnt/tree
  mount -t overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/tree
  mkdir -p "/mnt/tree/usr/lib/modules/$3" /mnt/tree/boot
  mount --bind "$2" "/mnt/tree/usr/lib/modules/$3"
  mount -t proc proc /mnt/tree/proc
  mount -t sysfs sysfs /mnt/tree/sys
  mount --bind /dev /mnt/tree/dev
  mount -t tmpfs tmp /mnt/tree/run
  cp "$4" "/mnt/tree/boot/config-$3"`;

const GENERATE = {
  dracut: `dracut --quiet --force --no-hostonly --no-hostonly-cmdline --no-early-microcode --compress zstd \\
    --add-drivers 'virtio_blk virtio_pci ext4' --kver RELEASE /initramfs`,
  'initramfs-tools': 'mkinitramfs -o /initramfs RELEASE',
};

/** A tree with the modules of a kernel, to install into and to make an initramfs from. */
export async function systemTree(kernel: Kernel): Promise<SystemTree> {
  const { vmlinuz, modules, release } = kernelFiles(kernel);
  const root = systemRoot();
  const space = await mountNamespace();
  space.sh(MOUNT, root, modules, release, join(dirname(vmlinuz), `config-${release}`));
  const path = '/mnt/tree';
  const inside = (words: readonly string[]) =>
    expectSuccess(
      space.run(words, { timeout: 300_000, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }),
      words,
    );
  return {
    path: space.path(path),
    release,
    sh: (script) => inside(['chroot', path, 'sh', '-euc', script]),
    install: (...args) =>
      inside([process.execPath, link(), 'initramfs', 'install', `--root=${path}`, ...args]),
    initramfs(generator, copy) {
      inside(['nice', 'chroot', path, 'sh', '-euc', GENERATE[generator].replaceAll('RELEASE', release)]);
      copyFileSync(space.path(`${path}/initramfs`), copy);
      return copy;
    },
    close: () => space.close(),
  };
}
