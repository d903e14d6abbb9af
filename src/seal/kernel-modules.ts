/**
 * The kernel modules that stand between an initramfs of ours and the root file system, with all that they need,
 * in the order in which they are to be loaded. Formats: modules.dep(5), and modules.builtin beside it.
 * @module
 */
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { decompress } from '../initramfs/decompress.ts';
import type { RootTree } from '../node/root-tree.ts';

export interface KernelModule {
  /** Below the modules of the kernel, without compression: `kernel/fs/erofs/erofs.ko`. */
  readonly path: ByteString;
  readonly data: Uint8Array;
}

/**
 * What a machine or a virtual one may have its disk behind, file systems, and the checksums that ext4 asks the kernel
 * for by name. One that the kernel has not is passed over: it may be built in.
 */
const MODULES = [
  ...['crc32c_generic', 'crc32c-intel', 'crc32c-cryptoapi', 'sha256_generic'],
  ...['virtio_pci', 'virtio_blk', 'virtio_scsi', 'sd_mod', 'ahci', 'nvme'],
  ...['ext4', 'erofs', 'overlay', 'loop'],
];

const TEXT_LIMIT = 16 * 1024 * 1024;
const MODULE_LIMIT = 64 * 1024 * 1024;

/**
 * Reads the modules.
 *
 * @param more names of further modules, which must be there or built in
 * @throws SealtreeError `missing`
 */
export function kernelModules(
  tree: RootTree,
  version: ByteString,
  more: readonly ByteString[],
): KernelModule[] {
  const folder = byteString(`/usr/lib/modules/${version}`);
  const dependencies = readDependencies(tree, folder);
  const builtIn = new Set((readLines(tree, byteString(`${folder}/modules.builtin`)) ?? []).map(nameOf));
  const ordered: ByteString[] = [];
  const seen = new Set<ByteString>();
  for (const name of [...MODULES.map((word) => byteString(word)), ...more]) {
    const path = dependencies.byName.get(nameOf(name));
    if (path !== undefined) addInOrder(path, dependencies.needs, ordered, seen);
    else if (more.includes(name) && !builtIn.has(nameOf(name)))
      throw new SealtreeError('missing', `${tree.show(folder)}: no module ${displayByteString(name)}`);
  }
  return ordered.map((path) => readModule(tree, folder, path));
}

/** Each behind those that it needs; modules.dep has them all, those needed first at the end of a line. */
function addInOrder(
  path: ByteString,
  needs: ReadonlyMap<ByteString, readonly ByteString[]>,
  ordered: ByteString[],
  seen: Set<ByteString>,
): void {
  for (const one of [...(needs.get(path) ?? [])].reverse().concat(path)) {
    if (seen.has(one)) continue;
    seen.add(one);
    ordered.push(one);
  }
}

function readDependencies(
  tree: RootTree,
  folder: ByteString,
): { byName: Map<string, ByteString>; needs: Map<ByteString, ByteString[]> } {
  const path = byteString(`${folder}/modules.dep`);
  const lines = readLines(tree, path);
  if (lines === undefined)
    throw new SealtreeError(
      'missing',
      `${tree.show(path)}: No such file or directory: run depmod on the tree`,
    );
  const byName = new Map<string, ByteString>();
  const needs = new Map<ByteString, ByteString[]>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon < 0) throw malformed(`${tree.show(path)}: line without a colon`);
    const module = byteString(line.slice(0, colon));
    const needed = line
      .slice(colon + 1)
      .split(' ')
      .filter((word) => word !== '');
    byName.set(nameOf(module), module);
    needs.set(
      module,
      needed.map((word) => byteString(word)),
    );
  }
  return { byName, needs };
}

/** `virtio_blk` for `kernel/drivers/block/virtio-blk.ko.xz`: the kernel makes no difference between - and _. */
function nameOf(path: string): string {
  return path
    .replace(/^.*\//, '')
    .replace(/\.ko(\.[a-z]+)?$/, '')
    .replaceAll('-', '_');
}

/** Without its compression: not every kernel can take it off. */
function readModule(tree: RootTree, folder: ByteString, path: ByteString): KernelModule {
  const place = byteString(`${folder}/${path}`);
  const found = tree.read(place, MODULE_LIMIT);
  if (found === undefined)
    throw new SealtreeError('missing', `${tree.show(place)}: No such file or directory`);
  const suffix = /\.(gz|xz|zst)$/.exec(path)?.[1];
  if (suffix === undefined) return { path, data: found.data };
  const kinds = { gz: 'gzip', xz: 'xz', zst: 'zstd' } as const;
  const { content } = decompress(kinds[suffix as keyof typeof kinds], found.data, 0, MODULE_LIMIT);
  return { path: byteString(path.slice(0, -suffix.length - 1)), data: content };
}

function readLines(tree: RootTree, path: ByteString): string[] | undefined {
  const found = tree.read(path, TEXT_LIMIT);
  return found === undefined
    ? undefined
    : byteStringFrom(found.data)
        .split('\n')
        .filter((line) => line !== '');
}
