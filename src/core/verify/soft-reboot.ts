/**
 * The decision about a soft reboot: user space starts anew in another deployment, kernel and initramfs do not. What
 * the running system was sealed with still holds, beside what the target's own configuration says: the stricter
 * counts. Steps and words: `ostree admin prepare-soft-reboot` 2026.4.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { loadSealedFile } from '../conf/sealed.ts';
import { malformed, SealtreeError } from '../errors.ts';
import type { Hash } from '../hash.ts';
import type { System } from '../system.ts';
import {
  type BootDecision,
  conclude,
  type Inquiry,
  judgeDeployment,
  judgeMachine,
  judgePlace,
} from './boot-decision.ts';
import { loadBootPolicy } from './boot-policy.ts';
import { realPath, realSysroot, targetAt } from './boot-target.ts';
import type { KernelFacts } from './kernel.ts';
import { KEPT_SEALED_PATH, type MountPlan, planNextRoot } from './plan.ts';

export interface SoftRebootFacts {
  /** The command line of the running kernel. */
  readonly cmdline: ByteString;
  /** The physical root in the running system: `/sysroot`. */
  readonly sysroot: ByteString;
  /** The target's directory in it: `/sysroot/ostree/deploy/OS/deploy/CHECKSUM.SERIAL`. */
  readonly deployment: ByteString;
  readonly kernel: KernelFacts;
}

/** Decides about a soft reboot; the plan makes the next root ready at /run/nextroot. Never throws for what it reads. */
export function planSoftReboot(system: System, hash: Hash, facts: SoftRebootFacts): BootDecision {
  return conclude(system, hash, (inquiry) => decide(inquiry, facts));
}

function decide(inquiry: Inquiry, facts: SoftRebootFacts): MountPlan {
  const { system, judge } = inquiry;
  // The running system goes on after a refusal.
  inquiry.onRefusal = 'emergency';
  const sealed = loadSealedFile(system, KEPT_SEALED_PATH);
  if (sealed !== undefined) judge.passed('sealed file', `booted sealed: at least mode ${sealed.mode}`);
  inquiry.stage = 'configuration';
  const { cmdline } = facts;
  const shown = displayByteString(facts.deployment);
  const deployment = realPath(system, facts.deployment);
  if (deployment === undefined)
    throw new SealtreeError('missing', `${shown}: No such file or directory`, { check: 'deployment' });
  const sources = { config: deployment, keys: byteString(''), cmdline, given: undefined };
  const policy = loadBootPolicy(system, sources, sealed, judge);
  inquiry.policy = policy;
  if (policy.config.composefs.enabled !== 'yes')
    throw malformed('soft reboot not supported without composefs');
  judgeMachine(inquiry, policy, facts.kernel);
  inquiry.stage = 'deployment';
  const target = targetAt(realSysroot(system, facts.sysroot), deployment);
  inquiry.target = target;
  judgePlace(inquiry, target, policy);
  const { sysroot } = target;
  const { digest } = judgeDeployment(
    inquiry,
    target,
    policy,
    byteString(`${sysroot}/ostree/repo`),
    facts.kernel,
  );
  return planNextRoot({
    config: policy.config,
    sysroot,
    deployment: target.deployment,
    digest,
    boot:
      system.kindOf(byteString(`${sysroot}/boot/loader`)) === 'symlink' &&
      system.kindOf(byteString(`${deployment}/boot`)) === 'directory',
  });
}
