/** The Ed25519 signatures of a commit, in its detached metadata: src/core/ostree/commitmeta.ts. @module */
import { byteString } from '../core/bytes/byte-string.ts';
import { prefixed } from '../core/errors.ts';
import { encodeCommitmeta, signatures, withSignature } from '../core/ostree/commitmeta.ts';
import { lookup } from '../core/ostree/metadata.ts';
import { writeFileAtomically } from '../node/atomic-file.ts';
import { ioError } from '../node/io-error.ts';
import { makeDirectories } from '../node/make-directories.ts';
import type { Repo } from './repo.ts';

export const ED25519_SIGNATURES_KEY = byteString('ostree.sign.ed25519');

/** The bytes that a signature of a commit signs: the commit object as it is stored, checked against its name. */
export function signedData(repo: Repo, commit: string): Uint8Array {
  try {
    return repo.readObject('commit', commit);
  } catch (error) {
    throw prefixed('Failed to read commit', error);
  }
}

/** The signatures of a commit; undefined if it has no list of them, which ostree tells from an empty one. */
export function readSignatures(repo: Repo, commit: string): Uint8Array[] | undefined {
  const metadata = readDetached(repo, commit);
  if (lookup(metadata, ED25519_SIGNATURES_KEY)?.type !== 'aay') return undefined;
  return signatures(metadata, ED25519_SIGNATURES_KEY);
}

/**
 * Adds signatures to those that the commit has, in one write.
 *
 * @throws SealtreeError `io` with ostree's prefix
 */
export function addSignatures(repo: Repo, commit: string, added: readonly Uint8Array[]): void {
  if (added.length === 0) return;
  const metadata = added.reduce<ReturnType<typeof readDetached>>(
    (entries, signature) => withSignature(entries, ED25519_SIGNATURES_KEY, signature),
    readDetached(repo, commit),
  );
  const path = repo.objectFile('commitmeta', commit);
  try {
    // The commit itself may be in a parent repository only.
    makeDirectories(byteString(path.slice(0, path.lastIndexOf('/'))), 0o777);
    writeFileAtomically(path, encodeCommitmeta(metadata));
  } catch (error) {
    throw ioError('Unable to write detached metadata', error);
  }
}

function readDetached(repo: Repo, commit: string) {
  try {
    return repo.commitmeta(commit) ?? [];
  } catch (error) {
    throw prefixed('Failed to read detached metadata', error);
  }
}
