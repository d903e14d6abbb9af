/**
 * The kernel of a tree and what is booted with it: where it is, what it is called in /boot, and the boot checksum of
 * it all. Places and names are ostree's; usr/lib/modules/VERSION is where they are today.
 * @module
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import {
  type ByteString,
  byteString,
  compareByteStrings,
  displayByteString,
} from '../core/bytes/byte-string.ts';
import { isChecksum } from '../core/bytes/hex.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { isDirectory, isRegular } from '../core/fs/mode.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { entriesOf, statusOf } from './files.ts';
import { resolveInside } from './inside.ts';

/** A file in the tree and what it is called in /boot. */
export interface BootFile {
  readonly source: ByteString;
  readonly name: ByteString;
}

export interface KernelLayout {
  /** Directory that the sources are in. */
  readonly directory: ByteString;
  readonly kernel: BootFile;
  readonly hmac: BootFile | undefined;
  readonly initramfs: BootFile | undefined;
  readonly devicetree: BootFile | undefined;
  /** A whole directory of device trees, instead of one. */
  readonly devicetrees: ByteString | undefined;
  readonly aboot: BootFile | undefined;
  readonly bootChecksum: string;
}

/**
 * Finds the kernel in a deployment.
 *
 * @param root the deployment's directory
 * @throws SealtreeError `missing` in ostree's words; `malformed` for a kernel that is no regular file, or whose version
 *   cannot stand in a boot entry
 */
export function findKernel(root: ByteString): KernelLayout {
  const current = findInModules(root);
  const legacy = findLegacy(root);
  // A tree may have its kernel in the new place and the initramfs in the old one.
  if (current !== undefined && (current.initramfs !== undefined || legacy?.initramfs === undefined))
    return current;
  const found = legacy ?? current;
  if (found !== undefined) return found;
  throw new SealtreeError(
    'missing',
    'Failed to find kernel in /usr/lib/modules, /usr/lib/ostree-boot or /boot',
  );
}

function findInModules(root: ByteString): KernelLayout | undefined {
  const modules = resolveInside(root, byteString('usr/lib/modules'));
  if (modules === undefined) return undefined;
  for (const { name } of entriesOf(modules) ?? []) {
    const directory = byteString(`${modules}/${name}`);
    const folder = statusOf(directory);
    if (folder === undefined || !isDirectory(folder.mode)) continue;
    if (fileIn(directory, 'vmlinuz') === undefined) continue;
    return layoutOf(directory, requireVersion(name));
  }
  return undefined;
}

function layoutOf(directory: ByteString, version: ByteString): KernelLayout {
  const hash = createHash('sha256');
  const take = (source: string, name: string): BootFile | undefined => {
    const found = fileIn(directory, source);
    if (found === undefined) return undefined;
    return { source: found, name: byteString(name) };
  };
  const hashed = (file: BootFile | undefined): BootFile | undefined => {
    if (file !== undefined) hashFile(hash, byteString(`${directory}/${file.source}`));
    return file;
  };
  const kernel = hashed(take('vmlinuz', `vmlinuz-${version}`)) as BootFile;
  const initramfsName = `initramfs-${version}.img`;
  const initramfs = hashed(take('initramfs.img', initramfsName) ?? take('initramfs', initramfsName));
  const devicetree = hashed(take('devicetree', `devicetree-${version}`));
  const trees = devicetree === undefined ? statusOf(byteString(`${directory}/dtb`)) : undefined;
  const devicetrees = trees !== undefined && isDirectory(trees.mode) ? byteString('dtb') : undefined;
  if (devicetrees !== undefined) hashDirectory(hash, byteString(`${directory}/${devicetrees}`));
  return {
    directory,
    kernel,
    initramfs,
    devicetree,
    devicetrees,
    aboot: take('aboot.img', `aboot-${version}.img`),
    // Where dracut's FIPS module looks for it.
    hmac: take('.vmlinuz.hmac', `.${kernel.name}.hmac`),
    bootChecksum: hash.digest('hex'),
  };
}

/** `vmlinuz-VERSION-CHECKSUM` and the like, whose checksum whoever made the tree computed. */
function findLegacy(root: ByteString): KernelLayout | undefined {
  const directory =
    resolveInside(root, byteString('usr/lib/ostree-boot')) ?? resolveInside(root, byteString('boot'));
  if (directory === undefined) return undefined;
  const found = new Map<string, BootFile & { checksum: string }>();
  for (const { name: source } of entriesOf(directory) ?? []) {
    const kind = /^(vmlinuz|initramfs|devicetree)-/.exec(source)?.[1];
    if (kind === undefined || found.has(kind)) continue;
    const dash = source.lastIndexOf('-');
    const checksum = source.slice(dash + 1);
    if (!isChecksum(checksum)) continue;
    const name = requireVersion(byteString(source.slice(0, dash)));
    requireRegular(byteString(`${directory}/${source}`));
    found.set(kind, { source, name, checksum });
  }
  const kernel = found.get('vmlinuz');
  const initramfs = found.get('initramfs');
  const devicetree = found.get('devicetree');
  if (kernel === undefined) return undefined;
  if (initramfs !== undefined && initramfs.checksum !== kernel.checksum)
    throw malformed('Mismatched kernel checksum vs initrd');
  if (devicetree !== undefined && devicetree.checksum !== kernel.checksum)
    throw malformed('Mismatched kernel checksum vs device tree in tree');
  return {
    directory,
    kernel,
    initramfs,
    devicetree,
    devicetrees: undefined,
    aboot: undefined,
    hmac: undefined,
    bootChecksum: kernel.checksum,
  };
}

/** @returns the name, if there is such a file */
function fileIn(directory: ByteString, name: string): ByteString | undefined {
  const path = byteString(`${directory}/${name}`);
  if (statusOf(path) === undefined) return undefined;
  requireRegular(path);
  return byteString(name);
}

/** A symlink in its place would end up in /boot, where it leads to nothing. */
function requireRegular(path: ByteString): void {
  const status = statusOf(path);
  if (status !== undefined && isRegular(status.mode)) return;
  throw malformed(`${displayByteString(path)}: not a regular file`);
}

/** The version is part of paths in a boot entry, whose words blanks divide. */
function requireVersion(name: ByteString): ByteString {
  if (/^[^\x00-\x20\x7f]+$/.test(name)) return name;
  throw malformed(`kernel version '${displayByteString(name)}' cannot stand in a boot entry`);
}

const buffer = Buffer.alloc(1 << 20);

function hashFile(hash: Hash, path: ByteString): void {
  try {
    const fd = openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) {
        hash.update(buffer.subarray(0, length));
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw ioError(`openat(${displayByteString(path)})`, error);
  }
}

/** Contents alone, directories entered where their names stand in the order of bytes. */
function hashDirectory(hash: Hash, root: ByteString): void {
  const waiting = [root];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const status = statusOf(path);
    if (status === undefined) continue;
    if (!isDirectory(status.mode)) {
      requireRegular(path);
      hashFile(hash, path);
      continue;
    }
    const names = (entriesOf(path) ?? []).map(({ name }) => name).sort(compareByteStrings);
    for (const name of names.reverse()) waiting.push(byteString(`${path}/${name}`));
  }
}
