/**
 * A decision about a boot as data, and how it is come to: a row of judgements, of which the first that says no ends
 * it. boot.ts decides about a boot, soft-reboot.ts about a soft reboot.
 * @module
 */
import { type ByteString, displayByteString } from '../bytes/byte-string.ts';
import { SealtreeError } from '../errors.ts';
import type { Hash } from '../hash.ts';
import type { PublicKey } from '../sign/keys.ts';
import type { System } from '../system.ts';
import { judgeCommit } from './boot-commit.ts';
import { findImage, judgeImage } from './boot-image.ts';
import { type BootPolicy, judgeEtc } from './boot-policy.ts';
import { type BootTarget, placeFault } from './boot-target.ts';
import type { BootedCommit } from './booted-commit.ts';
import { faultError, type Judge, makeJudge, type Refusal, refusalOf } from './fault.ts';
import { type KernelFacts, kernelFault } from './kernel.ts';
import type { MountPlan } from './plan.ts';
import type { Check, CheckName } from './report.ts';
import { type UnsignedPath, unsignedPaths } from './unsigned-paths.ts';

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
  /** Paths by which state that nothing signs can run code in the booted system. */
  readonly unsigned: readonly UnsignedPath[];
  /** What follows on a refusal: `emergency` is what the init system does with a failed unit. */
  readonly onRefusal: 'poweroff' | 'shell' | 'emergency';
}

/** A decision in the making, and what is known so far, for the report of a refusal. */
export interface Inquiry {
  readonly system: System;
  readonly hash: Hash;
  readonly judge: Judge;
  readonly notices: string[];
  /** What is being checked. */
  stage: CheckName;
  policy?: BootPolicy;
  target?: BootTarget;
  commit?: BootedCommit | undefined;
  signer?: PublicKey | undefined;
  unsigned: readonly UnsignedPath[];
  onRefusal: BootDecision['onRefusal'];
}

/** Comes to a decision. Never throws for anything that was read. */
export function conclude(system: System, hash: Hash, decide: (inquiry: Inquiry) => MountPlan): BootDecision {
  const judge = makeJudge();
  // A sealed file that cannot be read leaves no other way.
  const inquiry: Inquiry = {
    ...{ system, hash, judge, notices: [], unsigned: [] },
    stage: 'sealed file',
    onRefusal: 'poweroff',
  };
  let plan: MountPlan | undefined;
  let refusal: Refusal | undefined;
  try {
    plan = decide(inquiry);
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    refusal = refusalOf(error, inquiry.stage);
    judge.failed(refusal);
  }
  const { notices, policy, target, commit, signer, unsigned, onRefusal } = inquiry;
  const { checks, warnings } = judge;
  return { plan, refusal, checks, warnings, notices, policy, target, commit, signer, unsigned, onRefusal };
}

/** Whether the deployment is where deployments are. */
export function judgePlace({ system, judge }: Inquiry, target: BootTarget, policy: BootPolicy): void {
  const fault = placeFault(system, target);
  if (fault !== undefined) judge.broken(policy.signed || policy.sealed !== undefined, fault);
  else judge.passed('deployment', displayByteString(target.deployment));
}

/**
 * What can be said before a deployment is known: /etc, and whether the kernel can do what is demanded.
 *
 * @param kernel undefined if it is another machine that boots
 */
export function judgeMachine({ judge }: Inquiry, policy: BootPolicy, kernel: KernelFacts | undefined): void {
  judgeEtc(policy, judge);
  if (policy.config.composefs.enabled === 'yes') judgeKernel(policy, kernel, judge);
}

/** What was found of a deployment. */
export interface JudgedDeployment {
  /** Whether composefs is used. */
  readonly composefs: boolean;
  /** The digest that the image must have; undefined for any. */
  readonly digest: string | undefined;
}

/**
 * Everything about a deployment itself: its commit, its image, and what of it nothing signs.
 *
 * @param repo path of the repository
 */
export function judgeDeployment(
  inquiry: Inquiry,
  target: BootTarget,
  policy: BootPolicy,
  repo: ByteString,
  kernel: KernelFacts | undefined,
): JudgedDeployment {
  const { system, hash, judge } = inquiry;
  inquiry.stage = 'signature';
  const { commit, signer, digest } = judgeCommit(system, hash, repo, target, policy, judge);
  inquiry.commit = commit;
  inquiry.signer = signer;
  inquiry.stage = 'image';
  const composefs = findImage(system, target, policy);
  if (composefs) judgeImage(system, target, digest, kernel !== undefined, judge);
  else judge.skipped('image', 'composefs is not used: the directory itself is booted, unverified');
  if (composefs && policy.config.composefs.enabled === 'maybe') judgeKernel(policy, kernel, judge);
  inquiry.unsigned = unsignedPaths(system, target, policy, composefs);
  return { composefs, digest: policy.mode === 'signed' ? digest : undefined };
}

function judgeKernel(policy: BootPolicy, kernel: KernelFacts | undefined, judge: Judge): void {
  const name = 'kernel';
  if (kernel === undefined) {
    judge.skipped(name, 'it is another machine that boots');
    return;
  }
  const { verity } = policy.config.composefs;
  const fault = kernelFault({ verity, signed: policy.signed }, kernel);
  if (fault !== undefined) throw faultError(fault);
  judge.passed(name, `${displayByteString(kernel.release)} has what is needed`);
}
