/**
 * Strict verification of Ed25519 signatures (RFC 8032, pure Ed25519).
 *
 * The set of accepted signatures is that of libsodium's crypto_sign_verify_detached (1.0.16 to 1.0.18), which
 * ostree is built with. Implementations differ only on inputs that no honest signer makes ("Taming the Many
 * EdDSAs", Chalkias, Garillot, Nikolaenko, 2020); here as there:
 *
 * 1. S must be below the group order L, or every signature would have further forms (RFC 8032, 5.1.7).
 * 2. The public key must be canonical: its y coordinate below p = 2^255 - 19 (libsodium `ge25519_is_canonical`).
 * 3. Neither the key nor R may be one of the eight points of small order (`ge25519_has_small_order`): with such
 *    a key one signature fits any message.
 * 4. The equation is checked without the cofactor: the encoding of [S]B - [k]A must be the bytes of R, which
 *    refuses every other encoding of R as well. noble's own `verify` with `zip215: false` multiplies by the
 *    cofactor and so accepts some signatures of a key with a small-order part that libsodium refuses.
 *
 * The arithmetic on the curve is @noble/ed25519's, points are decoded by its strict rules (`zip215: false`), and
 * SHA-512 comes from the Hash port, so that there is no state that another module could set.
 * @module
 */
import { Point } from '@noble/ed25519';
import type { Hash } from '../hash.ts';

export const PUBLIC_KEY_SIZE = 32;
export const SIGNATURE_SIZE = 64;

/** The order of the group that the base point generates. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n;

/**
 * Whether `signature` is one that the owner of `publicKey` made of `message`.
 *
 * @param publicKey 32 bytes; any other length is not a key and verifies nothing
 * @param signature 64 bytes, R then S
 */
export function verifySignature(
  publicKey: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
  hash: Hash,
): boolean {
  if (publicKey.length !== PUBLIC_KEY_SIZE || signature.length !== SIGNATURE_SIZE) return false;
  const r = signature.subarray(0, 32);
  const s = littleEndian(signature.subarray(32));
  if (s >= L) return false;
  const key = decodePoint(publicKey);
  if (key === undefined || key.isSmallOrder()) return false;
  const challenge = hash.create('sha512');
  challenge.update(r);
  challenge.update(publicKey);
  challenge.update(message);
  const k = littleEndian(challenge.digest()) % L;
  const expected = sumOfMultiples(Point.BASE, s, key.negate(), k);
  return !expected.isSmallOrder() && equalBytes(expected.toBytes(), r);
}

/**
 * Whether a public key is one that {@link verifySignature} takes: 32 bytes, canonical, a point, not of small order.
 * Any other key is not wrong to have, but verifies nothing.
 */
export function isUsableKey(publicKey: Uint8Array): boolean {
  return publicKey.length === PUBLIC_KEY_SIZE && decodePoint(publicKey)?.isSmallOrder() === false;
}

function decodePoint(data: Uint8Array): Point | undefined {
  try {
    return Point.fromBytes(data, false);
  } catch {
    return undefined;
  }
}

/**
 * [a]P + [b]Q, bit by bit for both together. noble's own multiplication first makes a table of the base point, which
 * pays for many signatures; at boot, in an interpreter, it took 27 ms of the 30 that the one signature took.
 */
function sumOfMultiples(p: Point, a: bigint, q: Point, b: bigint): Point {
  const both = p.add(q);
  const [bitsOfA, bitsOfB] = [a.toString(2), b.toString(2)];
  const length = Math.max(bitsOfA.length, bitsOfB.length);
  let sum = Point.ZERO;
  for (let i = length; i > 0; i--) {
    sum = sum.double();
    const inA = bitsOfA[bitsOfA.length - i] === '1';
    const inB = bitsOfB[bitsOfB.length - i] === '1';
    if (inA || inB) sum = sum.add(inA && inB ? both : inA ? p : q);
  }
  return sum;
}

function littleEndian(data: Uint8Array): bigint {
  let digits = '0x';
  for (let i = data.length - 1; i >= 0; i--) digits += (data[i] as number).toString(16).padStart(2, '0');
  return BigInt(digits);
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
