/**
 * Verifies a commit, a deployment or a single image on this machine: reads what the decision needs, has it made by
 * src/core/verify, and examines every object behind it.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { isChecksum } from '../core/bytes/hex.ts';
import type { PrepareRoot } from '../core/conf/prepare-root.ts';
import { memorySource } from '../core/erofs/image-source.ts';
import { readImage } from '../core/erofs/reader.ts';
import { SealtreeError } from '../core/errors.ts';
import type { Inode } from '../core/fs/file-tree.ts';
import type { System } from '../core/system.ts';
import { type BootFacts, decideBoot } from '../core/verify/boot.ts';
import type { BootPolicy } from '../core/verify/boot-policy.ts';
import { type CommitDecision, type CommitEvidence, decideCommit } from '../core/verify/commit.ts';
import { planImage } from '../core/verify/plan.ts';
import { type Check, type Damage, isValid, type Verification } from '../core/verify/report.ts';
import { opensslHash } from '../node/hash.ts';
import { examineBacking } from './examine-backing.ts';
import { type ExaminedTree, examineTree, faultKey, type ObjectFault } from './examine-tree.ts';
import { checkDigest, checkKernel, checkRebuilt, readImageFile } from './image-checks.ts';
import { checkKernelObjects } from './kernel-objects.ts';
import { Repo } from './repo.ts';

export interface VerifyOptions {
  readonly policy: Pick<BootPolicy, 'config' | 'signed' | 'keys'>;
  readonly system: System;
  /** Only what a boot checks: no object is read, no image is rebuilt. */
  readonly bootOnly: boolean;
  readonly onProgress?: (done: number, total: number) => void;
}

/** In a plan for no machine in particular. */
const LOWER = byteString('LOWER');
const MOUNT_POINT = byteString('MOUNTPOINT');

/** Verifies a commit of a repository. */
export async function verifyCommit(
  repo: Repo,
  name: ByteString,
  checksum: string,
  options: VerifyOptions,
): Promise<Verification> {
  const decision = decide(repo, checksum, options.policy);
  const findings = startFindings(repo, checksum, decision);
  if (!options.bootOnly) await examineObjects(repo, decision, undefined, findings, options);
  const repositories = withParents(repo);
  const archive = repositories.some(({ mode }) => mode === 'archive');
  const { digest, signer } = decision;
  const reason = archive
    ? 'the files of an archive repository are compressed: pull the commit into one of mode bare or bare-user'
    : digest === undefined
      ? 'the commit names no image'
      : undefined;
  const { signed } = options.policy;
  return {
    target: { kind: 'commit', name, repo: repo.path, commit: checksum },
    ...findings,
    protectedBy: protector(signer),
    notMountable: reason,
    plan:
      reason !== undefined || !isValid(findings)
        ? undefined
        : planImage({
            image: byteString(`${checksum}.cfs`),
            digest: signed ? digest : undefined,
            verity: signed || options.policy.config.composefs.verity,
            data: repositories.map(({ path }) => byteString(`${path}/objects`)),
            lower: LOWER,
            at: MOUNT_POINT,
            readonly: true,
          }),
    boot: undefined,
  };
}

export interface BootOptions extends Omit<VerifyOptions, 'policy'> {
  /** In place of the repository of the disk. */
  readonly repo: Repo | undefined;
}

/**
 * Verifies the deployment that a boot would take: decides as the boot does, and examines what a boot leaves to the
 * kernel. The plan is that of the machine that boots, with its disk at /sysroot.
 *
 * @throws SealtreeError if objects are to be examined and it is not known of which commit
 */
export async function verifyBoot(
  facts: Pick<BootFacts, 'cmdline' | 'sysroot' | 'root' | 'deployment' | 'given'>,
  options: BootOptions,
): Promise<Verification> {
  const { system, bootOnly } = options;
  const boot = decideBoot(system, opensslHash, {
    ...facts,
    initramfs: true,
    sysrootWritable: true,
    kernel: undefined,
    repo: options.repo?.path,
    bootedAt: byteString('/sysroot'),
  });
  const { target, policy } = boot;
  const findings: Findings = { checks: [...boot.checks], damage: [], differences: [] };
  const path = target === undefined ? facts.sysroot : byteString(target.sysroot + target.deployment);
  let repo: Repo | undefined;
  if (target !== undefined && policy !== undefined && isChecksum(target.commit)) {
    repo = options.repo ?? Repo.open(byteString(`${target.sysroot}/ostree/repo`));
    await examineDeployment(repo, path, target.commit, policy, findings, options);
  } else if (!bootOnly && boot.refusal === undefined) {
    throw new SealtreeError(
      'malformed',
      `${displayByteString(path)}: not a deployment, which is named after its commit: CHECKSUM.SERIAL`,
    );
  }
  return {
    target: { kind: 'deployment', name: path, repo: repo?.path, commit: target?.commit },
    ...findings,
    protectedBy: protector(boot.signer),
    notMountable: undefined,
    plan: isValid(findings) ? boot.plan : undefined,
    boot,
  };
}

async function examineDeployment(
  repo: Repo,
  path: ByteString,
  checksum: string,
  policy: BootPolicy,
  findings: Findings,
  options: BootOptions,
): Promise<void> {
  const imagePath = byteString(`${path}/.ostree.cfs`);
  const image = policy.config.composefs.enabled === 'no' ? undefined : readImageFile(imagePath);
  const evidence = readEvidence(repo, checksum);
  if (evidence === undefined) return;
  const decision = decideCommit(evidence, (base) => readEvidence(repo, base), policy, opensslHash);
  noteDamage(repo, checksum, decision, findings);
  if (image !== undefined && policy.signed && decision.digest !== undefined)
    findings.checks.push(checkDigest(image, decision.digest, 'the commit names'));
  if (!options.bootOnly) await examineObjects(repo, decision, image, findings, { ...options, policy });
}

/**
 * Verifies an image by a digest that the caller trusts.
 *
 * @param directories where its backing files are, in the order in which overlayfs looks; none to leave them out
 */
export async function verifyImage(
  path: ByteString,
  digest: string,
  directories: readonly ByteString[],
  options: Omit<VerifyOptions, 'policy'>,
): Promise<Verification> {
  const image = readImageFile(path);
  if (image === undefined)
    throw new SealtreeError('missing', `${displayByteString(path)}: No such file or directory`);
  const checks = [checkDigest(image, digest, 'expected'), checkKernel(path, digest, options.system)];
  const damage: Damage[] = [];
  if (!options.bootOnly) {
    if (directories.length === 0) {
      checks.push({ name: 'backing files', status: 'skipped', message: 'no --basedir was given' });
    } else {
      const examined = await examineBackingFiles(image, directories);
      checks.push(examined.check);
      damage.push(...examined.damage);
    }
  }
  const found = { checks, damage };
  return {
    target: { kind: 'image', name: path, repo: undefined, commit: undefined },
    ...found,
    differences: [],
    protectedBy: `digest ${digest}, which was given`,
    notMountable: directories.length === 0 ? 'no --basedir was given' : undefined,
    plan:
      directories.length === 0 || !isValid(found)
        ? undefined
        : planImage({
            image: path,
            digest,
            verity: true,
            data: directories,
            lower: LOWER,
            at: MOUNT_POINT,
            readonly: true,
          }),
    boot: undefined,
  };
}

/** The repository and those that its objects may be in. */
function withParents(repo: Repo): Repo[] {
  const all: Repo[] = [];
  for (let next: Repo | undefined = repo; next !== undefined; next = next.parent) all.push(next);
  return all;
}

interface Findings {
  readonly checks: Check[];
  readonly damage: Damage[];
  readonly differences: string[];
}

function decide(
  repo: Repo,
  checksum: string,
  policy: Pick<BootPolicy, 'config' | 'signed' | 'keys'>,
): CommitDecision {
  const evidence = readEvidence(repo, checksum);
  if (evidence === undefined)
    throw new SealtreeError('missing', `No such metadata object ${checksum}.commit`, { checksum });
  return decideCommit(evidence, (base) => readEvidence(repo, base), policy, opensslHash);
}

/** As the bytes are: whether they are what the name says is part of the decision. */
function readEvidence(repo: Repo, checksum: string): CommitEvidence | undefined {
  const data = repo.rawObject('commit', checksum);
  if (data === undefined) return undefined;
  return { checksum, data, detached: repo.rawObject('commitmeta', checksum) };
}

function startFindings(repo: Repo, checksum: string, decision: CommitDecision): Findings {
  const findings: Findings = { checks: [...decision.checks], damage: [], differences: [] };
  noteDamage(repo, checksum, decision, findings);
  return findings;
}

/** A commit that is not what its name says. */
function noteDamage(
  repo: Repo,
  checksum: string,
  { checks }: CommitDecision,
  { damage }: Pick<Findings, 'damage'>,
): void {
  const named = checks.find(({ name }) => name === 'commit name');
  if (named?.status !== 'failed') return;
  damage.push({
    object: repo.objectPath('commit', checksum),
    fault: named.message,
    ...(named.expected === undefined ? {} : { expected: named.expected }),
    ...(named.found === undefined ? {} : { found: named.found }),
    paths: [byteString('/')],
  });
}

/** Everything that a boot leaves to the kernel, or to luck. */
async function examineObjects(
  repo: Repo,
  { commit, digest, checks }: CommitDecision,
  image: Uint8Array | undefined,
  findings: Findings,
  {
    policy,
    system,
    onProgress,
  }: Omit<VerifyOptions, 'policy'> & {
    readonly policy: { readonly signed: boolean; readonly config: PrepareRoot };
  },
): Promise<void> {
  const vouched = checks.some(
    ({ name, status }) => status === 'passed' && (name === 'signature' || name === 'commit name'),
  );
  if (commit === undefined || !vouched) {
    findings.checks.push({
      name: 'objects',
      status: 'skipped',
      message: 'nothing vouches for the commit, which names them',
    });
    return;
  }
  const tree = await examineTree(repo, commit, onProgress);
  findings.checks.push(objectsCheck(tree));
  noteFaults(repo, tree, tree.faults, findings);
  if (image !== undefined && (policy.signed || policy.config.composefs.verity)) {
    const { check, faults } = checkKernelObjects(repo, tree.files, system);
    findings.checks.push(check);
    noteFaults(repo, tree, faults, findings);
  }
  if (tree.faults.length > 0) {
    const message = 'the tree has damaged objects';
    findings.checks.push({ name: 'image rebuilt', status: 'skipped', message });
    return;
  }
  try {
    const withoutDigests = !policy.signed && !policy.config.composefs.verity;
    const { check, differences } = checkRebuilt({ tree, commit, digest, image, withoutDigests });
    findings.checks.push(check);
    findings.differences.push(...differences);
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    findings.checks.push({ name: 'image rebuilt', status: 'failed', message: error.message });
  }
}

function noteFaults(
  repo: Repo,
  tree: ExaminedTree,
  faults: readonly ObjectFault[],
  { damage }: Pick<Findings, 'damage'>,
): void {
  if (faults.length === 0) return;
  const paths = tree.pathsOf(faults);
  for (const fault of faults) {
    const { type, checksum, ...what } = fault;
    const object = repo.objectPath(type, checksum);
    damage.push({
      object,
      ...what,
      fault: what.fault.replace(`${object}: `, ''),
      paths: paths.get(faultKey(fault)) ?? [],
    });
  }
}

function objectsCheck({ faults, counts }: ExaminedTree): Check {
  const { dirtrees, dirmetas, files } = counts;
  const total = dirtrees + dirmetas + files;
  const name = 'objects';
  if (faults.length === 0) {
    const message = `all ${total} are what their names say (files ${files}, dirtrees ${dirtrees}, dirmetas ${dirmetas})`;
    return { name, status: 'passed', message };
  }
  return { name, status: 'failed', message: `${faults.length} of ${total} are missing or damaged` };
}

async function examineBackingFiles(
  image: Uint8Array,
  directories: readonly ByteString[],
): Promise<{ check: Check; damage: Damage[] }> {
  const name = 'backing files';
  let root: Inode;
  try {
    root = readImage(memorySource(image));
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    return { check: { name, status: 'failed', message: `image is damaged: ${error.message}` }, damage: [] };
  }
  const { count, damage } = await examineBacking(root, directories);
  const message =
    damage.length === 0
      ? `all ${count} have the digests that the image names`
      : `${damage.length} of ${count} are missing or damaged`;
  return { check: { name, status: damage.length === 0 ? 'passed' : 'failed', message }, damage };
}

function protector(signer: CommitDecision['signer']): string | undefined {
  return signer === undefined ? undefined : `key ${signer.hex} (${signer.source})`;
}
