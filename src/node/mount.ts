/**
 * Mounting a composefs image: EROFS from the image's file, below overlayfs with the directories of backing files as
 * data-only layers. The order of calls and what is fallen back on where the kernel is older are those of
 * mount.composefs 1.0.8: Linux 6.12 mounts EROFS from a file, older ones through a loop device; Linux 6.7 takes
 * layers one by one, older ones through mount(2), with `::` between lower and data, or `:` at last.
 * @module
 */
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmdirSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { readImageInfo } from '../core/erofs/reader.ts';
import { SealtreeError } from '../core/errors.ts';
import { fsPath } from './fs-path.ts';
import { ioError, isErrno, systemCallError } from './io-error.ts';
import {
  attachLoopDevice,
  configureFileSystem,
  createMount,
  MNT_DETACH,
  MOUNT_ATTR_RDONLY,
  MS_RDONLY,
  mapMountOwners,
  mount,
  moveMount,
  openFileSystem,
  umount,
} from './mount-syscalls.ts';
import { onExit } from './on-exit.ts';
import { queryVerity } from './syscalls.ts';
import { answersForVerity } from './system.ts';

export interface ComposefsMount {
  readonly image: ByteString;
  readonly mountPoint: ByteString;
  /** Directories with the backing files, the first that has a file counts. At least one. */
  readonly directories: readonly ByteString[];
  /** fs-verity digest that the kernel must measure of the image: 64 hexadecimal digits. */
  readonly digest?: string | undefined;
  /** `require`: no file without a digest in the image, or with another one, can be read; `try`: if the kernel can. */
  readonly verity?: 'require' | 'try' | undefined;
  readonly readonly?: boolean | undefined;
  /** Both or none. */
  readonly upper?: ByteString | undefined;
  readonly work?: ByteString | undefined;
  /** A user namespace file by which owners are mapped. */
  readonly idmap?: ByteString | undefined;
}

const EINVAL = 22;
const SOURCE = byteString('composefs');

/**
 * Mounts an image.
 *
 * @throws SealtreeError in the words of mount.composefs: `Failed to mount composefs IMAGE: Image has no fs-verity`
 */
export function mountComposefs(options: ComposefsMount): void {
  const { image, idmap } = options;
  const namespace = idmap === undefined ? undefined : openOrSay(idmap, 'userns ');
  try {
    const fd = openOrSay(image, '');
    try {
      mountOpenImage(fd, options, namespace);
    } catch (error) {
      throw failure(image, error);
    } finally {
      closeSync(fd);
    }
  } finally {
    if (namespace !== undefined) closeSync(namespace);
  }
}

/** The same descriptor is measured and mounted: nobody can put another file in between. */
function mountOpenImage(fd: number, options: ComposefsMount, namespace: number | undefined): void {
  if (options.digest !== undefined) requireDigest(fd, options.digest);
  const acl = hasAcl(fd);
  const lower = byteString(mkdtempSync('/tmp/.composefs.'));
  const remove = () => rmdirSync(lower);
  const forget = onExit(remove);
  try {
    mountErofs(fd, lower, acl, namespace);
    try {
      mountOverlay(lower, options);
    } finally {
      umount(lower, MNT_DETACH);
    }
  } finally {
    forget();
    remove();
  }
}

function requireDigest(fd: number, expected: string): void {
  if (!/^(?:[0-9a-fA-F]{2}){1,32}$/.test(expected)) throw systemCallError('digest', EINVAL);
  if (!answersForVerity(fd)) throw new SealtreeError('mismatch', 'Image has no fs-verity');
  let measured: ReturnType<typeof queryVerity>;
  try {
    measured = queryVerity(fd);
  } catch (error) {
    if (isErrno(error, 'ENODATA', 'ENOTTY', 'EOPNOTSUPP', 'ENOSYS'))
      throw new SealtreeError('mismatch', 'Image has no fs-verity');
    throw error;
  }
  const found = hexOf(measured.digest);
  if (measured.algorithm !== 'sha256' || found !== expected.toLowerCase())
    throw new SealtreeError('mismatch', 'Image has wrong fs-verity', { expected, found });
}

function hasAcl(fd: number): boolean {
  const { size } = fstatSync(fd);
  const read = (at: number, length: number) => {
    const data = Buffer.alloc(length);
    if (readSync(fd, data, 0, length, at) !== length) throw systemCallError('pread', EINVAL);
    return data;
  };
  try {
    return readImageInfo({ size, read }).hasAcl;
  } catch (error) {
    if (error instanceof SealtreeError && error.code === 'malformed') throw systemCallError('image', EINVAL);
    throw error;
  }
}

function mountErofs(fd: number, target: ByteString, acl: boolean, namespace: number | undefined): void {
  try {
    mountErofsFrom(byteString(`/proc/self/fd/${fd}`), target, acl, namespace);
  } catch (error) {
    if (!isErrno(error, 'ENOTBLK')) throw error;
    const loop = attachLoopDevice(fd);
    try {
      mountErofsFrom(loop.path, target, acl, namespace);
    } finally {
      closeSync(loop.fd);
    }
  }
}

function mountErofsFrom(
  source: ByteString,
  target: ByteString,
  acl: boolean,
  namespace: number | undefined,
): void {
  const type = byteString('erofs');
  const noacl = byteString('noacl');
  let context: number;
  try {
    context = openFileSystem(type);
  } catch (error) {
    // Owners can only be mapped by the new calls.
    if (!isErrno(error, 'ENOSYS') || namespace !== undefined) throw error;
    mount(source, target, type, MS_RDONLY, acl ? byteString('') : noacl);
    return;
  }
  withDescriptor(context, () => {
    configureFileSystem(context, byteString('source'), source);
    configureFileSystem(context, byteString('ro'));
    if (!acl) configureFileSystem(context, noacl);
    withDescriptor(createMount(context, MOUNT_ATTR_RDONLY), (mounted) => {
      if (namespace !== undefined) mapMountOwners(mounted, namespace);
      moveMount(mounted, target);
    });
  });
}

function mountOverlay(lower: ByteString, options: ComposefsMount): void {
  if (!mountOverlayByLayers(lower, options)) mountOverlayByOptions(lower, options);
}

/** @returns false where the kernel does not know how */
function mountOverlayByLayers(lower: ByteString, options: ComposefsMount): boolean {
  const { directories, verity, upper, work, mountPoint } = options;
  let context: number;
  try {
    context = openFileSystem(byteString('overlay'));
  } catch (error) {
    if (isErrno(error, 'ENOSYS')) return false;
    throw error;
  }
  return withDescriptor(context, () => {
    const set = (key: string, value: ByteString) => configureFileSystem(context, byteString(key), value);
    // A kernel that takes this parses options only when it mounts, and not as these calls mean them.
    if (accepts(() => set('unsupported', byteString('unsupported')))) return false;
    set('source', SOURCE);
    set('metacopy', byteString('on'));
    set('redirect_dir', byteString('on'));
    if (verity === 'require') set('verity', byteString('require'));
    else if (verity === 'try') accepts(() => set('verity', byteString('require')));
    try {
      set('lowerdir+', lower);
      for (const directory of directories) set('datadir+', directory);
      if (upper !== undefined) set('upperdir', upper);
      if (work !== undefined) set('workdir', work);
    } catch (error) {
      if (isErrno(error, 'EINVAL')) return false;
      throw error;
    }
    let mounted: number;
    try {
      mounted = createMount(context, options.readonly ? MOUNT_ATTR_RDONLY : 0);
    } catch (error) {
      if (isErrno(error, 'EINVAL')) return false;
      throw error;
    }
    withDescriptor(mounted, () => moveMount(mounted, mountPoint));
    return true;
  });
}

function mountOverlayByOptions(lower: ByteString, options: ComposefsMount): void {
  const { directories, verity, upper, work, readonly, mountPoint } = options;
  const rest = [
    ...(upper === undefined ? [] : [`upperdir=${escaped(upper)}`]),
    ...(work === undefined ? [] : [`workdir=${escaped(work)}`]),
    ...(verity === 'require' ? ['verity=require'] : []),
  ];
  const attempt = (separator: string) => {
    const layers = [lower, ...directories].map(escaped).join(separator);
    const text = ['metacopy=on', 'redirect_dir=on', `lowerdir=${layers}`, ...rest].join(',');
    mount(SOURCE, mountPoint, byteString('overlay'), readonly ? MS_RDONLY : 0, byteString(text));
  };
  try {
    attempt('::');
  } catch (error) {
    if (!isErrno(error, 'EINVAL')) throw error;
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

function withDescriptor<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function openOrSay(path: ByteString, kind: string): number {
  try {
    return openSync(fsPath(path), 'r');
  } catch (error) {
    throw ioError(`Failed to open ${kind}${displayByteString(path)}`, error);
  }
}

function failure(image: ByteString, error: unknown): SealtreeError {
  const what = `Failed to mount composefs ${displayByteString(image)}`;
  if (error instanceof SealtreeError && error.code === 'mismatch')
    return new SealtreeError('mismatch', `${what}: ${error.message}`, error.detail);
  return ioError(what, error);
}
