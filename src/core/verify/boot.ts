/**
 * The boot decision: from configuration, kernel arguments and what stands on the disk to the mount plan, or to the
 * reason why there is none. `sealtree verify` prints it, the program in the initramfs carries it out; both read by
 * the System port only, nothing here touches the machine.
 *
 * Order and words are those of ostree-prepare-root 2026.4. The rules that it does not have are listed in
 * docs/boot.md: the first three hold wherever the configuration says `signed`, the others where the initramfs is
 * sealed, and are warnings elsewhere.
 * @module
 */
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../bytes/byte-string.ts';
import { isChecksum } from '../bytes/hex.ts';
import { ostreeTarget } from '../conf/cmdline.ts';
import { parseKeyfile } from '../conf/keyfile.ts';
import { compareModes } from '../conf/prepare-root.ts';
import { loadSealed } from '../conf/sealed.ts';
import { malformed, prefixed, SealtreeError } from '../errors.ts';
import type { Hash } from '../hash.ts';
import { objectPath } from '../ostree/objects.ts';
import type { PublicKey } from '../sign/keys.ts';
import type { System } from '../system.ts';
import { type BootPolicy, type GivenPolicy, loadBootPolicy } from './boot-policy.ts';
import { type BootTarget, placeFault, realSysroot, resolveTarget, targetAt } from './boot-target.ts';
import { type BootedCommit, describeCommit, judgeContent } from './booted-commit.ts';
import { type CommitDecision, type CommitEvidence, decideCommit } from './commit.ts';
import { faultError, type Judge, makeJudge, type Refusal, refusalOf } from './fault.ts';
import { type KernelFacts, kernelFault } from './kernel.ts';
import { type MountPlan, planBoot } from './plan.ts';
import type { Check, CheckName } from './report.ts';
import { searchTarget } from './search-target.ts';
import { type UnsignedPath, unsignedPaths } from './unsigned-paths.ts';
import { fileSystemFault, imageFault, trustedDigest } from './verity-evidence.ts';

/** What the decision is made of, besides what it reads by the System port. */
export interface BootFacts {
  /** The kernel command line without its line end. */
  readonly cmdline: ByteString;
  /** Where the disk is mounted: `/sysroot`. */
  readonly sysroot: ByteString;
  /** Root of the tree with configuration, keys and sealed file: '' in an initramfs, or an unpacked one. */
  readonly root: ByteString;
  /** Whether the program was started from an initramfs; without one nothing has vouched for it and its keys. */
  readonly initramfs: boolean;
  /** Whether the file system at `sysroot` is mounted writable. */
  readonly sysrootWritable: boolean;
  /**
   * The kernel that will carry the plan out. undefined if this is another machine: then neither its version nor
   * what this one says about fs-verity counts.
   */
  readonly kernel: KernelFacts | undefined;
  /** A deployment's directory, a path without symlinks, in place of the one that the command line names. */
  readonly deployment?: ByteString | undefined;
  /** The repository with the commits, in place of the one at `sysroot`. */
  readonly repo?: ByteString | undefined;
  /** Where the disk will be mounted, if not at `sysroot`: for the plan. */
  readonly bootedAt?: ByteString | undefined;
  /** In place of what stands at `root`. */
  readonly given?: GivenPolicy | undefined;
}

export interface BootDecision {
  /** undefined exactly if there is a refusal. */
  readonly plan: MountPlan | undefined;
  readonly refusal: Refusal | undefined;
  /** What was checked, in order, up to the refusal. */
  readonly checks: readonly Check[];
  readonly warnings: readonly string[];
  /** The lines that ostree-prepare-root prints on standard output, as far as it would have come. */
  readonly notices: readonly string[];
  /** undefined if the refusal came before. */
  readonly policy: BootPolicy | undefined;
  readonly target: BootTarget | undefined;
  /** What the commit says of itself; trusted if `signer` is there. */
  readonly commit: BootedCommit | undefined;
  /** The key that vouches for all that is mounted. */
  readonly signer: PublicKey | undefined;
  /** Paths by which state that nothing signed can run code in the booted system. */
  readonly unsigned: readonly UnsignedPath[];
  /** What follows on a refusal: `emergency` is what the init system does with a failed unit. */
  readonly onRefusal: 'poweroff' | 'shell' | 'emergency';
}

/** A commit or its detached metadata at a boot; JavaScript hashes some 1 MB a second there. */
const OBJECT_LIMIT = 16 * 1024 * 1024;
const CONFIG_LIMIT = 1024 * 1024;

/** Decides about a boot. Never throws for anything that it reads. */
export function decideBoot(system: System, hash: Hash, facts: BootFacts): BootDecision {
  const judge = makeJudge();
  const state: DecisionState = { stage: 'sealed file', notices: [], unsigned: [], onRefusal: 'poweroff' };
  let plan: MountPlan | undefined;
  let refusal: Refusal | undefined;
  try {
    plan = decide(system, hash, facts, judge, state);
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    refusal = refusalOf(error, state.stage);
    const { check: name, message, expected, found } = refusal;
    if (!judge.checks.some(({ status }) => status === 'failed')) {
      judge.checks.push({
        name,
        status: 'failed',
        message,
        ...(expected === undefined ? {} : { expected }),
        ...(found === undefined ? {} : { found }),
      });
    }
  }
  const { notices, policy, target, commit, signer, unsigned, onRefusal } = state;
  const { checks, warnings } = judge;
  return { plan, refusal, checks, warnings, notices, policy, target, commit, signer, unsigned, onRefusal };
}

/** What is known so far, for the report of a refusal. */
interface DecisionState {
  stage: CheckName;
  readonly notices: string[];
  policy?: BootPolicy;
  target?: BootTarget;
  commit?: BootedCommit;
  signer?: PublicKey;
  unsigned: readonly UnsignedPath[];
  onRefusal: BootDecision['onRefusal'];
}

function decide(system: System, hash: Hash, facts: BootFacts, judge: Judge, state: DecisionState): MountPlan {
  const { cmdline, root } = facts;
  // A configuration that is given is nobody's initramfs.
  const sealed = facts.given?.config === undefined ? loadSealed(system, root) : undefined;
  state.onRefusal = sealed?.refusal ?? 'emergency';
  if (sealed !== undefined) judge.passed('sealed file', `sealed: at least mode ${sealed.mode}`);
  state.stage = 'configuration';
  const policy = loadBootPolicy(system, root, cmdline, sealed, facts.given, judge);
  state.policy = policy;
  judgeInitramfs(policy, facts);
  state.stage = 'deployment';
  const target = findTarget(system, hash, facts, policy, judge);
  state.target = target;
  judgePlace(system, target, policy, judge);
  const { config } = policy;
  const legacyReadonly = announce(system, facts, policy, target, state.notices);
  state.stage = 'signature';
  const decision = judgeCommit(system, hash, facts, target, policy, judge, state);
  state.stage = 'image';
  const composefs = config.composefs.enabled !== 'no' && hasImage(system, target, policy);
  if (!composefs) {
    if (config.root.transient) throw malformed('Must enable composefs with root.transient');
    state.notices.push('Using legacy ostree bind mount for /');
  }
  if (composefs) judgeImage(system, target, policy, decision?.digest, facts, judge);
  else judge.skipped('image', 'composefs is not used: the directory itself is booted, unverified');
  state.stage = 'etc';
  judgeEtc(policy, judge);
  state.stage = 'kernel';
  judgeKernel(policy, composefs, facts, judge);
  state.unsigned = unsignedPaths(system, target, policy, composefs);
  const { sysroot, deployment } = target;
  const hotfix = system.kindOf(byteString(`${sysroot}${deployment}/.usr-ovl-work`)) !== undefined;
  return planBoot({
    config,
    sysroot: facts.bootedAt ?? sysroot,
    deployment,
    hasImage: composefs,
    digest: policy.signed ? decision?.digest : undefined,
    hotfix,
    legacyReadonly,
    sysrootWritable: facts.sysrootWritable,
    sealedFile: sealed !== undefined,
  });
}

function judgeInitramfs({ mode, sealed, path }: BootPolicy, { initramfs }: BootFacts): void {
  if (initramfs || (mode !== 'signed' && sealed === undefined)) return;
  const where = path === undefined ? 'the configuration' : displayByteString(path);
  throw faultError({
    name: 'configuration',
    message: `${where} says ${mode}, which means nothing without an initramfs: program, keys and configuration lie on the disk that they should check`,
    expected: 'the program as /init of an initramfs, or in one',
    found: 'started from the disk itself',
    advice: 'boot with an initramfs, or set composefs.enabled to what is meant: verity or yes',
  });
}

function findTarget(
  system: System,
  hash: Hash,
  facts: BootFacts,
  policy: BootPolicy,
  judge: Judge,
): BootTarget {
  if (facts.deployment !== undefined) return targetAt(realSysroot(system, facts.sysroot), facts.deployment);
  const named = ostreeTarget(facts.cmdline);
  if (named === undefined && policy.sealed !== undefined && policy.signed) {
    const sysroot = realSysroot(system, facts.sysroot);
    return searchTarget(system, sysroot, policy, hash, judge, (checksum) =>
      readEvidence(system, repoOf(facts, sysroot), checksum),
    );
  }
  return resolveTarget(system, facts.sysroot, named);
}

function judgePlace(system: System, target: BootTarget, policy: BootPolicy, judge: Judge): void {
  const fault = placeFault(system, target);
  if (fault !== undefined) judge.broken(policy.signed || policy.sealed !== undefined, fault);
  else judge.passed('deployment', `${displayByteString(target.deployment)}`);
}

/** What the original prints before it mounts; returns what the repository's configuration says of the disk. */
function announce(
  system: System,
  { sysrootWritable }: BootFacts,
  { config }: BootPolicy,
  { sysroot }: BootTarget,
  notices: string[],
): boolean {
  const own = config.sysrootReadonly ?? config.composefs.enabled === 'yes';
  const legacy = !own && config.composefs.enabled !== 'yes' && legacyReadonly(system, sysroot);
  if (legacy) notices.push('Found legacy sysroot.readonly flag, not configured in ostree/prepare-root.conf');
  const shown = (value: boolean) => (value ? 1 : 0);
  notices.push(
    `sysroot.readonly configuration value: ${shown(own || legacy)} (fs writable: ${shown(sysrootWritable)})`,
  );
  if (config.root.transient) notices.push(`root.transient: 1 (ro: ${shown(config.root.readonly)})`);
  return legacy;
}

/** As ostree-prepare-root reads it: what cannot be read or is no boolean counts as false. */
function legacyReadonly(system: System, sysroot: ByteString): boolean {
  try {
    const path = byteString(`${sysroot}/ostree/repo/config`);
    const data = system.readFile(path, CONFIG_LIMIT);
    if (data === undefined) return false;
    return (
      parseKeyfile(byteStringFrom(data), displayByteString(path)).boolean('sysroot', 'readonly') ?? false
    );
  } catch (error) {
    if (error instanceof SealtreeError) return false;
    throw error;
  }
}

function hasImage(system: System, { sysroot, deployment }: BootTarget, policy: BootPolicy): boolean {
  const kind = system.kindOf(imagePath(sysroot, deployment));
  const failed = 'Failed to mount composefs: composefs: failed to mount';
  const name = 'image';
  if (kind === undefined) {
    if (policy.config.composefs.enabled === 'maybe') return false;
    throw faultError({
      name,
      message: `${failed}: No such file or directory`,
      expected: '.ostree.cfs',
      found: 'nothing',
    });
  }
  if (policy.signed && kind !== 'file')
    throw faultError({
      name,
      message: `${failed}: .ostree.cfs is no regular file`,
      expected: 'file',
      found: kind,
    });
  return true;
}

function judgeCommit(
  system: System,
  hash: Hash,
  facts: BootFacts,
  target: BootTarget,
  policy: BootPolicy,
  judge: Judge,
  state: DecisionState,
): CommitDecision | undefined {
  const { commit } = target;
  const repo = repoOf(facts, target.sysroot);
  if (!policy.signed) {
    // For the boot line and the warnings only: a commit that cannot be read is no hindrance.
    const seen = describeUnchecked(system, repo, commit);
    if (seen !== undefined) {
      state.commit = seen;
      judgeContent(policy, seen, judge);
    } else if (policy.sealed !== undefined) judgeContent(policy, undefined, judge);
    judge.skipped('signature', 'no signature is demanded');
    return undefined;
  }
  const evidence = requireEvidence(system, repo, commit);
  const decision = decideCommit(evidence, (base) => readEvidence(system, repo, base), policy, hash);
  judge.checks.push(...decision.checks);
  const failed = decision.checks.find(({ status }) => status === 'failed');
  if (failed !== undefined) throw faultError({ ...failed, message: inOstreesWords(failed, target) });
  const { signer, vouching } = decision;
  if (vouching === undefined || signer === undefined)
    throw faultError({ name: 'signature', message: `commit ${commit}: nothing vouches for it` });
  state.commit = describeCommit(decision.commit ?? vouching, commit);
  state.signer = signer;
  judgeContent(policy, describeCommit(vouching, commit), judge);
  return decision;
}

function describeUnchecked(system: System, repo: ByteString, commit: string): BootedCommit | undefined {
  try {
    const evidence = isChecksum(commit) ? readEvidence(system, repo, commit) : undefined;
    return evidence === undefined ? undefined : describeCommit(evidence.data, commit);
  } catch (error) {
    if (error instanceof SealtreeError) return undefined;
    throw error;
  }
}

function requireEvidence(system: System, repo: ByteString, commit: string): CommitEvidence {
  const prefix = 'Failed to mount composefs: Error loading signatures from repo';
  let evidence: CommitEvidence | undefined;
  try {
    evidence = readEvidence(system, repo, commit);
  } catch (error) {
    throw prefixed(prefix, error);
  }
  if (evidence !== undefined) return evidence;
  const path = displayByteString(objectFile(repo, 'commit', commit));
  const message = `${prefix}: Failed to open file “${path}”: No such file or directory`;
  throw new SealtreeError('missing', message, { check: 'signature', path });
}

function readEvidence(system: System, repo: ByteString, checksum: string): CommitEvidence | undefined {
  const data = system.readFile(objectFile(repo, 'commit', checksum), OBJECT_LIMIT);
  if (data === undefined) return undefined;
  const detached = system.readFile(objectFile(repo, 'commitmeta', checksum), OBJECT_LIMIT);
  return { checksum, data, detached };
}

/** The original's sentence for a failed check of decideCommit, where it has one. */
function inOstreesWords({ name, message }: Check, { sysroot, deployment }: BootTarget): string {
  const prefix = 'Failed to mount composefs: ';
  if (message.startsWith('No commitmeta for'))
    return `${prefix}No commitmeta for deploy ${displayByteString(byteString(sysroot + deployment))}`;
  if (name !== 'signature' || message.startsWith('Signature validation requested')) return prefix + message;
  return `${prefix}Checking commit signature: ${message}`;
}

/** By which name the disk has the image, and whose word on its digest counts. */
function judgeImage(
  system: System,
  { sysroot, deployment }: BootTarget,
  policy: BootPolicy,
  digest: string | undefined,
  { kernel }: BootFacts,
  judge: Judge,
): void {
  if (!policy.signed || digest === undefined) {
    judge.skipped('image', 'any image will do');
    return;
  }
  const path = imagePath(sysroot, deployment);
  const evidence = system.examineVerity(path);
  if (evidence === undefined) throw malformed(`${displayByteString(path)}: No such file or directory`);
  const objects = system.fileSystemOf(byteString(`${sysroot}/ostree/repo/objects`));
  const place = objects === undefined ? undefined : fileSystemFault('objects', objects);
  const fault = imageFault(evidence, digest) ?? place;
  if (fault === undefined) {
    judge.passed('image in the kernel', `the kernel measures ${digest}`);
    return;
  }
  if (kernel !== undefined || trustedDigest(evidence) !== undefined) throw faultError(fault);
  judge.skipped(
    'image in the kernel',
    'fs-verity is not on for the image here; where it is booted it has to be',
  );
}

/** A line of etc/fstab is enough to mount something else over the verified /usr. */
export function judgeEtc({ config, sealed, mode }: BootPolicy, judge: Judge): void {
  const name = 'etc';
  if (config.etcTransient) {
    judge.passed(name, '/etc is taken from the image at every boot');
  } else if (sealed?.unsignedEtc === true) {
    judge.warn(name, '/etc is persistent and unsigned, which the sealed file allows');
  } else if (sealed !== undefined || compareModes(mode, 'verity') >= 0) {
    judge.broken(sealed !== undefined, {
      name,
      message:
        '/etc is persistent, and nothing signs it: a line in its fstab can mount over the verified /usr',
      expected: 'etc.transient=true',
      found: 'etc.transient=false',
    });
  }
}

function judgeKernel(policy: BootPolicy, composefs: boolean, { kernel }: BootFacts, judge: Judge): void {
  const name = 'kernel';
  if (kernel === undefined) {
    judge.skipped(name, 'it is another machine that boots');
    return;
  }
  const { verity } = policy.config.composefs;
  const fault = kernelFault({ composefs, verity, signed: policy.signed }, kernel);
  if (fault !== undefined) throw faultError(fault);
  judge.passed(name, `${displayByteString(kernel.release)} has what is needed`);
}

function imagePath(sysroot: ByteString, deployment: ByteString): ByteString {
  return byteString(`${sysroot}${deployment}/.ostree.cfs`);
}

function repoOf({ repo }: BootFacts, sysroot: ByteString): ByteString {
  return repo ?? byteString(`${sysroot}/ostree/repo`);
}

function objectFile(repo: ByteString, type: 'commit' | 'commitmeta', checksum: string): ByteString {
  return byteString(`${repo}/objects/${objectPath(checksum, type)}`);
}
