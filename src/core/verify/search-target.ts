/**
 * The deployment to boot where no kernel argument names one. A signed command line cannot hold `ostree=`: it would
 * depend on the commit, which depends on the initramfs beside the command line. So the signatures choose: the
 * deployment whose commit verifies, the newest first.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { isChecksum } from '../bytes/hex.ts';
import { malformed, SealtreeError } from '../errors.ts';
import type { Hash } from '../hash.ts';
import { decodeCommit } from '../ostree/commit.ts';
import type { System } from '../system.ts';
import type { BootPolicy } from './boot-policy.ts';
import { type BootTarget, targetAt } from './boot-target.ts';
import { type CommitEvidence, decideCommit } from './commit.ts';
import type { Judge } from './fault.ts';

/** Bounds of the search: whoever fills a disk with deployments does not keep the boot busy. */
const MAX_DEPLOYMENTS = 64;
const MAX_TRIED = 8;

interface Candidate {
  readonly target: BootTarget;
  readonly evidence: CommitEvidence;
  readonly timestamp: bigint;
}

/**
 * @param sysroot without symlinks, '' for /
 * @param readEvidence reads the commit of that name
 * @throws SealtreeError `missing` if no commit verifies, `malformed` for more deployments than are looked at
 */
export function searchTarget(
  system: System,
  sysroot: ByteString,
  policy: Pick<BootPolicy, 'signed' | 'keys'>,
  hash: Hash,
  judge: Judge,
  readEvidence: (checksum: string) => CommitEvidence | undefined,
): BootTarget {
  const targets = deploymentsBelow(system, sysroot);
  const candidates = targets.flatMap((target) => candidateOf(target, judge, readEvidence));
  // Of the same age: the one deployed last has the higher serial.
  candidates.sort((a, b) =>
    a.timestamp === b.timestamp
      ? -compareSerials(a.target.deployment, b.target.deployment)
      : a.timestamp > b.timestamp
        ? -1
        : 1,
  );
  for (const { target, evidence } of candidates.slice(0, MAX_TRIED)) {
    const { checks } = decideCommit(evidence, readEvidence, policy, hash);
    const failed = checks.find(({ status }) => status === 'failed');
    if (failed === undefined) return target;
    judge.warn('deployment', `${displayByteString(target.deployment)} is passed over: ${failed.message}`);
  }
  const tried = Math.min(candidates.length, MAX_TRIED);
  throw new SealtreeError(
    'missing',
    `No ostree target found: no ostree= among the kernel arguments, and of ${targets.length} deployments none verifies (${tried} tried)`,
    {
      expected: 'a deployment whose commit is signed with a trusted key',
      found: `${targets.length} deployments`,
    },
  );
}

function deploymentsBelow(system: System, sysroot: ByteString): BootTarget[] {
  const base = byteString(`${sysroot}/ostree/deploy`);
  const found: BootTarget[] = [];
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

function candidateOf(
  target: BootTarget,
  judge: Judge,
  readEvidence: (checksum: string) => CommitEvidence | undefined,
): Candidate[] {
  try {
    if (!isChecksum(target.commit)) return [];
    const evidence = readEvidence(target.commit);
    if (evidence === undefined) return [];
    const { timestamp } = decodeCommit(evidence.data, `${target.commit}.commit`);
    return [{ target, evidence, timestamp }];
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    judge.warn('deployment', `${displayByteString(target.deployment)} is passed over: ${error.message}`);
    return [];
  }
}

function compareSerials(a: ByteString, b: ByteString): number {
  const serial = (path: ByteString) => Number(path.slice(path.lastIndexOf('.') + 1));
  return serial(a) - serial(b);
}
