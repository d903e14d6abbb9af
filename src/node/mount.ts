/** mount.composefs 1.0.8: a composefs image from its file to a mount point. @module */
import { closeSync, mkdtempSync, openSync, rmdirSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { systemCallError } from '../core/errno.ts';
import { SealtreeError } from '../core/errors.ts';
import { MNT_DETACH } from '../core/mount/calls.ts';
import { digestFault, mountComposefsOverlay, mountImage } from '../core/mount/composefs.ts';
import { fsPath } from './fs-path.ts';
import { ioError } from './io-error.ts';
import { nodeMountCalls } from './mount-syscalls.ts';
import { onExit } from './on-exit.ts';

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
  const lower = byteString(mkdtempSync('/tmp/.composefs.'));
  const remove = () => rmdirSync(lower);
  const forget = onExit(remove);
  try {
    mountImage(nodeMountCalls, fd, lower, namespace);
    try {
      mountComposefsOverlay(nodeMountCalls, {
        lower,
        data: options.directories,
        verity: options.verity,
        readonly: options.readonly === true,
        upper: options.upper,
        work: options.work,
        target: options.mountPoint,
      });
    } finally {
      nodeMountCalls.umount(lower, MNT_DETACH);
    }
  } finally {
    forget();
    remove();
  }
}

function requireDigest(fd: number, expected: string): void {
  if (!/^(?:[0-9a-fA-F]{2}){1,32}$/.test(expected)) throw systemCallError('digest', 'EINVAL');
  const wrong = digestFault(nodeMountCalls, fd, expected.toLowerCase());
  if (wrong?.fault === 'none') throw new SealtreeError('mismatch', 'Image has no fs-verity');
  if (wrong?.fault === 'wrong')
    throw new SealtreeError('mismatch', 'Image has wrong fs-verity', { expected, found: wrong.found });
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
