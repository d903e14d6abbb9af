/**
 * Mounting a composefs image: EROFS from the image's open file, below overlayfs with the directories of backing files
 * as data-only layers. The order of calls and what is fallen back on where the kernel is older are those of
 * libcomposefs 1.0.8: Linux 6.12 mounts EROFS from a file, older ones through a loop device; Linux 6.7 takes layers
 * one by one, older ones through mount(2), with `::` between lower and data, or `:` at last.
 * @module
 */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import { hexOf } from '../bytes/hex.ts';
import { COMPOSEFS_MAGIC, FLAG_HAS_ACL, HEADER } from '../erofs/format.ts';
import { failedWith, systemCallError } from '../errno.ts';
import { MOUNT_ATTR_RDONLY, type MountCalls, MS } from './calls.ts';
import { attachLoopDevice } from './loop.ts';

/** What is wrong with the digest of an image: none that the kernel enforces, or another one. */
export type DigestFault = { readonly fault: 'none' } | { readonly fault: 'wrong'; readonly found: string };

/**
 * Compares what the kernel measured of an open image with what it must be.
 *
 * @param expected 64 lower-case hexadecimal digits
 * @returns undefined if it is so
 */
export function digestFault(calls: MountCalls, fd: number, expected: string): DigestFault | undefined {
  const measured = calls.measureVerity(fd);
  if (measured === undefined) return { fault: 'none' };
  const found = hexOf(measured.digest);
  return measured.algorithm === 'sha256' && found === expected ? undefined : { fault: 'wrong', found };
}

/**
 * Mounts an open image read-only.
 *
 * @param namespace descriptor of a user namespace by which owners are mapped
 * @throws SealtreeError `io`, with EINVAL for a file that is no composefs image
 */
export function mountImage(calls: MountCalls, fd: number, target: ByteString, namespace?: number): void {
  const acl = hasAcl(calls, fd);
  try {
    mountErofs(calls, byteString(`/proc/self/fd/${fd}`), target, acl, namespace);
  } catch (error) {
    if (!failedWith(error, 'ENOTBLK')) throw error;
    const loop = attachLoopDevice(calls, fd);
    try {
      mountErofs(calls, loop.path, target, acl, namespace);
    } finally {
      calls.close(loop.fd);
    }
  }
}

export interface ComposefsOverlay {
  /** Where the image is mounted. */
  readonly lower: ByteString;
  /** Directories with the backing files, the first that has a file counts. */
  readonly data: readonly ByteString[];
  /** `require`: no file without a digest in the image, or with another one, can be read; `try`: if the kernel can. */
  readonly verity: 'require' | 'try' | undefined;
  readonly readonly: boolean;
  /** Both or none. */
  readonly upper: ByteString | undefined;
  readonly work: ByteString | undefined;
  readonly target: ByteString;
}

/** Mounts the overlay over an image that is mounted. */
export function mountComposefsOverlay(calls: MountCalls, overlay: ComposefsOverlay): void {
  if (!mountByLayers(calls, overlay)) mountByOptions(calls, overlay);
}

const EROFS = byteString('erofs');
const OVERLAY = byteString('overlay');
const SOURCE = byteString('composefs');
const NOACL = byteString('noacl');
const HEADER_SIZE = 32;

function hasAcl(calls: MountCalls, fd: number): boolean {
  const header = calls.readStart(fd, HEADER_SIZE);
  if (header.length !== HEADER_SIZE) throw systemCallError('image', 'EINVAL');
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  if (view.getUint32(HEADER.magic, true) !== COMPOSEFS_MAGIC) throw systemCallError('image', 'EINVAL');
  return (view.getUint32(HEADER.flags, true) & FLAG_HAS_ACL) !== 0;
}

function mountErofs(
  calls: MountCalls,
  source: ByteString,
  target: ByteString,
  acl: boolean,
  namespace: number | undefined,
): void {
  let context: number;
  try {
    context = calls.openFileSystem(EROFS);
  } catch (error) {
    // Owners can only be mapped by the new calls.
    if (!failedWith(error, 'ENOSYS') || namespace !== undefined) throw error;
    calls.mount(source, target, EROFS, MS.rdonly, acl ? null : NOACL);
    return;
  }
  withDescriptor(calls, context, () => {
    calls.configureFileSystem(context, byteString('source'), source);
    calls.configureFileSystem(context, byteString('ro'));
    if (!acl) calls.configureFileSystem(context, NOACL);
    withDescriptor(calls, calls.createMount(context, MOUNT_ATTR_RDONLY), (mounted) => {
      if (namespace !== undefined) calls.mapMountOwners(mounted, namespace);
      calls.moveMount(mounted, target);
    });
  });
}

/** @returns false where the kernel does not know how */
function mountByLayers(calls: MountCalls, overlay: ComposefsOverlay): boolean {
  const { lower, data, verity, upper, work, readonly, target } = overlay;
  let context: number;
  try {
    context = calls.openFileSystem(OVERLAY);
  } catch (error) {
    if (failedWith(error, 'ENOSYS')) return false;
    throw error;
  }
  return withDescriptor(calls, context, () => {
    const set = (key: string, value: string) =>
      calls.configureFileSystem(context, byteString(key), byteString(value));
    // A kernel that takes this parses options only when it mounts, and not as these calls mean them.
    if (accepts(() => set('unsupported', 'unsupported'))) return false;
    set('source', SOURCE);
    set('metacopy', 'on');
    set('redirect_dir', 'on');
    if (verity === 'require') set('verity', 'require');
    else if (verity === 'try') accepts(() => set('verity', 'require'));
    try {
      set('lowerdir+', lower);
      for (const directory of data) set('datadir+', directory);
      if (upper !== undefined) set('upperdir', upper);
      if (work !== undefined) set('workdir', work);
    } catch (error) {
      if (failedWith(error, 'EINVAL')) return false;
      throw error;
    }
    let mounted: number;
    try {
      mounted = calls.createMount(context, readonly ? MOUNT_ATTR_RDONLY : 0);
    } catch (error) {
      if (failedWith(error, 'EINVAL')) return false;
      throw error;
    }
    withDescriptor(calls, mounted, () => calls.moveMount(mounted, target));
    return true;
  });
}

function mountByOptions(calls: MountCalls, overlay: ComposefsOverlay): void {
  const { lower, data, verity, upper, work, readonly, target } = overlay;
  const rest = [
    ...(upper === undefined ? [] : [`upperdir=${escaped(upper)}`]),
    ...(work === undefined ? [] : [`workdir=${escaped(work)}`]),
    ...(verity === 'require' ? ['verity=require'] : []),
  ];
  const attempt = (separator: string) => {
    const layers = [lower, ...data].map(escaped).join(separator);
    const text = ['metacopy=on', 'redirect_dir=on', `lowerdir=${layers}`, ...rest].join(',');
    calls.mount(SOURCE, target, OVERLAY, readonly ? MS.rdonly : 0, byteString(text));
  };
  try {
    attempt('::');
  } catch (error) {
    if (!failedWith(error, 'EINVAL')) throw error;
    attempt(':');
  }
}

function escaped(path: ByteString): string {
  return path.replace(/,/g, '\\,');
}

function accepts(configure: () => void): boolean {
  try {
    configure();
    return true;
  } catch {
    return false;
  }
}

function withDescriptor<T>(calls: MountCalls, fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    calls.close(fd);
  }
}
