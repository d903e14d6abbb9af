/**
 * Brings a root tree into the form in which ostree deploys it: kernel beside its modules, /etc below /usr, nothing
 * where the running system has file systems of its own.
 * @module
 */

import { chmodSync, closeSync, mkdirSync, renameSync, symlinkSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { copyTree } from '../deploy/copy-tree.ts';
import { openDirectory, removeTree, statusOf } from '../deploy/files.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { nodeSystem } from '../node/system.ts';

/** File systems of the running system. */
const MOUNT_POINTS = ['dev', 'proc', 'run', 'sys', 'tmp'];

/** Units that would lay what nothing signs over the verified tree, and what `systemctl mask` would make of them. */
const EXTENSION_UNITS = ['systemd-sysext.service', 'systemd-confext.service', 'systemd-portabled.service'];

/**
 * Copies a tree, without what is in the mount points of the running system.
 *
 * @param target must not be there
 */
export function copyRoot(source: ByteString, target: ByteString): void {
  const slash = target.lastIndexOf('/');
  const fd = openDirectory(byteString(target.slice(0, slash) || '/'));
  try {
    copyTree(source, fd, byteString(target.slice(slash + 1)));
  } catch (error) {
    // Only root may give files to others; the tree itself can be worked in.
    const advice = isErrno(error, 'EPERM')
      ? ': a copy with these owners takes root; --in-place makes none'
      : '';
    const { code, message, detail } = ioError(`copying ${displayByteString(source)}`, error);
    throw new SealtreeError(code, message + advice, detail);
  } finally {
    closeSync(fd);
  }
}

/** For as long as programs run in it, the tree has its configuration in /etc. */
export function beginWork(root: ByteString): void {
  const [etc, usrEtc] = [below(root, 'etc'), below(root, 'usr/etc')];
  if (statusOf(usrEtc) === undefined) return;
  if (names(etc).length > 0)
    throw malformed(`${displayByteString(root)}: has both /etc and /usr/etc, of which one should be empty`);
  removeTree(etc);
  move(usrEtc, etc);
}

/**
 * The version of the kernel, which is brought beside its modules if it is in /boot.
 *
 * @throws SealtreeError `missing` if there is none, `malformed` if there are several
 */
export function settleKernel(root: ByteString): ByteString {
  const modules = below(root, 'usr/lib/modules');
  const versions = names(modules);
  const here = versions.filter((version) => isThere(joinPath(modules, byteString(`${version}/vmlinuz`))));
  if (here.length === 0) {
    const inBoot = versions.filter((version) => isThere(below(root, `boot/vmlinuz-${version}`)));
    const [version] = inBoot;
    if (version !== undefined && inBoot.length === 1) {
      move(below(root, `boot/vmlinuz-${version}`), joinPath(modules, byteString(`${version}/vmlinuz`)));
      return version;
    }
    const found = inBoot.length > 1 ? inBoot.map(displayByteString).join(', ') : 'none';
    throw new SealtreeError(
      'missing',
      `${displayByteString(root)}: expected a kernel in usr/lib/modules/VERSION/vmlinuz or boot/vmlinuz-VERSION, found ${found}`,
    );
  }
  const [version] = here;
  if (here.length > 1)
    throw malformed(`${displayByteString(root)}: several kernels: ${here.map(displayByteString).join(', ')}`);
  return version as ByteString;
}

/** Turns off what would lay unsigned files over /usr and /etc. Units that the tree has not are none the worse for it. */
export function maskExtensions(root: ByteString): void {
  const folder = below(root, 'etc/systemd/system');
  if (!isThere(below(root, 'usr/lib/systemd/system'))) return;
  for (const path of ['etc', 'etc/systemd', 'etc/systemd/system']) makeFolder(below(root, path));
  for (const unit of EXTENSION_UNITS) {
    const path = joinPath(folder, byteString(unit));
    removeTree(path);
    linkTo('/dev/null', path);
  }
}

/** The form in which the tree is committed. */
export function endWork(root: ByteString): void {
  for (const name of [...MOUNT_POINTS, 'boot', 'sysroot']) empty(below(root, name));
  const etc = below(root, 'etc');
  if (isThere(etc)) move(etc, below(root, 'usr/etc'));
  if (!isThere(below(root, 'ostree'))) linkTo('sysroot/ostree', below(root, 'ostree'));
}

function empty(path: ByteString): void {
  if (!isThere(path)) {
    makeFolder(path);
    // Whatever the umask: everybody may write here.
    if (path.endsWith('/tmp')) chmodSync(fsPath(path), 0o1777);
  }
  for (const name of names(path)) removeTree(joinPath(path, name));
}

function below(root: ByteString, path: string): ByteString {
  return joinPath(root, byteString(path));
}

function isThere(path: ByteString): boolean {
  return statusOf(path) !== undefined;
}

function names(folder: ByteString): readonly ByteString[] {
  return nodeSystem.readDirectory(folder) ?? [];
}

function makeFolder(path: ByteString): void {
  try {
    mkdirSync(fsPath(path), { mode: 0o755 });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw ioError(`making ${displayByteString(path)}`, error);
  }
}

function move(from: ByteString, to: ByteString): void {
  try {
    renameSync(fsPath(from), fsPath(to));
  } catch (error) {
    throw ioError(`moving ${displayByteString(from)}`, error);
  }
}

function linkTo(target: string, path: ByteString): void {
  try {
    symlinkSync(target, fsPath(path));
  } catch (error) {
    throw ioError(`making ${displayByteString(path)}`, error);
  }
}
