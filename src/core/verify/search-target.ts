/**
 * The deployment to boot where no kernel argument names one. A signed command line cannot hold `ostree=`: it would
 * depend on the commit, which depends on the initramfs beside the command line. So the signatures choose: the
 * deployment whose commit verifies, the newest first.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { malformed, SealtreeError } from '../errors.ts';
import { decodeCommit } from '../ostree/commit.ts';
import type { System } from '../system.ts';
import { readEvidence } from './boot-commit.ts';
import { type Inquiry, type JudgedDeployment, judgeDeployment } from './boot-decision.ts';
import type { BootPolicy } from './boot-policy.ts';
import { type BootTarget, misplaced, realPath, targetAt } from './boot-target.ts';
import { faultError, type Judge, makeJudge } from './fault.ts';
import type { KernelFacts } from './kernel.ts';

/** Bounds of the search: whoever fills a disk with deployments does not keep the boot busy. */
const MAX_DEPLOYMENTS = 64;
const MAX_TRIED = 8;

interface Candidate {
  readonly target: BootTarget;
  readonly timestamp: bigint;
}

/**
 * A deployment that is not whole, as a deploy that was cut off leaves it, or not what is demanded, is passed over.
 *
 * @param sysroot without symlinks, '' for /
 * @param repo path of the repository
 * @returns the deployment, and what was found of it
 * @throws SealtreeError `missing` if none is good, `malformed` for more deployments than are looked at
 */
export function searchTarget(
  inquiry: Inquiry,
  sysroot: ByteString,
  policy: BootPolicy,
  repo: ByteString,
  kernel: KernelFacts | undefined,
): { target: BootTarget; judged: JudgedDeployment } {
  const { system, judge } = inquiry;
  const targets = deploymentsBelow(system, sysroot);
  const candidates = targets.flatMap((target) => candidateOf(system, target, repo, judge));
  candidates.sort(newestFirst);
  let reason = '';
  for (const { target } of candidates.slice(0, MAX_TRIED)) {
    const trial: Inquiry = { ...inquiry, judge: makeJudge() };
    try {
      const judged = judgeDeployment(trial, target, policy, repo, kernel);
      judge.checks.push(...trial.judge.checks);
      judge.warnings.push(...trial.judge.warnings);
      inquiry.commit = trial.commit;
      inquiry.signer = trial.signer;
      inquiry.unsigned = trial.unsigned;
      return { target, judged };
    } catch (error) {
      const message = passOver(target, error, judge);
      reason ||= `; the newest: ${message}`;
    }
  }
  const found = `${targets.length} deployments, ${Math.min(candidates.length, MAX_TRIED)} tried`;
  throw new SealtreeError(
    'missing',
    `No ostree target found: no kernel argument names one, and no deployment is good (${found})${reason}`,
    {
      expected: 'a deployment whose commit is signed with a trusted key, and whose image is what it names',
      found,
    },
  );
}

function deploymentsBelow(system: System, sysroot: ByteString): BootTarget[] {
  const base = byteString(`${sysroot}/ostree/deploy`);
  const found: BootTarget[] = [];
  const real = realPath(system, base) ?? base;
  if (real !== base) throw faultError(misplaced(real));
  for (const stateroot of system.readDirectory(base) ?? []) {
    const directory = byteString(`${base}/${stateroot}/deploy`);
    if (system.kindOf(byteString(`${base}/${stateroot}`)) !== 'directory') continue;
    if (system.kindOf(directory) !== 'directory') continue;
    for (const name of system.readDirectory(directory) ?? []) {
      const path = byteString(`${directory}/${name}`);
      if (!/^[0-9a-f]{64}\.\d{1,9}$/.test(name) || system.kindOf(path) !== 'directory') continue;
      found.push(targetAt(sysroot, path));
      if (found.length > MAX_DEPLOYMENTS)
        throw malformed(`more than ${MAX_DEPLOYMENTS} deployments below ${displayByteString(base)}`);
    }
  }
  return found;
}

/** What its commit says of its age is checked later, with all else. */
function candidateOf(system: System, target: BootTarget, repo: ByteString, judge: Judge): Candidate[] {
  try {
    const evidence = readEvidence(system, repo, target.commit);
    if (evidence === undefined) return [];
    return [{ target, timestamp: decodeCommit(evidence.data, `${target.commit}.commit`).timestamp }];
  } catch (error) {
    passOver(target, error, judge);
    return [];
  }
}

function passOver({ deployment }: BootTarget, error: unknown, judge: Judge): string {
  if (!(error instanceof SealtreeError)) throw error;
  judge.warn('deployment', `${displayByteString(deployment)} is passed over: ${error.message}`);
  return error.message;
}

/** Of the same age: the one deployed last has the higher serial. */
function newestFirst(a: Candidate, b: Candidate): number {
  if (a.timestamp !== b.timestamp) return a.timestamp > b.timestamp ? -1 : 1;
  const serial = ({ target }: Candidate) =>
    Number(target.deployment.slice(target.deployment.lastIndexOf('.') + 1));
  return serial(b) - serial(a);
}
