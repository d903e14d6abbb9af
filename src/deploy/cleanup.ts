/**
 * Removing what no boot entry leads to: boot links, deployments, kernels, refs, and objects of the repository.
 * The current entries are on the disk before this is called.
 * @module
 */
import { closeSync, constants, openSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { isChecksum } from '../core/bytes/hex.ts';
import { malformed } from '../core/errors.ts';
import { isDirectory, isRegular } from '../core/fs/mode.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { setImmutable } from '../node/syscalls.ts';
import { pruneRepository } from '../repo/prune.ts';
import { listRefs } from '../repo/refs.ts';
import { writeRefs } from '../repo/refs-writer.ts';
import { Transaction } from '../repo/transaction.ts';
import { entriesFolder } from './boot-entries.ts';
import {
  backingPath,
  type Deployment,
  deploymentPath,
  originPath,
  parseDeploymentName,
} from './deployment.ts';
import { entriesOf, openDirectory, removeFile, removeTree, statusOf } from './files.ts';
import { removeEntries, runningGeneration } from './generations.ts';
import { OVERLAYS } from './install-kernel.ts';
import { inSysroot, loadSysroot, requireBoot, type Sysroot } from './sysroot.ts';

/**
 * @param options.prune whether objects that nothing needs leave the repository
 * @returns the sysroot as it is then
 * @throws SealtreeError in ostree's words
 */
export function cleanUp(sysroot: Sysroot, { prune }: { readonly prune: boolean }): Sysroot {
  requireBoot(sysroot);
  const cleaned = within('Cleaning bootversions', () => cleanBootVersions(sysroot));
  within('Cleaning deployments', () => cleanDeployments(cleaned));
  within('Cleaning bootfs', () => cleanBoot(cleaned));
  within('Generating deployment refs', () => writeDeploymentRefs(cleaned));
  if (prune) {
    const needed = [...cleaned.deployments, ...cleaned.retained].map(({ checksum }) => checksum);
    within('Pruning system repository', () => pruneRepository(cleaned.repo, needed));
  }
  return cleaned;
}

/** Removes a deployment that no entry leads to, its directory last: that says that there is something to remove. */
export function removeDeployment(sysroot: Pick<Sysroot, 'path'>, deployment: Named): void {
  const path = inSysroot(sysroot, deploymentPath(deployment));
  if (statusOf(path) !== undefined) {
    const fd = openDirectory(path, { follow: false });
    try {
      setImmutable(fd, false);
    } finally {
      closeSync(fd);
    }
  }
  removeTree(inSysroot(sysroot, backingPath(deployment)));
  removeTree(inSysroot(sysroot, originPath(deployment)));
  removeTree(path);
}

type Named = Pick<Deployment, 'stateroot' | 'checksum' | 'serial'>;

/** All deployments that are there as directories, whether or not an entry leads to them. */
export function deploymentDirectories(sysroot: Pick<Sysroot, 'path'>, only?: ByteString): Named[] {
  const stateroots = only === undefined ? directoriesIn(inSysroot(sysroot, 'ostree/deploy')) : [only];
  return stateroots.flatMap((stateroot) =>
    directoriesIn(inSysroot(sysroot, `ostree/deploy/${stateroot}/deploy`)).map((name) => {
      const parsed = parseDeploymentName(name);
      if (parsed !== undefined) return { stateroot, ...parsed };
      const shown = displayByteString(name);
      throw malformed(`Invalid deploy name '${shown}', expected CHECKSUM.TREESERIAL`);
    }),
  );
}

function within<T>(what: string, perform: () => T): T {
  try {
    return perform();
  } catch (error) {
    throw ioError(what, error);
  }
}

function directoriesIn(path: ByteString): ByteString[] {
  const names = (entriesOf(path) ?? []).map(({ name }) => name);
  return names.filter((name) => isDirectory(statusOf(joinPath(path, name))?.mode ?? 0));
}

function cleanBootVersions(sysroot: Sysroot): Sysroot {
  const { bootVersion } = sysroot.current;
  const other = bootVersion === 0 ? 1 : 0;
  removeTree(inSysroot(sysroot, `ostree/boot.${bootVersion}.${sysroot.subBootVersion === 0 ? 1 : 0}`));
  const cleaned = sysroot.layout === 'files' ? dropGenerations(sysroot) : sysroot;
  if (cleaned.others.length > 0) return cleaned;
  if (cleaned.layout === 'links') removeTree(joinPath(cleaned.boot, byteString(`loader.${other}`)));
  for (const name of [`boot.${other}`, `boot.${other}.0`, `boot.${other}.1`]) {
    removeTree(inSysroot(cleaned, `ostree/${name}`));
  }
  return cleaned;
}

/**
 * Without symlinks in /boot the entries of before stay until the system has booted with the current ones. Others, and
 * what a power cut left half written, go.
 */
function dropGenerations(sysroot: Sysroot): Sysroot {
  const { current, others } = sysroot;
  const running = runningGeneration(sysroot);
  const kept =
    running === current ? undefined : (running ?? others.find(({ number }) => number < current.number));
  const dropped = others.filter((generation) => generation !== kept);
  if (dropped.length === 0) return sysroot;
  removeEntries(
    entriesFolder(sysroot.boot, 'files', 0),
    dropped.flatMap(({ entries }) => entries),
  );
  return loadSysroot(sysroot.path, { layout: sysroot.layout });
}

function cleanDeployments(sysroot: Sysroot): void {
  const active = new Set([...sysroot.deployments, ...sysroot.retained].map(deploymentPath));
  for (const deployment of deploymentDirectories(sysroot)) {
    if (!active.has(deploymentPath(deployment)) && !isRoot(sysroot, deployment))
      removeDeployment(sysroot, deployment);
  }
}

/** The deployment that is the root directory of this very process stays, whatever boot entries say. */
function isRoot(sysroot: Sysroot, deployment: Named): boolean {
  const { running } = sysroot;
  if (running === undefined) return false;
  return statusOf(inSysroot(sysroot, deploymentPath(deployment)))?.ino === running.inode;
}

/** Removes kernels and further initrds that no entry names. */
export function cleanBoot(sysroot: Sysroot): void {
  const { boot } = sysroot;
  const active = [...sysroot.deployments, ...sysroot.retained];
  const checksums = new Set(active.map(({ bootChecksum }) => bootChecksum));
  for (const name of directoriesIn(joinPath(boot, byteString('ostree')))) {
    const checksum = name.slice(name.lastIndexOf('-') + 1);
    if (!name.includes('-') || !isChecksum(checksum) || checksums.has(checksum)) continue;
    removeTree(joinPath(boot, byteString(`ostree/${name}`)));
  }
  const overlays = new Set(
    active.flatMap(({ entry }) => entry.overlayInitrds.map((path) => path.slice(path.lastIndexOf('/') + 1))),
  );
  const folder = joinPath(boot, byteString(OVERLAYS));
  for (const { name } of entriesOf(folder) ?? []) {
    const path = joinPath(folder, name);
    if (!overlays.has(name) && isRegular(statusOf(path)?.mode ?? 0)) removeFile(path);
  }
}

/** Refs `ostree/V/S/N` keep the commits of deployments from being deleted by who knows of refs alone. */
function writeDeploymentRefs(sysroot: Sysroot): void {
  const { repo, current, subBootVersion, deployments } = sysroot;
  const prefix = `ostree/${current.bootVersion}/${subBootVersion}/`;
  const wanted = new Map(
    deployments.map(({ checksum }, index) => [byteString(`${prefix}${index}`), checksum] as const),
  );
  const there = listRefs(repo, { prefix: byteString('ostree'), keepPrefix: true });
  const stale = [...there.keys()].filter((ref) => isStale(sysroot, ref));
  if (stale.length > 0) removeRefs(sysroot, stale);
  if ([...wanted].every(([ref, checksum]) => there.get(ref) === checksum)) return;
  const transaction = Transaction.begin(repo);
  try {
    for (const [ref, checksum] of wanted) transaction.setRef(ref, checksum);
    transaction.commit();
  } finally {
    transaction.abort();
  }
}

function isStale({ current, subBootVersion, others }: Sysroot, ref: ByteString): boolean {
  const [, version, subVersion] = /^ostree\/([01])\/([01])\//.exec(ref) ?? [];
  if (version === undefined) return false;
  if (Number(version) === current.bootVersion) return Number(subVersion) !== subBootVersion;
  return others.length === 0;
}

function removeRefs({ repo }: Sysroot, refs: readonly ByteString[]): void {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY;
  const temporary = openSync(fsPath(joinPath(repo.path, byteString('tmp'))), flags);
  try {
    writeRefs(repo, new Map(refs.map((ref) => [ref, undefined])), { temporary, sync: false });
  } finally {
    closeSync(temporary);
  }
}
