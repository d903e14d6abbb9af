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
import { ostreeTarget } from '../conf/cmdline.ts';
import { parseKeyfile } from '../conf/keyfile.ts';
import { loadSealed } from '../conf/sealed.ts';
import { raiseSealed, writeSealed } from '../conf/write-sealed.ts';
import { malformed, SealtreeError } from '../errors.ts';
import type { Hash } from '../hash.ts';
import type { System } from '../system.ts';
import {
  type BootDecision,
  conclude,
  type Inquiry,
  type JudgedDeployment,
  judgeDeployment,
  judgeMachine,
  judgePlace,
} from './boot-decision.ts';
import { type BootPolicy, type GivenPolicy, loadBootPolicy } from './boot-policy.ts';
import { type BootTarget, realSysroot, resolveTarget, targetAt } from './boot-target.ts';
import { faultError } from './fault.ts';
import type { KernelFacts } from './kernel.ts';
import { type MountPlan, planBoot } from './plan.ts';
import { searchTarget } from './search-target.ts';

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

const CONFIG_LIMIT = 1024 * 1024;

/** Decides about a boot. Never throws for anything that it reads. */
export function decideBoot(system: System, hash: Hash, facts: BootFacts): BootDecision {
  return conclude(system, hash, (inquiry) => decide(inquiry, facts));
}

function decide(inquiry: Inquiry, facts: BootFacts): MountPlan {
  const { system, judge, notices } = inquiry;
  const { cmdline, root, given } = facts;
  // A configuration that is given is nobody's initramfs.
  const isGiven = given?.config !== undefined;
  const sealed = isGiven ? undefined : loadSealed(system, root);
  inquiry.onRefusal = sealed?.refusal ?? 'emergency';
  if (sealed !== undefined) judge.passed('sealed file', `sealed: at least mode ${sealed.mode}`);
  inquiry.stage = 'configuration';
  const policy = loadBootPolicy(system, { config: root, keys: root, cmdline, given }, sealed, judge);
  inquiry.policy = policy;
  judgeInitramfs(policy, facts);
  judgeMachine(inquiry, policy, facts.kernel);
  inquiry.stage = 'deployment';
  const found = findTarget(inquiry, facts, policy);
  const { target } = found;
  inquiry.target = target;
  judgePlace(inquiry, target, policy);
  const legacyReadonly = announce(system, facts, policy, target, notices);
  const { composefs, digest } =
    found.judged ?? judgeDeployment(inquiry, target, policy, repoOf(facts, target.sysroot), facts.kernel);
  const { config } = policy;
  if (!composefs) {
    if (config.root.transient) throw malformed('Must enable composefs with root.transient');
    notices.push('Using legacy ostree bind mount for /');
  }
  const { sysroot, deployment } = target;
  return planBoot({
    config,
    sysroot: facts.bootedAt ?? sysroot,
    deployment,
    hasImage: composefs,
    digest,
    hotfix: system.kindOf(byteString(`${sysroot}${deployment}/.usr-ovl-work`)) !== undefined,
    legacyReadonly,
    sysrootWritable: facts.sysrootWritable,
    sealedFile: sealed === undefined ? undefined : writeSealed(raiseSealed(sealed, policy)),
    unnamed: facts.deployment === undefined && ostreeTarget(cmdline) === undefined,
  });
}

function judgeInitramfs({ mode, path, sealed }: BootPolicy, { initramfs }: BootFacts): void {
  if (initramfs || (mode !== 'signed' && sealed === undefined)) return;
  const where = path === undefined ? 'no configuration' : displayByteString(path);
  throw faultError({
    name: 'configuration',
    message: `${where}: mode ${mode} is meaningless without an initramfs: program, keys and configuration lie on the disk that they should check`,
    expected: 'started in an initramfs',
    found: 'started from the disk itself',
    advice: 'boot with an initramfs; as its /init the program is process 1 as well',
  });
}

/** The deployment that is named, or the first good one; that is judged then. */
function findTarget(
  inquiry: Inquiry,
  facts: BootFacts,
  policy: BootPolicy,
): { target: BootTarget; judged?: JudgedDeployment } {
  const { system } = inquiry;
  if (facts.deployment !== undefined)
    return { target: targetAt(realSysroot(system, facts.sysroot), facts.deployment) };
  const named = ostreeTarget(facts.cmdline);
  if (named !== undefined || policy.sealed === undefined || !policy.signed)
    return { target: resolveTarget(system, facts.sysroot, named) };
  const sysroot = realSysroot(system, facts.sysroot);
  return searchTarget(inquiry, sysroot, policy, repoOf(facts, sysroot), facts.kernel);
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
    const file = parseKeyfile(byteStringFrom(data), displayByteString(path));
    return file.boolean('sysroot', 'readonly') ?? false;
  } catch (error) {
    if (error instanceof SealtreeError) return false;
    throw error;
  }
}

function repoOf({ repo }: BootFacts, sysroot: ByteString): ByteString {
  return repo ?? byteString(`${sysroot}/ostree/repo`);
}
