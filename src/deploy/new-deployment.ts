/**
 * A new deployment made of a commit: its tree checked out by hard links, the composefs image of it, its own /etc, and
 * what the stateroot's /var lacks. Nothing boots it yet; if anything fails, nothing of it stays.
 * Layout, order and messages are ostree's.
 * @module
 */
import { chmodSync, closeSync, mkdirSync, renameSync, rmdirSync, symlinkSync } from 'node:fs';
import { type ByteString, byteString, bytesOf } from '../core/bytes/byte-string.ts';
import { loadPrepareRoot, type PrepareRoot } from '../core/conf/prepare-root.ts';
import { malformed } from '../core/errors.ts';
import { isDirectory, S_IFDIR } from '../core/fs/mode.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { setImmutable } from '../node/syscalls.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';
import { checkOut } from '../repo/checkout.ts';
import { checkOutComposefs } from '../repo/checkout-composefs.ts';
import type { CheckoutOptions } from '../repo/checkout-options.ts';
import { lookUp, rootOf } from '../repo/tree-path.ts';
import { entryValue, newEntry } from './boot-entry.ts';
import { deploymentDirectories, removeDeployment } from './cleanup.ts';
import { backingPath, type Deployment, deploymentPath, originPath } from './deployment.ts';
import {
  ensureDirectory,
  entriesOf,
  isThere,
  openDirectory,
  removeFile,
  removeTree,
  statusOf,
  writeFile,
} from './files.ts';
import { findKernel } from './kernel-layout.ts';
import { mergeEtc } from './merge-etc.ts';
import { requireNoSelinuxPolicy } from './selinux.ts';
import { inSysroot, requireStateroot, type Sysroot } from './sysroot.ts';
import { treeSystem } from './tree-system.ts';
import { sealDeployment, type VerityDemand } from './verity.ts';

export interface NewDeployment {
  readonly stateroot: ByteString;
  /** Of the commit. */
  readonly checksum: string;
  /** Text of the `.origin` file. */
  readonly origin: ByteString;
  /** Whose changes of /etc, and arguments unless others are given, are taken over. */
  readonly merge: Deployment | undefined;
  /** The whole kernel command line but for what finds the deployment. */
  readonly options: ByteString | undefined;
  /** Paths of further initrds, which are in /boot already. */
  readonly overlayInitrds: readonly ByteString[];
  /** See {@link sealDeployment}. */
  readonly verity: VerityDemand;
  readonly report: (message: string) => void;
}

const CHECKOUT: CheckoutOptions = {
  mode: 'none',
  overwrite: 'none',
  whiteouts: false,
  passthroughWhiteouts: true,
  requireHardlinks: false,
  forceCopy: false,
  canonicalDirectories: false,
  cache: false,
  fsync: false,
  skip: undefined,
};
const COPY: CheckoutOptions = { ...CHECKOUT, passthroughWhiteouts: false, forceCopy: true };

const COMPOSEFS_NAME = '.ostree.cfs';

/** @throws SealtreeError in ostree's words, beginning `Deploying tree: ` */
export async function makeDeployment(sysroot: Sysroot, wanted: NewDeployment): Promise<Deployment> {
  const { stateroot, checksum } = wanted;
  try {
    requireStaterootIsThere(sysroot, stateroot);
    const serial = nextSerial(sysroot, stateroot, checksum);
    const named = { stateroot, checksum, serial };
    const path = inSysroot(sysroot, deploymentPath(named));
    registerTemporary(path, () => removeDeployment(sysroot, named));
    try {
      const made = await initialize(sysroot, wanted, named, path);
      finalize(sysroot, wanted, made, path);
      return made;
    } catch (error) {
      removeDeployment(sysroot, named);
      throw error;
    } finally {
      forgetTemporary(path);
    }
  } catch (error) {
    throw ioError('Deploying tree', error);
  }
}

function requireStaterootIsThere(sysroot: Sysroot, stateroot: ByteString): void {
  try {
    requireStateroot(sysroot, stateroot);
  } catch (error) {
    throw ioError('Initializing deployment', error);
  }
}

type Named = Pick<Deployment, 'stateroot' | 'checksum' | 'serial'>;

async function initialize(
  sysroot: Sysroot,
  wanted: NewDeployment,
  named: Named,
  path: ByteString,
): Promise<Deployment> {
  try {
    ensureDirectory(inSysroot(sysroot, `ostree/deploy/${named.stateroot}/backing`), 0o700);
    await checkOutTree(sysroot, named, path, wanted.verity);
    const { bootChecksum } = findKernel(path);
    const { merge, options, overlayInitrds, origin } = wanted;
    const inherited = options ?? (merge && entryValue(merge.entry, 'options'));
    const entry = { ...newEntry(inherited), overlayInitrds };
    await prepareEtc(sysroot, named, path);
    await prepareVar(sysroot, named, path);
    return { ...named, bootChecksum, bootSerial: -1, origin, entry };
  } catch (error) {
    throw ioError('Initializing deployment', error);
  }
}

function nextSerial(sysroot: Sysroot, stateroot: ByteString, checksum: string): number {
  const same = deploymentDirectories(sysroot, stateroot).filter((found) => found.checksum === checksum);
  return Math.max(-1, ...same.map(({ serial }) => serial)) + 1;
}

async function checkOutTree(
  sysroot: Sysroot,
  { stateroot, checksum }: Named,
  path: ByteString,
  verity: VerityDemand,
): Promise<void> {
  try {
    ensureDirectory(inSysroot(sysroot, `ostree/deploy/${stateroot}/deploy`), 0o775);
    removeTree(path);
    await checkOut(sysroot.repo, rootOf(sysroot.repo, checksum), path, CHECKOUT);
    const config = readPrepareRoot(path);
    const image = joinPath(path, byteString(COMPOSEFS_NAME));
    const digests = config.composefs.verity ? 'all' : 'measured';
    await checkOutComposefs(sysroot.repo, checksum, image, { digests, cache: false });
    await sealDeployment(sysroot, { checksum, image, config, verity });
  } catch (error) {
    throw ioError('Checking out deployment tree', error);
  }
}

/** The tree's own configuration: what its initramfs will do. */
function readPrepareRoot(path: ByteString): PrepareRoot {
  try {
    return loadPrepareRoot(treeSystem(path), byteString('')).config;
  } catch (error) {
    throw ioError('Reading rootfs config', error);
  }
}

/** /etc is a copy of /usr/etc, to be changed. */
async function prepareEtc(sysroot: Sysroot, { checksum }: Named, path: ByteString): Promise<void> {
  try {
    const etc = joinPath(path, byteString('etc'));
    if (!isDirectory(statusOf(etc)?.mode ?? S_IFDIR)) throw malformed('etc is not a directory');
    const entries = entriesOf(etc);
    const usrEtc = statusOf(joinPath(path, byteString('usr/etc'))) !== undefined;
    if (entries !== undefined && entries.length > 0 && usrEtc)
      throw malformed('Tree contains both /etc and /usr/etc');
    if (entries !== undefined && entries.length > 0) {
      renameSync(fsPath(etc), fsPath(joinPath(path, byteString('usr/etc'))));
    } else if (entries !== undefined && usrEtc) {
      rmdirSync(fsPath(etc));
    }
    if (!usrEtc && (entries === undefined || entries.length === 0)) return;
    requireNoSelinuxPolicy(path);
    const source = lookUp(sysroot.repo, rootOf(sysroot.repo, checksum), byteString('/usr/etc'));
    await checkOut(sysroot.repo, source, etc, COPY);
  } catch (error) {
    throw ioError('Preparing /etc', error);
  }
}

/** An empty /var of the stateroot begins with what the commit has there; later commits change nothing. */
async function prepareVar(sysroot: Sysroot, { stateroot, checksum }: Named, path: ByteString): Promise<void> {
  try {
    if (!isDirectory(statusOf(joinPath(path, byteString('var')))?.mode ?? 0)) return;
    const target = inSysroot(sysroot, `ostree/deploy/${stateroot}/var`);
    if ((entriesOf(target) ?? []).length > 0) return;
    const source = lookUp(sysroot.repo, rootOf(sysroot.repo, checksum), byteString('/var'));
    await checkOut(sysroot.repo, source, target, { ...COPY, overwrite: 'union' });
    if (statusOf(joinPath(path, byteString('usr/lib/tmpfiles.d'))) === undefined) initVar(target);
  } catch (error) {
    throw ioError('Preparing deployment /var', error);
  }
}

/** What systemd-tmpfiles would make, for systems without it. */
function initVar(path: ByteString): void {
  const below = (name: string) => joinPath(path, byteString(name));
  makeFolder(below('tmp'), 0o777);
  chmodSync(fsPath(below('tmp')), 0o1777);
  makeFolder(below('lib'), 0o777);
  makeFolder(below('log'), 0o755);
  if (!isThere(below('run'))) symlinkSync('../run', fsPath(below('run')));
  if (!isThere(below('lock'))) symlinkSync('../run/lock', fsPath(below('lock')));
}

function makeFolder(path: ByteString, mode: number): void {
  try {
    mkdirSync(fsPath(path), mode);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw ioError('mkdirat', error);
  }
}

function finalize(sysroot: Sysroot, wanted: NewDeployment, deployment: Deployment, path: ByteString): void {
  try {
    const { merge, report } = wanted;
    if (merge !== undefined) mergeEtc(inSysroot(sysroot, deploymentPath(merge)), path, report);
    const var_ = varOf(sysroot, deployment);
    // So that systemd's ConditionNeedsUpdate= is true when it boots.
    removeFile(joinPath(path, byteString('etc/.updated')));
    removeFile(joinPath(var_, byteString('.updated')));
    stampVar(sysroot, deployment, report);
    makeBacking(sysroot, deployment, path);
    const origin = inSysroot(sysroot, originPath(deployment));
    writeFile(origin, bytesOf(wanted.origin));
    const fd = openDirectory(path);
    try {
      setImmutable(fd, true);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw ioError('Finalizing deployment', error);
  }
}

/** The running system's own /var may be another file system than what is in the stateroot. */
function varOf(sysroot: Sysroot, { stateroot }: Deployment): ByteString {
  if (sysroot.booted?.stateroot === stateroot) return byteString('/var');
  return inSysroot(sysroot, `ostree/deploy/${stateroot}/var`);
}

/** Without a policy there is nothing to label, but ostree looks for the stamp each time. */
function stampVar(sysroot: Sysroot, { stateroot }: Deployment, report: (message: string) => void): void {
  const name = 'var/.ostree-selabeled';
  const stamp = inSysroot(sysroot, `ostree/deploy/${stateroot}/${name}`);
  if (isThere(stamp)) return;
  report(`Relabeling /var (no stamp file '${name}' found)`);
  writeFile(stamp, new Uint8Array(0));
}

/** Directories for an overlay of the whole root; the upper one becomes the root, and has its mode. */
function makeBacking(sysroot: Sysroot, deployment: Deployment, path: ByteString): void {
  const backing = inSysroot(sysroot, backingPath(deployment));
  makeFolder(backing, 0o700);
  const overlay = joinPath(backing, byteString('root-transient'));
  makeFolder(overlay, 0o700);
  makeFolder(joinPath(overlay, byteString('work')), 0o700);
  makeFolder(joinPath(overlay, byteString('upper')), (statusOf(path)?.mode ?? 0o755) & 0o7777);
}
