/**
 * OpenSSL's hashes for the Hash port of the core: by node:crypto, and for the many small blocks of Merkle trees by
 * the functions of libcrypto itself. Manual page SHA256_Init(3ssl).
 * @module
 */
import { DIGEST_SIZE, type Hash } from '../core/hash.ts';
import { addressOf, type ForeignFunction, findForeign } from './foreign.ts';

/** By node:crypto, loaded when it is first needed: that takes some 3 ms. */
export const opensslHash: Hash = {
  digest: (name, data) => crypto().hash(name, data, 'buffer'),
  digestInto(name, data, target, at) {
    // A string of one character a byte costs no Buffer: 1.53 against 1.31 GB/s on blocks of 4 KiB.
    const digest = crypto().hash(name, data, 'latin1' as 'hex');
    for (let i = 0; i < digest.length; i++) target[at + i] = digest.charCodeAt(i);
  },
  create: (name) => crypto().createHash(name),
};

type Crypto = typeof import('node:crypto');
let loaded: Crypto | undefined;

function crypto(): Crypto {
  loaded ??= process.getBuiltinModule('node:crypto');
  return loaded;
}

/**
 * The same hashes for who hashes many blocks and calls C anyway: nothing is allocated for a block, and threads do not
 * wait for each other's counts of references, as they do in OpenSSL's general functions.
 */
export function blockHash(): Hash {
  found ??= lowLevelHash() ?? opensslHash;
  return found;
}

let found: Hash | undefined;

interface Sha256 {
  readonly init: ForeignFunction;
  readonly update: ForeignFunction;
  readonly final: ForeignFunction;
}

/** Room for a SHA256_CTX, which has 112 bytes. */
const contextMemory = Buffer.allocUnsafeSlow(256);

/** undefined where libcrypto's functions cannot be found: they are in Node's own program, or in a library it uses. */
function lowLevelHash(): Hash | undefined {
  const sha256 = findSha256();
  if (sha256 === undefined) return undefined;
  const { init, update, final } = sha256;
  const context = addressIn(contextMemory);
  const digestBlocksInto: Required<Hash>['digestBlocksInto'] = (name, data, size, target, at) => {
    const count = data.length / size;
    if (name !== 'sha256') {
      for (let i = 0; i < count; i++) {
        const block = data.subarray(i * size, (i + 1) * size);
        opensslHash.digestInto(name, block, target, at + i * DIGEST_SIZE[name]);
      }
      return;
    }
    if (count === 0) return;
    // Beyond these bounds C would read and write memory of others.
    if (!Number.isInteger(count)) throw new RangeError(`${data.length} bytes are no blocks of ${size}`);
    if (at + count * DIGEST_SIZE.sha256 > target.length) throw new RangeError('no room for the digests');
    let from = addressIn(data);
    let to = addressIn(target) + at;
    for (let i = 0; i < count; i++, from += size, to += DIGEST_SIZE.sha256) {
      init(context);
      update(context, from, size);
      final(to, context);
    }
  };
  const digestInto: Hash['digestInto'] = (name, data, target, at) => {
    if (name === 'sha256' && data.length > 0) digestBlocksInto(name, data, data.length, target, at);
    else opensslHash.digestInto(name, data, target, at);
  };
  return {
    digestBlocksInto,
    digestInto,
    digest(name, data) {
      const digest = new Uint8Array(DIGEST_SIZE[name]);
      digestInto(name, data, digest, 0);
      return digest;
    },
    create: opensslHash.create,
  };
}

function findSha256(): Sha256 | undefined {
  try {
    return {
      init: findForeign('SHA256_Init', 'int', ['uint64']),
      update: findForeign('SHA256_Update', 'int', ['uint64', 'uint64', 'uint64']),
      final: findForeign('SHA256_Final', 'int', ['uint64', 'uint64']),
    };
  } catch {
    return undefined;
  }
}

/** Where array buffers lie, which never move. */
const addresses = new WeakMap<ArrayBufferLike, number>();

function addressIn(data: Uint8Array): number {
  let address = addresses.get(data.buffer);
  if (address === undefined) {
    address = Number(addressOf(data)) - data.byteOffset;
    addresses.set(data.buffer, address);
  }
  return address + data.byteOffset;
}
