/**
 * Deploying a commit, and changing which deployments there are: what `sealtree admin` and makers of disk images call.
 * @module
 */
import { createHash } from 'node:crypto';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { parseKeyfile, setKey } from '../core/conf/keyfile.ts';
import { SealtreeError } from '../core/errors.ts';
import { joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { readFileLimited } from '../node/read-file.ts';
import type { BootLayout } from './boot-entries.ts';
import { entryValue } from './boot-entry.ts';
import { makeMountsWritable } from './booted.ts';
import { requireNoBootloader } from './bootloader.ts';
import { cleanUp } from './cleanup.ts';
import { type Deployment, isPinned, sameDeployment } from './deployment.ts';
import { copyFile, ensureDirectory, statusOf, withDirectory } from './files.ts';
import { OVERLAYS } from './install-kernel.ts';
import { KernelArguments, splitArguments } from './kernel-arguments.ts';
import { makeDeployment } from './new-deployment.ts';
import { loadSysroot, requireBoot, requireNothingStaged, requireSysroot, type Sysroot } from './sysroot.ts';
import { withSysrootLock } from './sysroot-lock.ts';
import type { VerityDemand } from './verity.ts';
import { writeDeployments } from './write-deployments.ts';

/** How the kernel arguments of a new deployment come about, in this order. */
export interface ArgumentChanges {
  /** What there is before: those of the deployment before (the default), none, or those of the running kernel. */
  readonly from?: 'merge' | 'none' | 'running';
  /** Each in place of all of its key. */
  readonly set?: readonly ByteString[];
  readonly append?: readonly ByteString[];
  /** What is not there is passed over. */
  readonly delete?: readonly ByteString[];
}

export interface DeployOptions {
  /** Default: that of the running system. */
  readonly stateroot?: ByteString | undefined;
  /** Commit, ref or `remote:ref`; also what the `.origin` file names. */
  readonly refspec: ByteString;
  /** Text of the `.origin` file, instead of one that names the refspec. */
  readonly origin?: ByteString | undefined;
  /** Whether changes of /etc and kernel arguments are taken over from the deployment before; true by default. */
  readonly merge?: boolean;
  readonly arguments?: ArgumentChanges;
  /** Files that become further initrds of the boot entry. */
  readonly overlayInitrds?: readonly ByteString[];
  /** Which other deployments stay, besides the one merged with, the running one, and those that are pinned. */
  readonly retain?: boolean;
  readonly retainPending?: boolean;
  readonly retainRollback?: boolean;
  /** Puts it behind the deployment merged with, instead of first. */
  readonly notAsDefault?: boolean;
  /** Whether objects that nothing needs any more are deleted; true by default. */
  readonly prune?: boolean;
  /** `policy` by default. */
  readonly verity?: VerityDemand;
  /** Overrules what the file system of /boot has: for one that is yet to be made. */
  readonly layout?: BootLayout | undefined;
  /** Gets a line for each step worth telling. */
  readonly report?: (message: string) => void;
}

/**
 * Deploys a commit of the sysroot's own repository.
 *
 * @param path of the sysroot, absolute
 * @returns the new deployment; its place below the sysroot is `deploymentPath`
 */
export async function deploy(path: ByteString, options: DeployOptions): Promise<Deployment> {
  return withSysroot(path, options, (sysroot) => deployInto(sysroot, options));
}

/** Runs `use` on a sysroot that is locked, and writable if it is the running system's. */
export async function withSysroot<T>(
  path: ByteString,
  {
    layout,
    report = () => {},
  }: { readonly layout?: BootLayout | undefined; readonly report?: (message: string) => void },
  use: (sysroot: Sysroot) => Promise<T> | T,
): Promise<T> {
  requireSysroot(path);
  if (loadsRunning(path)) makeMountsWritable();
  return withSysrootLock(
    path,
    () => report('Waiting for sysroot lock...'),
    () => use(loadSysroot(path, { layout })),
  );
}

/** As {@link deploy}, under the lock. */
export async function deployInto(sysroot: Sysroot, options: DeployOptions): Promise<Deployment> {
  const { refspec, report = () => {} } = options;
  const stateroot = options.stateroot ?? sysroot.booted?.stateroot;
  if (stateroot === undefined) {
    throw new SealtreeError(
      'usage',
      'Looking for booted deployment: Not currently booted into an OSTree system and no --os= argument given',
      { help: 'no' },
    );
  }
  requireNothingStaged(sysroot);
  const origin = normalizedOrigin(options.origin ?? originOf(refspec));
  const checksum = sysroot.repo.resolveRev(refspec);
  const merge = options.merge === false ? undefined : mergeDeployment(sysroot, stateroot);
  requireBoot(sysroot);
  requireNoBootloader(sysroot);
  const clean = initialCleanUp(sysroot);
  const deployment = await makeDeployment(clean, {
    stateroot,
    checksum,
    origin,
    merge,
    options: argumentsOf(merge, options.arguments ?? {}),
    overlayInitrds: stageOverlays(clean, options.overlayInitrds ?? []),
    verity: options.verity ?? 'policy',
    report,
  });
  let written: Sysroot;
  try {
    written = await writeDeployments(clean, newList(clean, stateroot, deployment, merge, options), report);
  } catch (error) {
    cleanUpAfterFailure(clean);
    throw error;
  }
  const done = cleanUp(written, { prune: options.prune ?? true });
  return done.deployments.find((other) => sameDeployment(other, deployment)) ?? deployment;
}

/** Makes an `.origin` file's text. */
export function originOf(refspec: ByteString): ByteString {
  return setKey(byteString(''), byteString('origin'), byteString('refspec'), refspec, 'origin');
}

/** The deployment whose configuration a new one of the stateroot takes over. */
export function mergeDeployment(sysroot: Sysroot, stateroot: ByteString): Deployment | undefined {
  if (sysroot.booted?.stateroot === stateroot) return sysroot.booted;
  return pendingAndRollback(sysroot, stateroot).pending;
}

/** The first deployment of a stateroot before the running one, and the first behind it. */
export function pendingAndRollback(
  { deployments, booted }: Sysroot,
  stateroot: ByteString,
): { pending: Deployment | undefined; rollback: Deployment | undefined } {
  const own = deployments.filter((deployment) => deployment.stateroot === stateroot);
  const at = own.findIndex((deployment) => booted !== undefined && sameDeployment(deployment, booted));
  if (at < 0) return { pending: own[0], rollback: undefined };
  return { pending: at > 0 ? own[0] : undefined, rollback: own[at + 1] };
}

/** Writes a list of deployments and removes what is no longer in it. */
export async function replaceDeployments(
  sysroot: Sysroot,
  deployments: readonly Deployment[],
  report: (message: string) => void,
): Promise<Sysroot> {
  requireNothingStaged(sysroot);
  const written = await writeDeployments(sysroot, deployments, report);
  try {
    return cleanUp(written, { prune: true });
  } catch (error) {
    throw ioError('Performing final cleanup', error);
  }
}

function loadsRunning(path: ByteString): boolean {
  return path === '/' && statusOf(byteString('/run/ostree-booted')) !== undefined;
}

function initialCleanUp(sysroot: Sysroot): Sysroot {
  try {
    return cleanUp(sysroot, { prune: false });
  } catch (error) {
    throw ioError('Performing initial cleanup', error);
  }
}

/** Undefined if nothing is said: then those of the deployment before hold, as they are. */
function argumentsOf(merge: Deployment | undefined, changes: ArgumentChanges): ByteString | undefined {
  const { from = 'merge', set = [], append = [], delete: deleted = [] } = changes;
  const changed = set.length + append.length + deleted.length > 0;
  if (from === 'merge' && !changed) return undefined;
  const options = from === 'merge' ? merge && entryValue(merge.entry, 'options') : undefined;
  const list = from === 'running' ? runningArguments() : KernelArguments.from(options);
  for (const word of set) list.replace(word);
  for (const text of append) list.append(text);
  for (const text of deleted) list.deleteIfPresent(text);
  // Once more: ostree takes what was set apart at its blanks here.
  return KernelArguments.from(list.toText()).toText();
}

/** What boot loaders add themselves is left out. */
function runningArguments(): KernelArguments {
  const data = readFileLimited(byteString('/proc/cmdline'), '/proc/cmdline', 64 * 1024);
  const list = new KernelArguments();
  const text = byteString(
    Buffer.from(data ?? [])
      .toString('latin1')
      .trimEnd(),
  );
  for (const word of splitArguments(text)) {
    if (!/^(?:BOOT_IMAGE|initrd)=/.test(word)) list.append(word);
  }
  return list;
}

/** Puts further initrds where boot entries find them. @returns their paths below /boot */
function stageOverlays(sysroot: Sysroot, files: readonly ByteString[]): ByteString[] {
  const folder = joinPath(sysroot.boot, byteString(OVERLAYS));
  return files.map((file) => {
    const data = readFileLimited(file, displayByteString(file), 1 << 30);
    const status = statusOf(file);
    if (data === undefined || status === undefined)
      throw new SealtreeError('missing', `openat(${displayByteString(file)}): No such file or directory`);
    const name = byteString(`${createHash('sha256').update(data).digest('hex')}.img`);
    ensureDirectory(folder, 0o755);
    const attributes = { uid: 0, gid: 0, mode: 0o100600 };
    withDirectory(folder, (fd) =>
      copyFile(file, { ...status, ...attributes }, fd, name, {
        xattrs: false,
        attributes: sysroot.layout === 'links',
        sync: true,
        replace: true,
      }),
    );
    return byteString(`${OVERLAYS}/${name}`);
  });
}

/** As GKeyFile writes it: groups and keys, an empty line between groups, no comments. */
function normalizedOrigin(text: ByteString): ByteString {
  const file = parseKeyfile(text, 'origin');
  const groups = file.groups.map((group) => {
    const lines = file.keys(group).map((key) => `${key}=${file.value(group, key)}\n`);
    return `[${group}]\n${lines.join('')}`;
  });
  return byteString(groups.join('\n'));
}

/** Where the new deployment stands, and which of the others stay. */
function newList(
  sysroot: Sysroot,
  stateroot: ByteString,
  added: Deployment,
  merge: Deployment | undefined,
  { retain, retainPending, retainRollback, notAsDefault }: DeployOptions,
): Deployment[] {
  const { booted } = sysroot;
  const list = notAsDefault === true ? [] : [added];
  // Without a running one or one to merge with there is no before and behind.
  const all =
    retain === true ||
    (booted === undefined && merge === undefined && (retainPending === true || retainRollback === true));
  const crossover = booted ?? merge;
  let passed = false;
  for (const deployment of sysroot.deployments) {
    const isCrossover = crossover !== undefined && sameDeployment(deployment, crossover);
    if (isCrossover) passed = true;
    const stays =
      all ||
      isPinned(deployment) ||
      deployment.stateroot !== stateroot ||
      (retainPending === true && !passed) ||
      (booted !== undefined && sameDeployment(deployment, booted)) ||
      (merge !== undefined && sameDeployment(deployment, merge)) ||
      (retainRollback === true && passed);
    if (stays) list.push(deployment);
    if (passed && !list.includes(added)) list.push(added);
  }
  if (!list.includes(added)) list.push(added);
  return list;
}

/** What a failure leaves behind goes; where the new list held already, the deployment stays. */
function cleanUpAfterFailure({ path, layout }: Sysroot): void {
  try {
    cleanUp(loadSysroot(path, { layout }), { prune: false });
  } catch {
    // The failure that led here is the one to tell; what is left goes with the next clean-up.
  }
}
