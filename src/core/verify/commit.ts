/**
 * From a commit object and its detached metadata to the composefs digest that the commit vouches for.
 *
 * ostree-prepare-root checks the signature and takes the digest; it does not compare the commit with the name of
 * its file, so that any commit signed with an accepted key can stand under any name. Here the name counts.
 * @module
 */
import { byteString } from '../bytes/byte-string.ts';
import { hexOf } from '../bytes/hex.ts';
import { SealtreeError } from '../errors.ts';
import type { Hash } from '../hash.ts';
import { type Commit, decodeCommit } from '../ostree/commit.ts';
import { decodeCommitmeta, signatures } from '../ostree/commitmeta.ts';
import { COMPOSEFS_DIGEST_KEY, COMPOSEFS_KEY, composefsDigest, lookup } from '../ostree/metadata.ts';
import type { PublicKey } from '../sign/keys.ts';
import type { BootPolicy } from './boot-policy.ts';
import type { Check } from './report.ts';
import { findSigner, MAX_SIGNATURES } from './signature.ts';

const SIGNATURES_KEY = byteString('ostree.sign.ed25519');

/** What bootc puts into a commit that it made from a container image, whose parent is the signed base. */
const IMAGE_CONFIG_KEY = byteString('ostree.container.image-config');

/** A commit as it was read; nothing of it is trusted yet. */
export interface CommitEvidence {
  /** The name it was found under. */
  readonly checksum: string;
  readonly data: Uint8Array;
  /** Detached metadata, undefined if there is none. */
  readonly detached: Uint8Array | undefined;
}

export interface CommitDecision {
  readonly checks: readonly Check[];
  /** The commit itself, if it could be decoded. */
  readonly commit: Commit | undefined;
  /** The one that signature and digest are of: the commit, or its signed base. */
  readonly vouching: Commit | undefined;
  /** The composefs digest, if the commit has one; trusted only if no check failed. */
  readonly digest: string | undefined;
  readonly signer: PublicKey | undefined;
}

/**
 * Decides about a commit.
 *
 * @param loadBase reads the commit of that name; asked for where the commit is bootc's and has no detached metadata
 */
export function decideCommit(
  evidence: CommitEvidence,
  loadBase: (checksum: string) => CommitEvidence | undefined,
  policy: Pick<BootPolicy, 'signed' | 'keys'>,
  hash: Hash,
): CommitDecision {
  const main = decode(evidence);
  const base = baseOf(evidence, main.commit, loadBase);
  const witness = base ?? evidence;
  const vouching = base === undefined ? main : decode(base);
  const checks: Check[] = [];
  const signature = checkSignature(witness, policy, hash);
  checks.push(signature.check, checkName(evidence, hash));
  if (base !== undefined) checks.push(checkName(base, hash));
  const digest = checkDigest(vouching, policy);
  checks.push(digest.check);
  return {
    checks,
    commit: main.commit,
    vouching: vouching.commit,
    digest: digest.digest,
    signer: signature.signer,
  };
}

interface Decoded {
  readonly commit: Commit | undefined;
  readonly fault: string;
}

function decode({ checksum, data }: CommitEvidence): Decoded {
  try {
    return { commit: decodeCommit(data, `${checksum}.commit`), fault: '' };
  } catch (error) {
    return { commit: undefined, fault: messageOf(error) };
  }
}

/** The signed parent of a commit that bootc made; signature and digest are then both the parent's. */
function baseOf(
  { detached }: CommitEvidence,
  commit: Commit | undefined,
  loadBase: (checksum: string) => CommitEvidence | undefined,
): CommitEvidence | undefined {
  if (detached !== undefined || commit?.parent === undefined) return undefined;
  if (lookup(commit.metadata, IMAGE_CONFIG_KEY)?.type !== 's') return undefined;
  const base = loadBase(commit.parent);
  return base?.detached === undefined ? undefined : base;
}

function checkSignature(
  { checksum, data, detached }: CommitEvidence,
  { signed, keys }: Pick<BootPolicy, 'signed' | 'keys'>,
  hash: Hash,
): { check: Check; signer: PublicKey | undefined } {
  const name = 'signature';
  const failed = (message: string) => ({
    check: { name, status: 'failed', message } as const,
    signer: undefined,
  });
  if (!signed) {
    const message = 'no signature is demanded';
    return { check: { name, status: 'skipped', message }, signer: undefined };
  }
  if (detached === undefined) return failed(`No commitmeta for commit ${checksum}`);
  let list: Uint8Array[];
  try {
    list = signatures(decodeCommitmeta(detached, `${checksum}.commitmeta`), SIGNATURES_KEY);
  } catch (error) {
    return failed(`Signature validation requested, but no signatures in commit: ${messageOf(error)}`);
  }
  if (list.length === 0) return failed('Signature validation requested, but no signatures in commit');
  try {
    const found = findSigner(data, list.slice(0, MAX_SIGNATURES), keys, hash);
    if ('signer' in found) {
      const { signer } = found;
      const message = `commit is signed with key ${signer.hex} (${signer.source})`;
      return { check: { name, status: 'passed', message }, signer };
    }
  } catch (error) {
    return failed(`signature verification failed: ${messageOf(error)}`);
  }
  const tried = list.length > MAX_SIGNATURES ? `, the first ${MAX_SIGNATURES} of which were tried` : '';
  return failed(`No valid (of ${list.length}) signatures found${tried}`);
}

function checkName({ checksum, data }: CommitEvidence, hash: Hash): Check {
  const found = hexOf(hash.digest('sha256', data));
  if (found === checksum) return { name: 'commit name', status: 'passed', message: `commit is ${checksum}` };
  return {
    name: 'commit name',
    status: 'failed',
    message: `commit ${checksum} has the content of commit ${found}`,
    expected: checksum,
    found,
  };
}

function checkDigest(
  { commit, fault }: Decoded,
  { signed }: Pick<BootPolicy, 'signed'>,
): { check: Check; digest: string | undefined } {
  const name = 'composefs digest';
  if (commit === undefined) return { check: { name, status: 'failed', message: fault }, digest: undefined };
  try {
    const digest = composefsDigest(commit);
    if (digest !== undefined) {
      const message = `commit names image ${digest}${unreadByOstree(commit)}`;
      return { check: { name, status: 'passed', message }, digest };
    }
  } catch (error) {
    return { check: { name, status: 'failed', message: messageOf(error) }, digest: undefined };
  }
  const check: Check = signed
    ? { name, status: 'failed', message: 'Signature validation requested, but no valid digest in commit' }
    : { name, status: 'skipped', message: 'commit names no image' };
  return { check, digest: undefined };
}

/** Released ostree looks under one of the two names alone: without it a signed boot fails there. */
function unreadByOstree({ metadata }: Commit): string {
  if (lookup(metadata, COMPOSEFS_DIGEST_KEY) !== undefined) return '';
  return `, under ${COMPOSEFS_KEY} alone, where ostree does not look`;
}

function messageOf(error: unknown): string {
  if (error instanceof SealtreeError) return error.message;
  throw error;
}
