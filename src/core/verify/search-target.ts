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
import { faultError, type Judge, makeJudge, type Refusal, refusalOf } from './fault.ts';
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
  const failures: Failure[] = [];
  const candidates = targets.flatMap((target) => candidateOf(inquiry, target, repo, failures));
  candidates.sort(newestFirst);
  // Those that nobody can tell the age of come last.
  const unreadable = failures.splice(0);
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
      failures.push(passOver({ ...trial, target }, error, judge));
    }
  }
  const found = `${targets.length} deployments, ${Math.min(candidates.length, MAX_TRIED)} tried`;
  const message = `No ostree target found: no kernel argument names one, and no deployment is good (${found})`;
  const [newest] = [...failures, ...unreadable];
  if (newest === undefined) {
    const expected =
      'a deployment whose commit is signed with a trusted key, and whose image is what it names';
    throw new SealtreeError('missing', message, { expected, found });
  }
  // What is wrong with this one is what has to be mended.
  const { trial, refusal } = newest;
  inquiry.target = trial.target;
  inquiry.commit = trial.commit;
  inquiry.signer = trial.signer;
  throw faultError({
    ...refusal,
    name: refusal.check,
    message: `${message}; the newest: ${refusal.message}`,
  });
}

/** A deployment that was passed over, how far it was judged, and why. */
interface Failure {
  readonly trial: Inquiry & { readonly target: BootTarget };
  readonly refusal: Refusal;
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
function candidateOf(
  inquiry: Inquiry,
  target: BootTarget,
  repo: ByteString,
  failures: Failure[],
): Candidate[] {
  try {
    const evidence = readEvidence(inquiry.system, repo, target.commit);
    if (evidence === undefined) return [];
    return [{ target, timestamp: decodeCommit(evidence.data, `${target.commit}.commit`).timestamp }];
  } catch (error) {
    failures.push(passOver({ ...inquiry, target, stage: 'signature' }, error, inquiry.judge));
    return [];
  }
}

function passOver(trial: Failure['trial'], error: unknown, judge: Judge): Failure {
  if (!(error instanceof SealtreeError)) throw error;
  judge.warn('deployment', `${displayByteString(trial.target.deployment)} is passed over: ${error.message}`);
  return { trial, refusal: refusalOf(error, trial.stage) };
}

/** Of the same age: the one deployed last has the higher serial. */
function newestFirst(a: Candidate, b: Candidate): number {
  if (a.timestamp !== b.timestamp) return a.timestamp > b.timestamp ? -1 : 1;
  const serial = ({ target }: Candidate) =>
    Number(target.deployment.slice(target.deployment.lastIndexOf('.') + 1));
  return serial(b) - serial(a);
}
