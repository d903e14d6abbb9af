/**
 * Verifies a commit, a deployment or a single image on this machine: reads what the decision needs, has it made by
 * src/core/verify, and examines every object behind it.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { hexOf, isChecksum } from '../core/bytes/hex.ts';
import { compareImages } from '../core/erofs/compare-images.ts';
import { memorySource } from '../core/erofs/image-source.ts';
import { readImage } from '../core/erofs/reader.ts';
import { writeImage } from '../core/erofs/writer.ts';
import { SealtreeError } from '../core/errors.ts';
import { compareTrees } from '../core/fs/compare.ts';
import type { Inode } from '../core/fs/file-tree.ts';
import { composefsTree } from '../core/ostree/composefs-tree.ts';
import type { System } from '../core/system.ts';
import { type CommitDecision, type CommitEvidence, decideCommit } from '../core/verify/commit.ts';
import { type MountPlan, planBoot, planImage } from '../core/verify/plan.ts';
import type { Policy } from '../core/verify/policy.ts';
import { type Check, type Damage, isValid, type Verification } from '../core/verify/report.ts';
import { verityDigest } from '../core/verity/digest.ts';
import { opensslHash } from '../node/hash.ts';
import { readFileLimited } from '../node/read-file.ts';
import { examineBacking } from './examine-backing.ts';
import { type ExaminedTree, examineTree, faultKey } from './examine-tree.ts';
import type { Repo } from './repo.ts';

export interface VerifyOptions {
  readonly policy: Policy;
  readonly system: System;
  /** Only what a boot checks: no object is read, no image is rebuilt. */
  readonly bootOnly: boolean;
  readonly onProgress?: (done: number, total: number) => void;
}

/** An image is read whole, so that what is measured is what is compared. */
const IMAGE_LIMIT = 1024 * 1024 * 1024;

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
  const archive = repo.mode === 'archive';
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
            data: [byteString(`${repo.path}/objects`)],
            lower: LOWER,
            at: MOUNT_POINT,
            readonly: true,
          }),
  };
}

/**
 * Verifies a deployment: the commit that its directory is named after, and its image.
 *
 * @param path absolute, `SYSROOT/ostree/deploy/OS/deploy/CHECKSUM.SERIAL`
 * @throws SealtreeError `malformed` if that is not what the path looks like
 */
export async function verifyDeployment(
  repo: Repo,
  path: ByteString,
  options: VerifyOptions,
): Promise<Verification> {
  const { policy, system } = options;
  const checksum = deployedCommit(path);
  const decision = decide(repo, checksum, policy);
  const findings = startFindings(repo, checksum, decision);
  const imagePath = byteString(`${path}/.ostree.cfs`);
  const image = policy.config.composefs.enabled === 'no' ? undefined : readImageFile(imagePath);
  findings.checks.push(...checkDeployedImage(image, imagePath, decision, options));
  if (!options.bootOnly) await examineObjects(repo, decision, image, findings, options);
  let plan: MountPlan | undefined;
  if (isValid(findings)) {
    plan = planBoot({
      config: policy.config,
      sysroot: byteString('/sysroot'),
      deployment: byteString(/\/ostree\/deploy\/[^/]+\/deploy\/[^/]+$/.exec(path)?.[0] ?? path),
      hasImage: image !== undefined,
      digest: policy.signed ? decision.digest : undefined,
      hotfix: system.readDirectory(byteString(`${path}/.usr-ovl-work`)) !== undefined,
      legacyReadonly: repo.config.boolean('sysroot', 'readonly') ?? false,
    });
  }
  return {
    target: { kind: 'deployment', name: path, repo: repo.path, commit: checksum },
    ...findings,
    protectedBy: protector(decision.signer),
    notMountable: undefined,
    plan,
  };
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
  const checks = [compareDigest(image, digest, 'expected'), checkKernel(path, digest, options.system)];
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
  };
}

interface Findings {
  readonly checks: Check[];
  readonly damage: Damage[];
  readonly differences: string[];
}

function decide(repo: Repo, checksum: string, policy: Policy): CommitDecision {
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
  const named = decision.checks.find(({ name }) => name === 'commit name');
  const damage: Damage[] =
    named?.status === 'failed'
      ? [
          {
            object: repo.objectPath('commit', checksum),
            fault: named.message,
            ...(named.expected === undefined ? {} : { expected: named.expected }),
            ...(named.found === undefined ? {} : { found: named.found }),
            paths: [byteString('/')],
          },
        ]
      : [];
  return { checks: [...decision.checks], damage, differences: [] };
}

/** Everything that a boot leaves to the kernel, or to luck. */
async function examineObjects(
  repo: Repo,
  { commit, digest, checks }: CommitDecision,
  image: Uint8Array | undefined,
  findings: Findings,
  { policy, onProgress }: VerifyOptions,
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
  const paths = tree.faults.length > 0 ? tree.pathsOfFaults() : new Map<string, ByteString[]>();
  for (const fault of tree.faults) {
    const { type, checksum, ...what } = fault;
    const object = repo.objectPath(type, checksum);
    findings.damage.push({
      object,
      ...what,
      fault: what.fault.replace(`${object}: `, ''),
      paths: paths.get(faultKey(fault)) ?? [],
    });
  }
  if (tree.faults.length > 0) {
    const message = 'the tree has damaged objects';
    findings.checks.push({ name: 'image rebuilt', status: 'skipped', message });
    return;
  }
  const accepted = !policy.signed && !policy.config.composefs.verity;
  try {
    findings.checks.push(rebuild(tree, commit, digest, image, accepted, findings.differences));
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    findings.checks.push({ name: 'image rebuilt', status: 'failed', message: error.message });
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

/**
 * Makes the image of the commit's tree anew and compares.
 *
 * @param withoutDigests whether an image that names no digests of files will do, as ostree deploys it where
 *   nothing demands them
 */
function rebuild(
  { reader }: ExaminedTree,
  commit: { readonly rootDirtree: string; readonly rootDirmeta: string },
  digest: string | undefined,
  image: Uint8Array | undefined,
  withoutDigests: boolean,
  differences: string[],
): Check {
  const name = 'image rebuilt';
  if (digest === undefined && image === undefined)
    return { name, status: 'skipped', message: 'there is no image to compare with' };
  const rebuilt = imageBytes(composefsTree(reader, commit.rootDirtree, commit.rootDirmeta));
  const found = digestOf(rebuilt);
  const passed = (message: string): Check => ({ name, status: 'passed', message });
  const failed = (message: string, expected: string): Check => {
    return { name, status: 'failed', message, expected, found };
  };
  if (image !== undefined) {
    const imageDigest = digestOf(image);
    if (imageDigest !== found && !(withoutDigests && lacksDigestsOnly(rebuilt, image))) {
      const right = imageDigest === digest ? image : rebuilt;
      const wrong = right === image ? rebuilt : image;
      differences.push(...compareImages(memorySource(right), memorySource(wrong)));
      return failed(`the tree gives image ${found}, the deployment has ${imageDigest}`, imageDigest);
    }
  }
  if (digest !== undefined && digest !== found)
    return failed(`the tree gives image ${found}, the commit names ${digest}`, digest);
  return passed(`the tree gives image ${found}`);
}

/** Where fs-verity is not on for an object, ostree deploys an image that names no digest for it. */
function lacksDigestsOnly(expected: Uint8Array, found: Uint8Array): boolean {
  const trees = [expected, found].map((image) => readImage(memorySource(image))) as [Inode, Inode];
  return compareTrees(...trees, { limit: Number.POSITIVE_INFINITY }).every(
    (difference) => difference.field === 'digest' && difference.found === 'none',
  );
}

function imageBytes(root: Inode): Uint8Array {
  const chunks: Uint8Array[] = [];
  const { size } = writeImage(root, { minVersion: 0, maxVersion: 1 }, (chunk) => chunks.push(chunk));
  const image = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    image.set(chunk, at);
    at += chunk.length;
  }
  return image;
}

function checkDeployedImage(
  image: Uint8Array | undefined,
  path: ByteString,
  { digest }: CommitDecision,
  { policy, system }: VerifyOptions,
): Check[] {
  const name = 'image digest';
  const { enabled } = policy.config.composefs;
  if (enabled === 'no')
    return [
      { name, status: 'skipped', message: 'composefs is off: the directory itself is booted, unverified' },
    ];
  if (image === undefined) {
    const message = `${displayByteString(path)}: No such file or directory`;
    return [{ name, status: enabled === 'maybe' ? 'skipped' : 'failed', message }];
  }
  if (!policy.signed) return [{ name, status: 'skipped', message: 'any image will do' }];
  if (digest === undefined) return [{ name, status: 'failed', message: 'the commit names none' }];
  return [compareDigest(image, digest, 'the commit names'), checkKernel(path, digest, system)];
}

function compareDigest(image: Uint8Array, expected: string, whose: string): Check {
  const found = digestOf(image);
  const name = 'image digest';
  if (found === expected) return { name, status: 'passed', message: `image has fs-verity digest ${found}` };
  const message = `image has fs-verity digest ${found}, ${whose} ${expected}`;
  return { name, status: 'failed', message, expected, found };
}

/** What counts at boot is what the kernel measures, which cannot be had everywhere. */
function checkKernel(path: ByteString, expected: string, system: System): Check {
  const name = 'image in the kernel';
  const measured = system.measureVerity(path);
  if (measured === undefined) {
    const message = 'fs-verity is not on for the image here; where it is mounted by its digest it has to be';
    return { name, status: 'skipped', message };
  }
  const found = hexOf(measured.digest);
  if (measured.algorithm === 'sha256' && found === expected)
    return { name, status: 'passed', message: 'the kernel measures the same digest' };
  const message = `the kernel measures ${measured.algorithm} ${found}, expected ${expected}`;
  return { name, status: 'failed', message, expected, found };
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

function readImageFile(path: ByteString): Uint8Array | undefined {
  return readFileLimited(path, displayByteString(path), IMAGE_LIMIT);
}

function digestOf(image: Uint8Array): string {
  return hexOf(verityDigest(opensslHash, image));
}

function deployedCommit(path: ByteString): string {
  const checksum = path.slice(path.lastIndexOf('/') + 1).split('.')[0] as string;
  if (!isChecksum(checksum)) {
    throw new SealtreeError(
      'malformed',
      `${displayByteString(path)}: not a deployment, which is named after its commit: CHECKSUM.SERIAL`,
    );
  }
  return checksum;
}

function protector(signer: CommitDecision['signer']): string | undefined {
  return signer === undefined ? undefined : `key ${signer.hex} (${signer.source})`;
}
