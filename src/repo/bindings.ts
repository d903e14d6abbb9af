/**
 * Bindings: the refs and the collection that a commit says it was made for. `fsck` and `pull` hold them against the
 * ref by which a commit was found.
 * @module
 */
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import type { Commit } from '../core/ostree/commit.ts';
import { COLLECTION_BINDING_KEY, lookup, REF_BINDING_KEY } from '../core/ostree/metadata.ts';

/** The refs that a commit is bound to, undefined if it does not say. */
export function refBindings(commit: Pick<Commit, 'metadata'>): readonly ByteString[] | undefined {
  const found = lookup(commit.metadata, REF_BINDING_KEY);
  return found?.type === 'as' ? (found.value as ByteString[]) : undefined;
}

/** The collection that a commit is bound to. */
export function collectionBinding(commit: Pick<Commit, 'metadata'>): ByteString | undefined {
  const found = lookup(commit.metadata, COLLECTION_BINDING_KEY);
  return found?.type === 's' ? (found.value as ByteString) : undefined;
}

/**
 * Checks the bindings of a commit that was found by a ref. One without any is bound to nothing, unless a collection
 * is expected.
 *
 * @param ref undefined if the commit was asked for by its checksum
 * @throws SealtreeError `mismatch` in ostree's words
 */
export function verifyBindings(
  commit: Pick<Commit, 'metadata'>,
  ref: ByteString | undefined,
  collection: ByteString | undefined,
): void {
  const refs = refBindings(commit);
  if (refs === undefined) {
    if (collection === undefined) return;
    throw mismatch('Expected commit metadata to have ref binding information, found none');
  }
  if (ref !== undefined && !refs.includes(ref)) {
    const bound = refs.map((name) => `‘${displayByteString(name)}’`).join(', ');
    throw mismatch(
      `Commit has no requested ref ‘${displayByteString(ref)}’ in ref binding metadata (${bound || 'no refs'})`,
    );
  }
  if (collection === undefined) return;
  const found = collectionBinding(commit);
  if (found === undefined) {
    throw mismatch('Expected commit metadata to have collection ID binding information, found none');
  }
  if (found !== collection) {
    throw mismatch(
      `Commit has collection ID ‘${displayByteString(found)}’ in collection binding metadata, while the remote it came from has collection ID ‘${displayByteString(collection)}’`,
    );
  }
}

function mismatch(message: string): SealtreeError {
  return new SealtreeError('mismatch', message);
}
