/**
 * A deployment made bootable: kernel and what goes with it in /boot, and the text of its boot entry.
 * Names, keys and their order are ostree's.
 * @module
 */
import { linkSync } from 'node:fs';
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { isDirectory } from '../core/fs/mode.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { readFileLimited } from '../node/read-file.ts';
import type { BootVersion } from './boot-entries.ts';
import { type BootEntry, entryValue, withValues } from './boot-entry.ts';
import { commitText } from './commit-text.ts';
import { copyTree } from './copy-tree.ts';
import { bootArgument, type Deployment, deploymentPath, kernelFolder } from './deployment.ts';
import { copyFile, ensureDirectory, isThere, statusOf, syncDirectory, withDirectory } from './files.ts';
import { resolveInside } from './inside.ts';
import { KernelArguments } from './kernel-arguments.ts';
import { type BootFile, findKernel, type KernelLayout } from './kernel-layout.ts';
import { prettyName } from './os-release.ts';
import { inSysroot, type Sysroot } from './sysroot.ts';

const OS_RELEASE_LIMIT = 1024 * 1024;
/** Where further initrds are, below /boot; each is named by its checksum. */
export const OVERLAYS = 'ostree/initramfs-overlays';

export interface Place {
  readonly bootVersion: BootVersion;
  /** 0 is the default. */
  readonly index: number;
  /** How many deployments there are. */
  readonly count: number;
  /** Whether the title names the stateroot: there are several. */
  readonly showStateroot: boolean;
}

/**
 * Puts the kernel of a deployment into /boot, unless it is there.
 *
 * @returns the entry that boots it
 * @throws SealtreeError in ostree's words, beginning `Installing kernel: `
 */
export function installKernel(sysroot: Sysroot, deployment: Deployment, place: Place): BootEntry {
  try {
    const root = inSysroot(sysroot, deploymentPath(deployment));
    const layout = findKernel(root);
    installFiles(sysroot, deployment, layout);
    const overlays = overlayPaths(sysroot, deployment.entry);
    return { ...entryOf(sysroot, deployment, root, layout, place), overlayInitrds: overlays };
  } catch (error) {
    throw ioError('Installing kernel', error);
  }
}

function installFiles(sysroot: Sysroot, deployment: Deployment, layout: KernelLayout): void {
  const folder = joinPath(sysroot.boot, kernelFolder(deployment));
  ensureDirectory(folder, 0o775);
  if (!isDirectory(statusOf(folder)?.mode ?? 0))
    throw malformed(`boot/${displayByteString(kernelFolder(deployment))} is a symbolic link`);
  const { kernel, initramfs, devicetree, hmac, aboot } = layout;
  for (const file of [kernel, initramfs, devicetree, hmac, aboot]) {
    if (file !== undefined) installFile(sysroot, layout, file, folder);
  }
  if (layout.devicetrees !== undefined) {
    const source = joinPath(layout.directory, layout.devicetrees);
    const name = layout.devicetrees;
    withDirectory(folder, (fd) => copyTree(source, fd, name, false));
  }
  // Names that do not survive a power cut would let the entry lead to nothing.
  if (sysroot.layout === 'files') syncDirectory(folder);
}

function installFile(sysroot: Sysroot, layout: KernelLayout, file: BootFile, folder: ByteString): void {
  const target = joinPath(folder, file.name);
  if (!isThere(target)) linkOrCopy(sysroot, joinPath(layout.directory, file.source), folder, file.name);
}

/** By a hard link where /boot is on the same file system. */
function linkOrCopy(sysroot: Sysroot, source: ByteString, folder: ByteString, name: ByteString): void {
  const links = sysroot.layout === 'links';
  try {
    if (links) {
      linkSync(fsPath(source), fsPath(joinPath(folder, name)));
      return;
    }
  } catch (error) {
    if (!isErrno(error, 'EMLINK', 'EXDEV')) throw ioError(`linkat(${displayByteString(name)})`, error);
  }
  const status = statusOf(source);
  if (status === undefined) throw new SealtreeError('missing', `${displayByteString(source)} has gone`);
  withDirectory(folder, (fd) =>
    copyFile(source, status, fd, name, { xattrs: false, attributes: links, sync: true, replace: !links }),
  );
}

/** Paths of further initrds, as the entry of today names them. */
function overlayPaths(sysroot: Sysroot, { overlayInitrds }: BootEntry): ByteString[] {
  return overlayInitrds.map((path) => {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (!isThere(joinPath(sysroot.boot, byteString(`${OVERLAYS}/${name}`))))
      throw new SealtreeError('missing', `${OVERLAYS}/${name} is not in /boot`);
    return byteString(`${prefixOf(sysroot)}${OVERLAYS}/${name}`);
  });
}

function prefixOf({ settings, layout }: Sysroot): string {
  return settings.bootPrefix && layout === 'links' ? '/boot/' : '/';
}

function entryOf(
  sysroot: Sysroot,
  deployment: Deployment,
  root: ByteString,
  layout: KernelLayout,
  { bootVersion, index, count, showStateroot }: Place,
): BootEntry {
  const inBoot = (name: ByteString) => byteString(`${prefixOf(sysroot)}${kernelFolder(deployment)}/${name}`);
  const changes: (readonly [string, ByteString])[] = [
    ['title', titleOf(sysroot, deployment, root, index, showStateroot)],
    ['version', byteString(String(count - index))],
    ['linux', inBoot(layout.kernel.name)],
  ];
  const options = KernelArguments.from(entryValue(deployment.entry, 'options'));
  const argument = bootArgument(deployment, bootVersion);
  if (layout.initramfs !== undefined) changes.push(['initrd', inBoot(layout.initramfs.name)]);
  else options.replace(byteString(`init=${argument}/usr/lib/ostree/ostree-prepare-root`));
  if (layout.aboot !== undefined) {
    changes.push(['aboot', byteString(`/${kernelFolder(deployment)}/${layout.aboot.name}`)]);
    const configuration = `/${deploymentPath(deployment)}/usr/lib/ostree-boot/aboot.cfg`;
    changes.push(['abootcfg', byteString(configuration)]);
  }
  if (layout.devicetree !== undefined) changes.push(['devicetree', inBoot(layout.devicetree.name)]);
  else if (layout.devicetrees !== undefined) changes.push(['fdtdir', inBoot(layout.devicetrees)]);
  options.replace(byteString(`ostree=${argument}`));
  changes.push(['options', options.toText()]);
  if (index > 0) changes.push(...sysroot.settings.appendExceptDefault);
  return withValues(deployment.entry, changes);
}

function titleOf(
  sysroot: Sysroot,
  deployment: Deployment,
  root: ByteString,
  index: number,
  showStateroot: boolean,
): ByteString {
  const name = prettyName(readOsRelease(root));
  const version = commitText(sysroot.repo, deployment.checksum, 'version') ?? '';
  const versioned = version === '' || name.includes(version) ? name : `${name} ${version}`;
  const stateroot = showStateroot ? `:${deployment.stateroot}` : '';
  return byteString(`${versioned} (ostree${stateroot}:${index})`);
}

function readOsRelease(root: ByteString): ByteString {
  for (const place of ['usr/lib/os-release', 'etc/os-release']) {
    const path = resolveInside(root, byteString(place));
    if (path === undefined) continue;
    try {
      const data = readFileLimited(path, place, OS_RELEASE_LIMIT);
      if (data !== undefined) return byteStringFrom(data);
    } catch (error) {
      throw ioError(`Reading /${place}`, error);
    }
  }
  throw malformed('Reading /etc/os-release: openat(etc/os-release): No such file or directory');
}
