/**
 * What the virtual machines are made of: a Debian root with QEMU and the tools of the guest, Debian's own kernels of
 * three releases unpacked into it, and the same root once more as a disk for the guest, with this Node in it. Made once
 * and kept beside the root with the real tools.
 * @module
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { distributionMirror } from '../../src/initramfs/build-root.ts';
import { findRoot, lockedScript, makeRoot, rootCommand } from '../debian.ts';
import type { Word } from '../run.ts';

/**
 * Kernels by what they are tested for: 6.1 has no data-only layers, 6.12 has all, testing's is the newest; all of them
 * are built for virtual machines, and have no f2fs, which the one for any machine has.
 */
export type Kernel = '6.1' | '6.12' | '6.12 for any machine' | 'testing';

export interface KernelFiles {
  /** The uncompressed image, which QEMU starts without firmware. */
  readonly vmlinux: string;
  /** The image as Debian ships it. */
  readonly vmlinuz: string;
  readonly release: string;
  /** The folder of its modules. */
  readonly modules: string;
}

const FOLDER = process.env.SEALTREE_BOOT ?? '/var/cache/sealtree-machines';
const CLOUD = 'cloud-amd64';
const KERNELS: Readonly<Record<Kernel, { readonly suite: string; readonly flavour: string }>> = {
  '6.1': { suite: 'bookworm', flavour: CLOUD },
  '6.12': { suite: 'trixie', flavour: CLOUD },
  '6.12 for any machine': { suite: 'trixie', flavour: 'amd64' },
  testing: { suite: 'forky', flavour: CLOUD },
};
const NAMES = Object.keys(KERNELS) as Kernel[];
const PACKAGES = [
  'ostree',
  'ostree-boot',
  'composefs',
  'fsverity',
  'erofs-utils',
  'e2fsprogs',
  'dosfstools',
  'btrfs-progs',
  'f2fs-tools',
  'fdisk',
  'kmod',
  'busybox-static',
  'xz-utils',
  'zstd',
  'lz4',
  'cpio',
  'libstdc++6',
  'strace',
  'attr',
  'qemu-system-x86',
  'ovmf',
  'sbsigntool',
  'systemd-ukify',
  'systemd-boot-efi',
];

/**
 * Unpacks the newest kernel of a suite: no initramfs is made and no maintainer script runs. Of its modules those stay
 * that a virtual machine or a file system may need.
 */
const UNPACK_KERNEL = `
  set -e
  part=$TARGET.part
  rm -rf "$TARGET" "$part"
  mkdir -p "$part/lists/partial" "$part/archives/partial" "$part/tree"
  echo "deb $MIRROR $SUITE main" >"$part/sources.list"
  mount --bind "$part" "$ROOT/mnt"
  mount --rbind /dev "$ROOT/dev"
  mount -t proc proc "$ROOT/proc"
  cp /etc/resolv.conf "$ROOT/etc/resolv.conf"
  chroot "$ROOT" sh -euc '
    cd /mnt
    options="-o Dir::Etc::sourcelist=/mnt/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=/mnt/lists
      -o Dir::Cache=/mnt -o APT::Sandbox::User=root -o Acquire::Languages=none -o Dir::State::status=/dev/null
      -o Acquire::Check-Valid-Until=false -qq"
    apt-get $options update >&2
    image=$(apt-cache $options depends "linux-image-$FLAVOUR" | grep -o "linux-image-[0-9].*-$FLAVOUR" | head -n 1)
    all=$(apt-cache $options depends "$image" | grep -o "linux-[a-z]*-[0-9].*-amd64" || true)
    apt-get $options download "$image" $all >&2
    for package in *.deb; do dpkg-deb --extract "$package" tree; done
    release=\${image#linux-image-}
    mkdir -p lib
    mv tree/usr/lib/modules lib/ || mv tree/lib/modules lib/
    [ "$FLAVOUR" != amd64 ] || (cd "lib/modules/$release/kernel" && rm -rf sound net && cd drivers &&
      find . -mindepth 1 -maxdepth 1 ! -name block ! -name virtio ! -name md -exec rm -rf {} +)
    depmod --basedir=/mnt "$release"
    for name in vmlinuz config; do
      mv tree/boot/$name-$release . || mv lib/modules/$release/$name $name-$release
    done
    rm -rf tree lists archives sources.list *.deb *.bin
    echo "$release" >release
  '
  mv "$part" "$TARGET"`;

/** The kernel inside a bzImage: the payload that the header of the boot protocol points at, without its last 4 bytes. */
const UNPACK_VMLINUX = `
  set -e
  field() { od -A n -t u$2 -j $1 -N $2 "$image" | tr -d ' '; }
  for image in "$FOLDER"/kernel-*/vmlinuz-*; do
    folder=\${image%/*}
    [ ! -e "$folder/vmlinux" ] || continue
    start=$((($(field 497 1) + 1) * 512 + $(field 584 4)))
    length=$(($(field 588 4) - 4))
    tail -c +$((start + 1)) "$image" | head -c $length >"$folder/payload"
    case $(od -A n -t x1 -N 2 "$folder/payload" | tr -d ' ') in
      fd37) program=xz ;;
      28b5) program=zstd ;;
      0221) program=lz4 ;;
      *) program=gzip ;;
    esac
    "$ROOT/lib64/ld-linux-x86-64.so.2" --library-path "$ROOT/usr/lib/x86_64-linux-gnu" "$ROOT/usr/bin/$program" \\
      -dc <"$folder/payload" >"$folder/vmlinux.part"
    rm "$folder/payload"
    mv "$folder/vmlinux.part" "$folder/vmlinux"
  done`;

/** The root as a disk. What only the host runs is left out of it. */
const MAKE_DISK = `
  set -e
  tree=$FOLDER/disk.tree
  rm -rf "$tree" "$FOLDER/root.ext4"
  mkdir "$tree"
  cp -a "$ROOT/." "$tree/"
  rm -rf "$tree"/usr/share/doc "$tree"/usr/share/man "$tree"/usr/share/locale "$tree"/usr/share/qemu \\
    "$tree"/usr/share/OVMF "$tree"/usr/share/ovmf "$tree"/usr/bin/qemu-* "$tree"/usr/lib/ipxe "$tree"/var/cache/* \\
    "$tree"/var/lib/apt/lists/*
  mkdir -p "$tree/opt/node" "$tree/payload" "$tree/disk"
  mkdir -p "$tree/usr/lib/modules"
  cp -a "$FOLDER"/kernel-*/lib/modules/* "$tree/usr/lib/modules/"
  cp "$NODE" "$tree/opt/node/node"
  ln -s /opt/node/node "$tree/usr/local/bin/node"
  size=$(($(du -sm "$tree" | cut -f 1) * 5 / 4 + 64))
  MKE2FS_CONFIG=/dev/null $MKFS -q -F -O ^has_journal -m 0 -E root_owner=0:0 -d "$tree" "$FOLDER/root.part" "\${size}M"
  rm -rf "$tree"
  mv "$FOLDER/root.part" "$FOLDER/root.ext4"`;

/** The root with QEMU, OVMF and the tools that make disks, if everything was made. */
export function bootRoot(): string | undefined {
  const root = findRoot(FOLDER, PACKAGES);
  if (root === undefined || readIfThere(join(FOLDER, 'disk.complete')) !== diskKey()) return undefined;
  return NAMES.every((kernel) => kernelFolder(kernel) !== undefined) ? root : undefined;
}

/** The root as an ext4 disk, to be attached read-only. */
export function rootDisk(): string {
  return join(FOLDER, 'root.ext4');
}

export function kernelFiles(kernel: Kernel): KernelFiles {
  const folder = kernelFolder(kernel);
  const image =
    folder === undefined ? undefined : readdirSync(folder).find((name) => name.startsWith('vmlinuz-'));
  const root = findRoot(FOLDER, PACKAGES);
  if (folder === undefined || image === undefined || root === undefined)
    throw new Error(`no kernel ${kernel}`);
  const release = image.slice('vmlinuz-'.length);
  return {
    vmlinux: join(folder, 'vmlinux'),
    vmlinuz: join(folder, image),
    release,
    modules: join(folder, 'lib/modules', release),
  };
}

/** Why there are no virtual machines; undefined if there are. */
export function whyNoBoot(): string | undefined {
  if (bootRoot() !== undefined) return undefined;
  return (
    process.env.SEALTREE_BOOT_FAILURE ?? `run npm run test:boot once as root to have them made in ${FOLDER}`
  );
}

/** The command that runs a program of the boot root on the host. */
export function bootCommand(name: string, args: readonly Word[]): Word[] {
  const root = findRoot(FOLDER, PACKAGES);
  if (root === undefined) throw new Error(`no ${name}: ${whyNoBoot()}`);
  return rootCommand(root, name, args);
}

/** Makes everything unless it is there; runs at the same time share it. A failure is kept for `whyNoBoot`. */
export function makeBootRoot(): void {
  if (bootRoot() !== undefined || process.getuid?.() !== 0) return;
  try {
    if (process.arch !== 'x64') throw new Error(`no virtual machine is known for ${process.arch}`);
    const root = makeRoot(FOLDER, PACKAGES);
    const mirror = distributionMirror();
    for (const kernel of NAMES) {
      if (kernelFolder(kernel) !== undefined) continue;
      lockedScript(FOLDER, `[ -e "$TARGET" ] || unshare --mount sh -c '${quoted(UNPACK_KERNEL)}'`, {
        TARGET: folderOf(kernel),
        ROOT: root,
        SUITE: KERNELS[kernel].suite,
        FLAVOUR: KERNELS[kernel].flavour,
        MIRROR: mirror,
      });
    }
    lockedScript(FOLDER, UNPACK_VMLINUX, { FOLDER, ROOT: root });
    const mkfs = rootCommand(root, 'mkfs.ext4', []).join(' ');
    const complete = join(FOLDER, 'disk.complete');
    const key = diskKey();
    lockedScript(
      FOLDER,
      `[ "$(cat ${complete} 2>/dev/null)" != "${key}" ] || exit 0\n${MAKE_DISK}\nprintf %s "${key}" >${complete}`,
      { FOLDER, ROOT: root, NODE: process.execPath, MKFS: mkfs },
    );
  } catch (error) {
    process.env.SEALTREE_BOOT_FAILURE = (error as Error).message;
  }
}

/** What the disk was made of, so that another Node or another recipe makes another disk. */
function diskKey(): string {
  const kernels = NAMES.map((kernel) => readIfThere(join(folderOf(kernel), 'release')) ?? kernel);
  return createHash('sha256')
    .update([PACKAGES, kernels, process.version, UNPACK_KERNEL, MAKE_DISK].join('\n'))
    .digest('hex');
}

function kernelFolder(kernel: Kernel): string | undefined {
  const folder = folderOf(kernel);
  return existsSync(join(folder, 'vmlinux')) ? folder : undefined;
}

function folderOf(kernel: Kernel): string {
  const { suite, flavour } = KERNELS[kernel];
  return join(FOLDER, `kernel-${suite}${flavour === CLOUD ? '' : `-${flavour}`}`);
}

function quoted(script: string): string {
  return script.replaceAll("'", `'\\''`);
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
