/**
 * Which of the keys made one of the signatures. Bounded work: a hostile file of signatures must not keep a boot
 * busy for long.
 * @module
 */
import { hexOf } from '../bytes/hex.ts';
import { malformed } from '../errors.ts';
import type { Hash } from '../hash.ts';
import { SIGNATURE_SIZE, verifySignature } from '../sign/ed25519.ts';
import type { PublicKey } from '../sign/keys.ts';

/** Keys that the verifier takes, and signatures of one commit that it tries. */
export const MAX_KEYS = 16;
export const MAX_SIGNATURES = 64;

/**
 * The first key, in the order of the signatures and then of the keys, that a signature verifies with; what
 * `ostree sign --verify` says otherwise.
 *
 * @throws SealtreeError `malformed` in ostree's words for a signature of another length that is reached
 */
export function findSigner(
  message: Uint8Array,
  signatures: readonly Uint8Array[],
  keys: readonly PublicKey[],
  hash: Hash,
): { readonly signer: PublicKey } | { readonly refusal: string } {
  const tried: string[] = [];
  for (const signature of signatures) {
    if (signature.length !== SIGNATURE_SIZE) {
      throw malformed(
        `Invalid signature: Ill-formed input: expected ${SIGNATURE_SIZE} bytes, got ${signature.length} bytes`,
      );
    }
    for (const key of keys) {
      if (verifySignature(key.key, signature, message, hash)) return { signer: key };
      tried.push(`key '${hexOf(key.key)}'`);
    }
  }
  if (tried.length === 0) return { refusal: 'ed25519: no signatures found' };
  return {
    refusal:
      tried.length > 3
        ? `ed25519: Signature couldn't be verified; tried ${tried.length} keys`
        : `ed25519: Signature couldn't be verified with: ${tried.join('; ')}`,
  };
}
