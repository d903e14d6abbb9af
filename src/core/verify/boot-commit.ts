/** The commit of the deployment that is booted: who signed it, and which image it names. @module */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { isChecksum } from '../bytes/hex.ts';
import { malformed, prefixed, SealtreeError } from '../errors.ts';
import type { Hash } from '../hash.ts';
import { objectPath } from '../ostree/objects.ts';
import type { PublicKey } from '../sign/keys.ts';
import type { System } from '../system.ts';
import type { BootPolicy } from './boot-policy.ts';
import type { BootTarget } from './boot-target.ts';
import { type BootedCommit, describeCommit, judgeContent } from './booted-commit.ts';
import { type CommitEvidence, decideCommit } from './commit.ts';
import { faultError, type Judge } from './fault.ts';
import type { Check } from './report.ts';

/** A commit or its detached metadata at a boot; JavaScript hashes some 1 MB a second there. */
const OBJECT_LIMIT = 16 * 1024 * 1024;

export interface JudgedCommit {
  /** What the deployment's commit says of itself; undefined where it could not be read and need not be. */
  readonly commit: BootedCommit | undefined;
  /** undefined where no signature is demanded. */
  readonly signer: PublicKey | undefined;
  /** fs-verity digest of the image, which the signature vouches for. */
  readonly digest: string | undefined;
}

/**
 * @param repo path of the repository
 * @throws SealtreeError with the fault
 */
export function judgeCommit(
  system: System,
  hash: Hash,
  repo: ByteString,
  target: BootTarget,
  policy: BootPolicy,
  judge: Judge,
): JudgedCommit {
  const { commit: name } = target;
  if (!policy.signed) {
    judge.skipped('signature', 'no signature is demanded');
    const commit = describeUnchecked(system, repo, name);
    judgeContent(policy, commit, judge);
    return { commit, signer: undefined, digest: undefined };
  }
  const evidence = requireEvidence(system, repo, name);
  const readBase = (base: string) => readEvidence(system, repo, base);
  const { checks, commit, vouching, signer, digest } = decideCommit(evidence, readBase, policy, hash);
  judge.checks.push(...checks);
  const failed = checks.find(({ status }) => status === 'failed');
  if (failed !== undefined) {
    const revoked = policy.sealed?.revoked ?? [];
    if (failed.name === 'signature' && revoked.length > 0) {
      const { signer: former } = decideCommit(evidence, readBase, { signed: true, keys: revoked }, hash);
      if (former !== undefined) throw revokedError(name, former);
    }
    throw faultError({ ...failed, message: inOstreesWords(failed, target) });
  }
  if (vouching === undefined || signer === undefined)
    throw faultError({ name: 'signature', message: `commit ${name}: nothing vouches for it` });
  judgeContent(policy, describeCommit(vouching, name), judge);
  return { commit: describeCommit(commit ?? vouching, name), signer, digest };
}

/**
 * A commit and its detached metadata as they stand in the repository; undefined if there is no commit of this name.
 *
 * @throws SealtreeError `malformed` for what is no regular file or too large, `io`
 */
export function readEvidence(system: System, repo: ByteString, checksum: string): CommitEvidence | undefined {
  const data = readObject(system, objectFile(repo, 'commit', checksum));
  if (data === undefined) return undefined;
  return { checksum, data, detached: readObject(system, objectFile(repo, 'commitmeta', checksum)) };
}

/** Neither the object nor its directory may be a link: that leads out of the repository. */
function readObject(system: System, path: ByteString): Uint8Array | undefined {
  const directory = byteString(path.slice(0, path.lastIndexOf('/')));
  for (const [place, expected] of [
    [directory, 'directory'],
    [path, 'file'],
  ] as const) {
    const found = system.kindOf(place);
    if (found === undefined) return undefined;
    if (found !== expected) {
      const kind = found === 'other' ? 'special file' : found;
      throw malformed(`${displayByteString(place)}: is a ${kind}, expected a ${expected}`, {
        expected,
        found: kind,
      });
    }
  }
  return system.readFile(path, OBJECT_LIMIT);
}

/** For the boot line and for warnings: a commit that cannot be read is no hindrance where none is demanded. */
function describeUnchecked(system: System, repo: ByteString, name: string): BootedCommit | undefined {
  try {
    const evidence = isChecksum(name) ? readEvidence(system, repo, name) : undefined;
    return evidence === undefined ? undefined : describeCommit(evidence.data, name);
  } catch (error) {
    if (error instanceof SealtreeError) return undefined;
    throw error;
  }
}

function requireEvidence(system: System, repo: ByteString, name: string): CommitEvidence {
  const prefix = 'Failed to mount composefs: Error loading signatures from repo';
  let evidence: CommitEvidence | undefined;
  try {
    evidence = readEvidence(system, repo, name);
  } catch (error) {
    throw prefixed(prefix, error);
  }
  if (evidence !== undefined) return evidence;
  const path = displayByteString(objectFile(repo, 'commit', name));
  const message = `${prefix}: Failed to open file “${path}”: No such file or directory`;
  throw new SealtreeError('missing', message, { path });
}

function revokedError(commit: string, { hex }: PublicKey): SealtreeError {
  return faultError({
    name: 'signature',
    message: `commit ${commit} is signed with key ${hex}, which the sealed file revokes`,
    expected: 'a key that is trusted and not revoked',
    found: hex,
  });
}

/** The original's sentence for a failed check of decideCommit, where it has one. */
function inOstreesWords({ name, message }: Check, { sysroot, deployment }: BootTarget): string {
  const prefix = 'Failed to mount composefs: ';
  if (message.startsWith('No commitmeta for'))
    return `${prefix}No commitmeta for deploy ${displayByteString(byteString(sysroot + deployment))}`;
  if (name !== 'signature' || message.startsWith('Signature validation requested')) return prefix + message;
  return `${prefix}Checking commit signature: ${message}`;
}

function objectFile(repo: ByteString, type: 'commit' | 'commitmeta', checksum: string): ByteString {
  return byteString(`${repo}/objects/${objectPath(checksum, type)}`);
}
