/**
 * SHA-256 of many blocks of one size by libcrypto's own functions, which are in Node's program or in a library it uses:
 * nothing is allocated for a block, and threads do not wait for each other's counts of references, as they do in
 * OpenSSL's general functions. Manual page SHA256_Init(3ssl).
 * @module
 */
import { SealtreeError } from '../core/errors.ts';
import { addressOf, type ForeignFunction, findForeign } from './foreign.ts';

/**
 * Writes the digests of `count` blocks of `size` bytes, one behind the other at `from`, to `to`.
 *
 * @param size bytes of a block
 * @param from address; this and the digests' place must be valid memory
 * @param salt is hashed before every block, and must not change as long as it is the same array
 */
export type Sha256Blocks = (
  from: number,
  count: number,
  size: number,
  to: Uint8Array,
  at: number,
  salt: Uint8Array,
) => void;

const DIGEST_SIZE = 32;

/** Room for a SHA256_CTX, which has 112 bytes. */
const context = new Uint8Array(128);

/** undefined where libcrypto's functions cannot be found. */
export function findSha256Blocks(): Sha256Blocks | undefined {
  let init: ForeignFunction;
  let update: ForeignFunction;
  let final: ForeignFunction;
  try {
    init = findForeign('SHA256_Init', 'int', ['uint64']);
    update = findForeign('SHA256_Update', 'int', ['uint64', 'uint64', 'uint64']);
    final = findForeign('SHA256_Final', 'int', ['uint64', 'uint64']);
  } catch {
    return undefined;
  }
  const state = addressIn(context);
  if (init(state) !== 1) return undefined;
  const unsalted = context.slice();
  let salted: { salt: Uint8Array; context: Uint8Array } = { salt: new Uint8Array(0), context: unsalted };
  return (from, count, size, target, at, salt) => {
    const to = addressIn(target) + at;
    if (salted.salt !== salt) {
      context.set(unsalted);
      if (salt.length > 0 && update(state, addressIn(salt), salt.length) !== 1) throw failed();
      salted = { salt, context: context.slice() };
    }
    const initial = salted.context;
    for (let i = 0; i < count; i++) {
      // A copy of the structure, as C may make one, takes less time than a call.
      context.set(initial);
      const done = update(state, from + i * size, size) === 1 && final(to + i * DIGEST_SIZE, state) === 1;
      if (!done) throw failed();
    }
  };
}

function failed(): SealtreeError {
  return new SealtreeError('internal', 'libcrypto failed to compute SHA-256');
}

/** Where array buffers lie, which never move. */
const addresses = new WeakMap<ArrayBufferLike, number>();

/** The address of data in memory, good for as long as its array buffer is. */
export function addressIn(data: Uint8Array): number {
  let address = addresses.get(data.buffer);
  if (address === undefined) {
    address = Number(addressOf(data)) - data.byteOffset;
    addresses.set(data.buffer, address);
  }
  return address + data.byteOffset;
}
