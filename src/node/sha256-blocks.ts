/**
 * SHA-256 of many blocks of one size by libcrypto's own functions, which are in Node's program or in a library it uses:
 * nothing is allocated for a block, and threads do not wait for each other's counts of references, as they do in
 * OpenSSL's general functions. Manual page SHA256_Init(3ssl).
 *
 * Where it is known to be there, OpenSSL's function that hashes several messages side by side takes the blocks eight
 * at a time, which is 1.7 times as fast: crypto/sha/asm/sha256-mb-x86_64.pl. It is not part of OpenSSL's interface, so
 * it is used only of versions in which it was looked at, and only after it has hashed an example rightly.
 * @module
 */
import { addressOf, type ForeignFunction, findForeign } from './foreign.ts';

/**
 * Writes the digests of `count` blocks of `size` bytes, one behind the other at `from`, to `to`.
 *
 * @param size a multiple of 64, or anything for a single block
 * @param from address; this and the digests' place must be valid memory
 */
export type Sha256Blocks = (from: number, count: number, size: number, to: Uint8Array, at: number) => void;

/** undefined where libcrypto's functions cannot be found. */
export function findSha256Blocks(): Sha256Blocks | undefined {
  const single = findSingle();
  return single && (findSideBySide(single) ?? single);
}

/** Room for a SHA256_CTX, which has 112 bytes. */
const context = Buffer.allocUnsafeSlow(256);

function findSingle(): Sha256Blocks | undefined {
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
  return (from, count, size, target, at) => {
    const to = addressIn(target) + at;
    for (let i = 0; i < count; i++) {
      init(state);
      update(state, from + i * size, size);
      final(to + i * DIGEST_SIZE, state);
    }
  };
}

const DIGEST_SIZE = 32;
const WORDS = 8;
const INITIAL = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
] as const;

/** Bytes that SHA-256 takes at once. */
const STEP = 64;

/** Messages side by side. */
const LANES = 8;
/** The function is told fours of them. */
const FOURS = LANES / 4;

/** `SHA256_MB_CTX`: word by word, with places for eight messages. 32 bytes are its alignment. */
const STATE_SIZE = WORDS * LANES * 4;
const ALIGNMENT = 32;
const stateMemory = Buffer.alloc(STATE_SIZE + ALIGNMENT);

/** For each message `HASH_DESC`: address, and number of steps in 32 bits, which take 16 bytes. */
const DESCRIPTION_SIZE = 16;
const descriptions = Buffer.alloc(LANES * DESCRIPTION_SIZE);
const paddingDescriptions = Buffer.alloc(LANES * DESCRIPTION_SIZE);
const padding = Buffer.alloc(STEP);
const digests = Buffer.alloc(LANES * DIGEST_SIZE);

function findSideBySide(single: Sha256Blocks): Sha256Blocks | undefined {
  if (process.arch !== 'x64' || !/^3\.[05]\./.test(process.versions.openssl)) return undefined;
  let hashSideBySide: ForeignFunction;
  try {
    hashSideBySide = findForeign('sha256_multi_block', 'void', ['uint64', 'uint64', 'int']);
  } catch {
    return undefined;
  }
  const unaligned = addressIn(stateMemory);
  const state = Math.ceil(unaligned / ALIGNMENT) * ALIGNMENT;
  const words = wordsOf(stateMemory, state - unaligned, STATE_SIZE);
  const initial = Uint32Array.from(words, (_, i) => INITIAL[Math.floor(i / LANES)] as number);
  const described = wordsOf(descriptions);
  const digestWords = wordsOf(digests);
  const descriptionsAt = addressIn(descriptions);
  const paddingsAt = addressIn(paddingDescriptions);
  let paddedSize = 0;

  const hashBlocks: Sha256Blocks = (from, count, size, target, at) => {
    if (count < 2) {
      single(from, count, size, target, at);
      return;
    }
    if (size !== paddedSize) describePadding(size);
    paddedSize = size;
    const steps = size / STEP;
    for (let first = 0; first < count; first += LANES) {
      for (let lane = 0; lane < LANES; lane++) {
        const address = from + (first + lane) * size;
        described[lane * 4] = address;
        described[lane * 4 + 1] = address / 2 ** 32;
        described[lane * 4 + 2] = first + lane < count ? steps : 0;
      }
      words.set(initial);
      hashSideBySide(state, descriptionsAt, FOURS);
      hashSideBySide(state, paddingsAt, FOURS);
      for (let i = 0; i < words.length; i++) {
        digestWords[(i % LANES) * WORDS + ((i / LANES) | 0)] = words[i] as number;
      }
      digests.swap32();
      const left = (count - first) * DIGEST_SIZE;
      target.set(left < digests.length ? digests.subarray(0, left) : digests, at + first * DIGEST_SIZE);
    }
  };
  return agrees(hashBlocks, single) ? hashBlocks : undefined;
}

function wordsOf(memory: Buffer, offset = 0, length = memory.length): Uint32Array {
  return new Uint32Array(memory.buffer, memory.byteOffset + offset, length / 4);
}

/** What stands behind every message of `size` bytes: a one, zeros, and the number of bits. */
function describePadding(size: number): void {
  padding[0] = 0x80;
  padding.writeUIntBE(size * 8, STEP - 6, 6);
  for (let lane = 0; lane < LANES; lane++) {
    paddingDescriptions.writeBigUInt64LE(BigInt(addressIn(padding)), lane * DESCRIPTION_SIZE);
    paddingDescriptions.writeUInt32LE(1, lane * DESCRIPTION_SIZE + 8);
  }
}

/** Whether both come to the same digests of different blocks, whole eights of them and not. */
function agrees(some: Sha256Blocks, other: Sha256Blocks): boolean {
  const [size, count] = [4096, 11];
  const data = Buffer.allocUnsafeSlow(size * count);
  for (let i = 0; i < data.length; i++) data[i] = (i * 31) ^ (i >> 9);
  const digestsOf = (hashBlocks: Sha256Blocks) => {
    const found = Buffer.alloc(count * DIGEST_SIZE);
    hashBlocks(addressIn(data), count, size, found, 0);
    return found;
  };
  return digestsOf(some).equals(digestsOf(other));
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
