/**
 * A sysroot as it is on the disk: its repository, its boot entries and the deployments that they lead to.
 * Layout: ostree's manual, "Deployments" and "Atomic Upgrades"; rules and messages are those of ostree 2026.4.
 * @module
 */
import { readlinkSync, realpathSync, statSync } from 'node:fs';
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { isDirectory, isSymlink } from '../core/fs/mode.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { readFileLimited } from '../node/read-file.ts';
import { Repo } from '../repo/repo.ts';
import {
  type BootLayout,
  type BootVersion,
  bootLayoutOf,
  type Generation,
  readGenerations,
  readLinkedEntries,
} from './boot-entries.ts';
import { type BootEntry, entryValue } from './boot-entry.ts';
import { type Booted, bootedOf } from './booted.ts';
import {
  bootLinkTarget,
  type Deployment,
  deploymentPath,
  originPath,
  parseBootArgument,
  parseDeploymentName,
  requireStaterootName,
} from './deployment.ts';
import { entriesOf, statusOf } from './files.ts';
import { type SysrootSettings, sysrootSettings } from './sysroot-settings.ts';

export interface Sysroot {
  /** Absolute. */
  readonly path: ByteString;
  readonly repo: Repo;
  readonly settings: SysrootSettings;
  readonly boot: ByteString;
  readonly layout: BootLayout;
  /** The entries that hold; where /boot has no symlinks, number 0 without entries if there are none yet. */
  readonly current: Generation;
  /** Entries of before that boot loaders still see, the newest first; only where /boot has no symlinks. */
  readonly others: readonly Generation[];
  /** Which `ostree/boot.V.S` is the current one of the current V. */
  readonly subBootVersion: 0 | 1;
  /** The default first. */
  readonly deployments: readonly Deployment[];
  /** Deployments that only entries of before lead to. */
  readonly retained: readonly Deployment[];
  /** The one that is running; undefined unless the sysroot is that of the running system. */
  readonly booted: Deployment | undefined;
  readonly running: Booted | undefined;
}

export interface LoadOptions {
  /** Takes /boot for a file system with or without symlinks, whatever it is: for one that is yet to be made. */
  readonly layout?: BootLayout | undefined;
}

/** Where deployments are written and removed. */
const OWN_FOLDERS = [
  'boot',
  'boot/loader.0/entries',
  'boot/loader.1/entries',
  'boot/loader/entries',
  'boot/ostree',
  'boot/ostree/initramfs-overlays',
  'ostree',
  'ostree/boot.0',
  'ostree/boot.1',
  'ostree/deploy',
];

const ORIGIN_LIMIT = 1024 * 1024;
const STAGED = '/run/ostree/staged-deployment';

/**
 * Reads a sysroot.
 *
 * @param path absolute
 * @throws SealtreeError in ostree's words, beginning `loading sysroot: `
 */
export function loadSysroot(path: ByteString, options: LoadOptions = {}): Sysroot {
  requireSysroot(path);
  try {
    const repo = openRepo(path);
    const settings = sysrootSettings(repo.config);
    requireInside(path, OWN_FOLDERS);
    const boot = joinPath(path, byteString('boot'));
    const layout = options.layout ?? bootLayoutOf(boot) ?? 'links';
    const running = bootedOf(path);
    const { current, others } = readBoot(path, boot, layout);
    const deployments = deploymentsOf(path, current);
    const known = new Set(deployments.map(deploymentPath));
    const retained = others
      .flatMap((generation) => deploymentsOf(path, generation))
      .filter((deployment) => !known.has(deploymentPath(deployment)));
    const booted = running && findBooted(path, deployments, running);
    if (running !== undefined && booted === undefined) {
      throw malformed(
        'Unexpected state: /run/ostree-booted found and in / sysroot, but bootloader entry not found',
      );
    }
    const subBootVersion = readSubBootVersion(path, current.bootVersion);
    return {
      path,
      repo,
      settings,
      boot,
      layout,
      current,
      others,
      subBootVersion,
      deployments,
      retained,
      booted,
      running,
    };
  } catch (error) {
    throw ioError('loading sysroot', error);
  }
}

/** A path below the sysroot. */
export function inSysroot({ path }: Pick<Sysroot, 'path'>, below: string): ByteString {
  return joinPath(path, byteString(below));
}

/** Without /boot, which may only not be mounted, there seem to be no deployments, and all would be removed. */
export function requireBoot({ boot }: Sysroot): void {
  if (statusOf(boot) === undefined)
    throw new SealtreeError('missing', 'opendir(boot): No such file or directory');
}

/** Refuses to change a system on which an update waits for the shutdown: only ostree can finish that. */
export function requireNothingStaged({ running }: Sysroot): void {
  if (running === undefined || statusOf(byteString(STAGED)) === undefined) return;
  throw new SealtreeError(
    'unsupported',
    'a deployment is staged: shut down, or undeploy it with ostree, before changing deployments',
  );
}

/** The `.origin` file next to a deployment. */
export function readOrigin(sysroot: ByteString, deployment: Deployment): ByteString | undefined {
  const path = originPath(deployment);
  const data = readFileLimited(joinPath(sysroot, path), displayByteString(path), ORIGIN_LIMIT);
  return data && byteStringFrom(data);
}

/** Sub-version that `ostree/boot.V` leads to; 0 if it is not there. */
export function readSubBootVersion(sysroot: ByteString, bootVersion: BootVersion): 0 | 1 {
  const name = `ostree/boot.${bootVersion}`;
  try {
    const path = joinPath(sysroot, byteString(name));
    if (statusOf(path) === undefined) return 0;
    const target = readlinkSync(fsPath(path), 'latin1');
    if (target === `boot.${bootVersion}.0`) return 0;
    if (target === `boot.${bootVersion}.1`) return 1;
    throw malformed(`Invalid target '${displayByteString(byteString(target))}' in ${name}`);
  } catch (error) {
    throw ioError('Reading current subbootversion', ioError(`Reading ${name}`, error));
  }
}

/** @throws SealtreeError `io` in ostree's words if there is no such directory */
export function requireSysroot(path: ByteString): void {
  try {
    if (statSync(fsPath(path)).isDirectory()) return;
  } catch (error) {
    throw ioError('Initializing sysroot', ioError(`opendir(${displayByteString(path)})`, error));
  }
  const message = `Initializing sysroot: opendir(${displayByteString(path)}): Not a directory`;
  throw new SealtreeError('io', message, { errno: 'ENOTDIR' });
}

function openRepo(path: ByteString): Repo {
  try {
    const repoPath = joinPath(path, byteString('ostree/repo'));
    if (statusOf(repoPath) === undefined)
      throw new SealtreeError('missing', 'opendir(ostree/repo): No such file or directory');
    const repo = Repo.open(repoPath);
    const ostree = statSync(fsPath(joinPath(path, byteString('ostree')))).dev;
    const own = statSync(fsPath(repoPath)).dev;
    if (ostree === own) return repo;
    throw malformed(`Unexpected state: ostree/ on device ${ostree} but ostree/repo on device ${own}`);
  } catch (error) {
    throw ioError('Opening sysroot repo', error);
  }
}

/** Symlinks in a sysroot may not lead out of it: what is behind them is written and deleted. */
function requireInside(path: ByteString, names: readonly string[]): void {
  const root = realpathSync(fsPath(path), 'latin1');
  for (const name of names) {
    let real: string;
    try {
      real = realpathSync(fsPath(joinPath(path, byteString(name))), 'latin1');
    } catch (error) {
      if (isErrno(error, 'ENOENT')) continue;
      throw ioError(`opendir(${name})`, error);
    }
    if (root === '/' || real.startsWith(`${root}/`)) continue;
    throw malformed(`${name} leads out of the sysroot, to ${displayByteString(byteString(real))}`);
  }
  const deploy = joinPath(path, byteString('ostree/deploy'));
  for (const { name } of entriesOf(deploy) ?? []) {
    for (const below of ['', '/deploy', '/backing', '/var']) {
      const status = statusOf(byteString(`${deploy}/${name}${below}`));
      if (status === undefined || !isSymlink(status.mode)) continue;
      // A stateroot that is a link is none; its folders are made by us and are no links.
      if (below === '') break;
      throw malformed(`ostree/deploy/${displayByteString(name)}${below} is a symbolic link`);
    }
  }
}

function readBoot(
  path: ByteString,
  boot: ByteString,
  layout: BootLayout,
): Pick<Sysroot, 'current' | 'others'> {
  if (layout === 'links') return { current: readLinkedEntries(boot), others: [] };
  const generations = readGenerations(boot);
  // A cut in the middle of writing leaves fewer entries than links: they do not hold yet.
  const at = generations.findIndex(
    ({ bootVersion, entries }) => entries.length === countLinks(path, bootVersion),
  );
  const current = generations[at] ?? { number: 0, bootVersion: 0, entries: [] };
  return { current, others: generations.filter((generation) => generation !== current) };
}

function countLinks(path: ByteString, bootVersion: BootVersion): number {
  let count = 0;
  const waiting = [joinPath(path, byteString(`ostree/boot.${bootVersion}`))];
  for (let depth = 0; depth < 3; depth++) {
    const found = waiting.splice(0).flatMap((folder) => {
      const names = (entriesOf(folder) ?? []).map(({ name }) => name);
      return names.map((name) => byteString(`${folder}/${name}`));
    });
    if (depth === 2) count = found.length;
    else waiting.push(...found);
  }
  return count;
}

function deploymentsOf(path: ByteString, { entries }: Generation): Deployment[] {
  return entries.map((entry) => deploymentOf(path, entry));
}

function deploymentOf(path: ByteString, entry: BootEntry): Deployment {
  const option = (entryValue(entry, 'options') ?? '').split(' ').find((word) => word.startsWith('ostree='));
  if (option === undefined) throw malformed('No ostree= kernel argument found');
  const link = byteString(option.slice('ostree='.length));
  const { stateroot, bootChecksum, bootSerial } = parseBootArgument(link);
  try {
    const target = byteString(readlinkSync(fsPath(joinPath(path, byteString(link.slice(1)))), 'latin1'));
    const name = byteString(target.slice(target.lastIndexOf('/') + 1));
    const parsed = parseDeploymentName(name);
    if (parsed === undefined) {
      const shown = displayByteString(name);
      throw malformed(`Invalid deploy name '${shown}', expected CHECKSUM.TREESERIAL`);
    }
    const deployment = { stateroot, ...parsed, bootChecksum, bootSerial, entry, origin: undefined };
    requireLink(target, deployment);
    const place = statusOf(joinPath(path, deploymentPath(deployment)));
    if (place === undefined || !isDirectory(place.mode)) {
      const message = `opendir(${displayByteString(byteString(link.slice(1)))}): No such file or directory`;
      throw new SealtreeError('missing', message);
    }
    requireOverlayNames(entry);
    return { ...deployment, origin: readOrigin(path, deployment) };
  } catch (error) {
    const what = `Parsing deployment ${displayByteString(link)} in stateroot '${displayByteString(stateroot)}'`;
    throw ioError(what, error instanceof SealtreeError ? error : ioError('readlinkat', error));
  }
}

/** Only one place is right, and nothing but it is followed. */
function requireLink(target: ByteString, deployment: Deployment): void {
  const expected = bootLinkTarget(deployment);
  if (target === expected) return;
  throw malformed(`leads to ${displayByteString(target)}, expected ${displayByteString(expected)}`);
}

function requireOverlayNames({ overlayInitrds }: BootEntry): void {
  for (const path of overlayInitrds) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (/^[0-9a-f]{64}\.img$/.test(name)) continue;
    throw malformed(`Malformed overlay initrd filename: ${displayByteString(byteString(name))}`);
  }
}

function findBooted(
  path: ByteString,
  deployments: readonly Deployment[],
  running: Booted,
): Deployment | undefined {
  return deployments.find((deployment) => {
    const place = fsPath(joinPath(path, deploymentPath(deployment)));
    const status = statSync(place, { bigint: true, throwIfNoEntry: false });
    return status?.dev === running.device && status.ino === running.inode;
  });
}

/** The stateroot has to be there. */
export function requireStateroot(sysroot: Sysroot, name: ByteString): void {
  requireStaterootName(name);
  if (statusOf(inSysroot(sysroot, `ostree/deploy/${name}`)) !== undefined) return;
  throw new SealtreeError('missing', `No such stateroot: ${displayByteString(name)}`);
}
