/**
 * What goes to the partition that firmware or boot loader read: the physical root's /boot, and EFI programs.
 * Defined by the Boot Loader Specification (uapi-group.org) and the UEFI specification 2.10, 3.5.1.1.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import type { DiskNode } from '../core/fs/disk-node.ts';
import { isDirectory, isSymlink } from '../core/fs/mode.ts';

/** What firmware starts from a disk that it knows nothing of, by the architecture as uname(2) calls it. */
export const REMOVABLE_MEDIA_NAMES: Readonly<Record<string, string>> = {
  x86_64: 'BOOTX64.EFI',
  i686: 'BOOTIA32.EFI',
  aarch64: 'BOOTAA64.EFI',
  armv7l: 'BOOTARM.EFI',
  riscv64: 'BOOTRISCV64.EFI',
  loongarch64: 'BOOTLOONGARCH64.EFI',
};

const LOADER = byteString('loader');

/**
 * The tree of /boot as FAT can hold it, which has no symlinks: `loader`, which points to the current of two folders,
 * becomes that folder, and `boot`, which points to its own folder, is left out.
 *
 * @throws SealtreeError `unsupported` for any other symlink
 */
export function withoutSymlinks(boot: DiskNode): DiskNode {
  const entries = new Map<ByteString, DiskNode>();
  const loader = boot.entries?.get(LOADER);
  for (const [name, node] of boot.entries ?? []) {
    if (/^loader\.[01]$/.test(name) && loader !== undefined && isSymlink(loader.mode)) continue;
    if (!isSymlink(node.mode)) entries.set(name, node);
    else if (name === LOADER) entries.set(name, loaderFolder(boot, node));
    else if (node.target !== '.')
      throw new SealtreeError(
        'unsupported',
        `/boot/${displayByteString(name)}: a symlink, which FAT cannot hold`,
      );
  }
  return { ...boot, entries };
}

function loaderFolder(boot: DiskNode, link: DiskNode): DiskNode {
  const target = link.target === undefined ? undefined : boot.entries?.get(link.target);
  if (target !== undefined && isDirectory(target.mode)) return target;
  throw new SealtreeError(
    'malformed',
    `/boot/loader: leads to ${displayByteString(link.target ?? LOADER)}, which is no folder there`,
  );
}

/**
 * The tree with a file more, below folders that are made where they are missing. Names of folders that are there
 * are found whatever their case, as FAT does.
 */
export function withFile(root: DiskNode, path: ByteString, file: DiskNode): DiskNode {
  const slash = path.indexOf('/');
  const entries = new Map(root.entries);
  const name = sameName(entries, byteString(slash < 0 ? path : path.slice(0, slash)));
  if (slash < 0) entries.set(name, file);
  else {
    const below = entries.get(name) ?? { ...root, entries: new Map() };
    if (below.entries === undefined)
      throw new SealtreeError('unsupported', `${displayByteString(name)} is a file, and was to be a folder`);
    entries.set(name, withFile(below, byteString(path.slice(slash + 1)), file));
  }
  return { ...root, entries };
}

/** The file at a path of the tree. */
export function findFile(root: DiskNode, path: ByteString): DiskNode | undefined {
  let node: DiskNode | undefined = root;
  for (const name of path.split('/')) {
    const { entries } = node as DiskNode;
    node = entries?.get(entries === undefined ? byteString(name) : sameName(entries, byteString(name)));
    if (node === undefined) return undefined;
  }
  return node;
}

function sameName(entries: ReadonlyMap<ByteString, DiskNode>, name: ByteString): ByteString {
  if (entries.has(name)) return name;
  const folded = name.toLowerCase();
  return [...entries.keys()].find((known) => known.toLowerCase() === folded) ?? name;
}
