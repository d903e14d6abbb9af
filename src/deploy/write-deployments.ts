/**
 * Making a list of deployments the one that boots. Links below `ostree` and entries in /boot are written beside those
 * that hold; when all is on the disk one rename makes the change, and is on the disk itself before anything old goes.
 * A power cut leaves the old or the new list. Layout, order and messages are ostree's, but for a /boot without symlinks.
 * @module
 */
import { lstatSync, symlinkSync } from 'node:fs';
import { type ByteString, byteString, bytesOf, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { writeFileAtomically } from '../node/atomic-file.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { type BootVersion, entriesFolder } from './boot-entries.ts';
import { type BootEntry, bootTries, entryValue, formatEntry } from './boot-entry.ts';
import { requireNoBootloader } from './bootloader.ts';
import { commitText } from './commit-text.ts';
import {
  bootLinkName,
  bootLinkTarget,
  type Deployment,
  deploymentPath,
  sameDeployment,
} from './deployment.ts';
import {
  ensureDirectory,
  removeFile,
  removeTree,
  rename,
  replaceSymlink,
  syncDirectory,
  syncFileSystem,
} from './files.ts';
import { removeEntries, runningGeneration, writeEntry } from './generations.ts';
import { installKernel } from './install-kernel.ts';
import { KernelArguments } from './kernel-arguments.ts';
import { makeRoom } from './make-room.ts';
import { flushJournal } from './sync-boot.ts';
import { inSysroot, loadSysroot, readSubBootVersion, type Sysroot } from './sysroot.ts';
import { touchDeployments } from './touch.ts';

/**
 * Writes a new list of deployments, each of which is there on the disk.
 *
 * @param deployments the default first
 * @param report gets what ostree says when it is done
 * @returns the sysroot as it is then
 * @throws SealtreeError; the old list then still holds
 */
export async function writeDeployments(
  sysroot: Sysroot,
  deployments: readonly Deployment[],
  report: (message: string) => void,
): Promise<Sysroot> {
  const roomy = await makeRoom(sysroot, deployments, (common) => writeList(sysroot, common, report));
  return writeList(roomy, deployments, report);
}

async function writeList(
  sysroot: Sysroot,
  deployments: readonly Deployment[],
  report: (message: string) => void,
): Promise<Sysroot> {
  const numbered = withBootSerials(deployments);
  const before = sysroot.deployments;
  const sameEntries =
    numbered.length === before.length &&
    numbered.every((deployment, i) => bootsAlike(sysroot, deployment, before[i] as Deployment));
  if (sameEntries && numbered.every((deployment, i) => sameDeployment(deployment, before[i]))) return sysroot;
  requireAll(sysroot, numbered);
  let version: string;
  let atomic = false;
  if (sameEntries) {
    version = swapLinks(sysroot, numbered);
    atomic = true;
  } else {
    requireNoBootloader(sysroot);
    version = await swapEntries(sysroot, numbered);
  }
  const change = numbered.length - before.length;
  const swap = sameEntries ? 'no' : 'yes';
  const done = atomic ? 'Transaction complete' : 'Bootloader updated';
  report(
    `${done}; bootconfig swap: ${swap}; bootversion: boot.${version}, deployment count change: ${change}`,
  );
  touchDeployments(sysroot.path);
  const { path, layout } = sysroot;
  const loaded = reload(path, layout);
  for (const { stateroot } of loaded.deployments)
    removeFile(inSysroot(loaded, `ostree/deploy/${stateroot}/current`));
  return loaded;
}

function reload(path: ByteString, layout: Sysroot['layout']): Sysroot {
  try {
    return loadSysroot(path, { layout });
  } catch (error) {
    throw ioError('Reloading deployments after commit', error);
  }
}

/** Deployments may share a kernel: they are counted for each. */
function withBootSerials(deployments: readonly Deployment[]): Deployment[] {
  const counts = new Map<string, number>();
  return deployments.map((deployment) => {
    const bootSerial = counts.get(deployment.bootChecksum) ?? 0;
    counts.set(deployment.bootChecksum, bootSerial + 1);
    return { ...deployment, bootSerial };
  });
}

/** Whether the entry of one would be that of the other, so that /boot can stay as it is. */
function bootsAlike(sysroot: Sysroot, a: Deployment, b: Deployment): boolean {
  const options = (deployment: Deployment) => {
    const all = KernelArguments.from(entryValue(deployment.entry, 'options'));
    all.replace(byteString('ostree'));
    return all.toText();
  };
  const overlays = ({ entry }: Deployment) =>
    entry.overlayInitrds.map((path) => path.slice(path.lastIndexOf('/') + 1)).join(' ');
  const version = ({ checksum }: Deployment) => commitText(sysroot.repo, checksum, 'version');
  return (
    a.bootChecksum === b.bootChecksum &&
    overlays(a) === overlays(b) &&
    options(a) === options(b) &&
    version(a) === version(b) &&
    a.stateroot === b.stateroot
  );
}

function requireAll(sysroot: Sysroot, deployments: readonly Deployment[]): void {
  for (const deployment of deployments) {
    const path = inSysroot(sysroot, deploymentPath(deployment));
    if (lstatSync(fsPath(path), { throwIfNoEntry: false })?.isDirectory() === true) continue;
    const message = `Unable to find expected deployment root: ${displayByteString(path)}`;
    throw new SealtreeError('missing', message);
  }
  const { booted } = sysroot;
  if (booted === undefined || deployments.some((deployment) => sameDeployment(deployment, booted))) return;
  throw new SealtreeError('mismatch', 'Attempting to remove booted deployment');
}

/** The entries stay; the links that they go through are changed as one. @returns `V.S` */
function swapLinks(sysroot: Sysroot, deployments: readonly Deployment[]): string {
  const { bootVersion } = sysroot.current;
  const folder = makeLinks(sysroot, bootVersion, sysroot.subBootVersion, deployments);
  syncFileSystem(sysroot.repo.path);
  activateLinks(sysroot, bootVersion, folder);
  syncDirectory(inSysroot(sysroot, 'ostree'));
  return folder;
}

/** @returns `V.S` */
async function swapEntries(sysroot: Sysroot, deployments: readonly Deployment[]): Promise<string> {
  return sysroot.layout === 'links' ? swapLoader(sysroot, deployments) : addGeneration(sysroot, deployments);
}

async function swapLoader(sysroot: Sysroot, deployments: readonly Deployment[]): Promise<string> {
  const { boot } = sysroot;
  const bootVersion = sysroot.current.bootVersion === 0 ? 1 : 0;
  const folder = entriesFolder(boot, 'links', bootVersion);
  removeTree(folder);
  ensureDirectory(folder, 0o755);
  for (const [index, entry] of entriesFor(sysroot, deployments, bootVersion).entries()) {
    const name = `ostree-${deployments.length - index}`;
    const file = joinPath(folder, entryFile(sysroot, name, deployments[index] as Deployment));
    writeFileAtomically(file, bytesOf(formatEntry(entry)), { mode: 0o644, sync: false });
  }
  const links = makeLinks(sysroot, bootVersion, readSubBootVersion(sysroot.path, bootVersion), deployments);
  activateLinks(sysroot, bootVersion, links);
  makeBootLink(boot);
  const next = joinPath(boot, byteString('loader.tmp'));
  replaceSymlink(byteString(`loader.${bootVersion}`), next);
  syncFileSystem(sysroot.repo.path);
  syncFileSystem(boot);
  if (sysroot.running !== undefined) await flushJournal(boot);
  rename(next, joinPath(boot, byteString('loader')));
  syncDirectory(boot);
  if (sysroot.running !== undefined) await flushJournal(boot);
  return links;
}

/** So that paths that begin with /boot are right also where /boot is a file system of its own. */
function makeBootLink(boot: ByteString): void {
  try {
    symlinkSync('.', fsPath(joinPath(boot, byteString('boot'))));
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw ioError('symlinkat', error);
  }
}

/** Without symlinks: the generation that may have to be booted once more stays, all others make room. */
function addGeneration(sysroot: Sysroot, deployments: readonly Deployment[]): string {
  const { boot, current, others } = sysroot;
  const all = [current, ...others];
  const kept = runningGeneration(sysroot) ?? current;
  const folder = entriesFolder(boot, 'files', 0);
  ensureDirectory(folder, 0o755);
  removeEntries(
    folder,
    all.filter((generation) => generation !== kept).flatMap(({ entries }) => entries),
  );
  const highest = Math.max(0, ...all.map(({ number }) => number));
  const number = highest + (highest % 2 === kept.bootVersion ? 1 : 2);
  const bootVersion = number % 2 === 0 ? 0 : 1;
  const entries = entriesFor(sysroot, deployments, bootVersion);
  const links = makeLinks(sysroot, bootVersion, readSubBootVersion(sysroot.path, bootVersion), deployments);
  activateLinks(sysroot, bootVersion, links);
  syncFileSystem(sysroot.repo.path);
  syncFileSystem(boot);
  for (const [index, entry] of [...entries.entries()].reverse()) {
    const name = `ostree-${number}-${deployments.length - index}`;
    const file = joinPath(folder, entryFile(sysroot, name, deployments[index] as Deployment));
    writeEntry(file, entry);
  }
  if (deployments.length === 0) removeEntries(folder, kept.entries);
  return links;
}

function entriesFor(
  sysroot: Sysroot,
  deployments: readonly Deployment[],
  bootVersion: BootVersion,
): BootEntry[] {
  const showStateroot = deployments.some(({ stateroot }) => stateroot !== deployments[0]?.stateroot);
  return deployments.map((deployment, index) =>
    installKernel(sysroot, deployment, { bootVersion, index, count: deployments.length, showStateroot }),
  );
}

/** The name of an entry's file, with the tries that the boot loader gives it or has left for it. */
function entryFile({ settings }: Sysroot, name: string, { entry }: Deployment): ByteString {
  if (settings.bootTries === 0) return byteString(`${name}.conf`);
  if (entry.fileName === undefined) return byteString(`${name}+${settings.bootTries}.conf`);
  const { left, done } = bootTries(entry.fileName);
  return byteString(left === 0 && done === 0 ? `${name}.conf` : `${name}+${left}-${done}.conf`);
}

/** Makes links to all deployments beside those that are used. @returns `V.S` */
function makeLinks(
  sysroot: Sysroot,
  bootVersion: BootVersion,
  subBootVersion: 0 | 1,
  deployments: readonly Deployment[],
): string {
  try {
    const version = `${bootVersion}.${subBootVersion === 0 ? 1 : 0}`;
    const folder = inSysroot(sysroot, `ostree/boot.${version}`);
    removeTree(folder);
    ensureDirectory(folder, 0o755);
    for (const deployment of deployments) {
      const path = joinPath(folder, bootLinkName(deployment));
      ensureDirectory(byteString(path.slice(0, path.lastIndexOf('/'))), 0o755);
      symlinkSync(fsPath(bootLinkTarget(deployment)), fsPath(path));
    }
    return version;
  } catch (error) {
    throw ioError('Creating new current bootlinks', error);
  }
}

function activateLinks(sysroot: Sysroot, bootVersion: BootVersion, version: string): void {
  try {
    replaceSymlink(byteString(`boot.${version}`), inSysroot(sysroot, `ostree/boot.${bootVersion}`));
  } catch (error) {
    throw ioError('Swapping new version bootlinks', error);
  }
}
