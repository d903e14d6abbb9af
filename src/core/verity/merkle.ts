/**
 * The Merkle tree of fs-verity, built level by level while the data streams by: one block a level is held.
 * Defined by the kernel: Documentation/filesystems/fsverity.rst, "Merkle tree".
 * @module
 */
import { DIGEST_SIZE, type Hash, type HashName } from '../hash.ts';
import type { VerityParameters } from './descriptor.ts';

/**
 * Hears every block of the tree, zero padded, before it is hashed.
 *
 * @param level 0 for the blocks that hold the hashes of data blocks
 * @param index position in its level
 * @param block valid during the call only
 */
export type TreeBlockListener = (level: number, index: number, block: Uint8Array) => void;

interface Level {
  readonly block: Uint8Array;
  used: number;
  /** Blocks of this level that are already hashed. */
  done: number;
}

/** Bytes that the hash function reads at once; a salt is padded with zeros to a multiple of them. */
const HASH_BLOCK_SIZE: Readonly<Record<HashName, number>> = { sha256: 64, sha512: 128 };

/** Hashes single blocks as fs-verity does: behind the padded salt. */
export class BlockHasher {
  readonly #hash: Hash;
  readonly #algorithm: HashName;
  readonly #blockSize: number;
  readonly #saltSize: number;
  /** Padded salt and room for a block; undefined without a salt, when blocks are hashed where they lie. */
  readonly #salted: Uint8Array | undefined;

  constructor(hash: Hash, { algorithm, blockSize, salt }: VerityParameters) {
    this.#hash = hash;
    this.#algorithm = algorithm;
    this.#blockSize = blockSize;
    this.#saltSize = Math.ceil(salt.length / HASH_BLOCK_SIZE[algorithm]) * HASH_BLOCK_SIZE[algorithm];
    if (salt.length === 0) return;
    this.#salted = new Uint8Array(this.#saltSize + blockSize);
    this.#salted.set(salt);
  }

  /** Writes the hash of one whole block to `target` at `at`. */
  hashInto(block: Uint8Array, target: Uint8Array, at: number): void {
    if (this.#salted === undefined) {
      this.#hash.digestInto(this.#algorithm, block, target, at);
      return;
    }
    this.#salted.set(block, this.#saltSize);
    this.#hash.digestInto(this.#algorithm, this.#salted, target, at);
  }

  /**
   * Writes the hashes of all blocks of `data` behind each other to `target` at `at`.
   *
   * @param data whole blocks, or with the end of the file in it: what lacks in its last block counts as zeros
   * @returns number of blocks
   */
  hashAllInto(data: Uint8Array, target: Uint8Array, at: number): number {
    const size = this.#blockSize;
    const whole = Math.floor(data.length / size);
    const digestSize = DIGEST_SIZE[this.#algorithm];
    const isWhole = whole * size === data.length;
    if (this.#salted === undefined && this.#hash.digestBlocksInto !== undefined) {
      const blocks = isWhole ? data : data.subarray(0, whole * size);
      this.#hash.digestBlocksInto(this.#algorithm, blocks, size, target, at);
    } else {
      for (let i = 0; i < whole; i++) {
        this.hashInto(data.subarray(i * size, (i + 1) * size), target, at + i * digestSize);
      }
    }
    if (isWhole) return whole;
    const last = new Uint8Array(size);
    last.set(data.subarray(whole * size));
    this.hashInto(last, target, at + whole * digestSize);
    return whole + 1;
  }
}

/** The levels above the data: takes the hash of each data block, gives the root. */
export class MerkleTree {
  readonly #hasher: BlockHasher;
  readonly #blockSize: number;
  readonly #digestSize: number;
  readonly #onBlock: TreeBlockListener | undefined;
  /** Kept for the next file: most files have one block, and making a level anew would cost as much as hashing it. */
  readonly #levels: Level[] = [];
  /** How many levels this file has so far. */
  #height = 0;

  constructor(hasher: BlockHasher, { algorithm, blockSize }: VerityParameters, onBlock?: TreeBlockListener) {
    this.#hasher = hasher;
    this.#blockSize = blockSize;
    this.#digestSize = DIGEST_SIZE[algorithm];
    this.#onBlock = onBlock;
  }

  /**
   * Adds hashes of data blocks, in the order of the blocks.
   *
   * @param leaves digests behind each other
   */
  addLeaves(leaves: Uint8Array): void {
    for (let at = 0; at < leaves.length; ) {
      const level = this.#levelWithRoom(0);
      const count = Math.min(leaves.length - at, this.#blockSize - level.used);
      level.block.set(count === leaves.length ? leaves : leaves.subarray(at, at + count), level.used);
      level.used += count;
      at += count;
    }
  }

  /** The root: all zeros without any data. Nothing can be added after it but by `reset`. */
  root(): Uint8Array {
    let root = new Uint8Array(this.#digestSize);
    for (let i = 0; i < this.#height; i++) {
      const level = this.#levels[i] as Level;
      if (level.done === 0 && level.used === this.#digestSize) {
        root = level.block.slice(0, this.#digestSize);
        break;
      }
      this.#pushUp(i);
    }
    return root;
  }

  /** Empties the tree for the next file. */
  reset(): void {
    this.#height = 0;
  }

  /**
   * A level whose block can take one more digest. A full block is hashed only now that one more is there: at the
   * end of the file it might have been the last of its level, and then it is hashed by `root`.
   */
  #levelWithRoom(index: number): Level {
    let level = this.#levels[index];
    if (level === undefined) {
      level = { block: new Uint8Array(this.#blockSize), used: 0, done: 0 };
      this.#levels[index] = level;
    }
    if (index === this.#height) {
      level.used = 0;
      level.done = 0;
      this.#height++;
    }
    if (level.used === this.#blockSize) this.#pushUp(index);
    return level;
  }

  /** Hashes the block of a level, padded with zeros, into the level above. The levels are few: 2^64 bytes need 11. */
  #pushUp(index: number): void {
    const level = this.#levels[index] as Level;
    level.block.fill(0, level.used);
    this.#onBlock?.(index, level.done, level.block);
    const above = this.#levelWithRoom(index + 1);
    this.#hasher.hashInto(level.block, above.block, above.used);
    above.used += this.#digestSize;
    level.used = 0;
    level.done++;
  }
}

/**
 * Where each level of a tree begins in a file that holds the tree, as ext4, f2fs and `fsverity digest
 * --out-merkle-tree` lay it out: the level of one block first, level 0 last.
 *
 * @param size bytes of file data
 * @returns offset by level; empty for a file of at most one block, which has no tree
 */
export function treeOffsets(size: number, { algorithm, blockSize }: VerityParameters): number[] {
  const fanOut = blockSize / DIGEST_SIZE[algorithm];
  const counts: number[] = [];
  for (let count = Math.ceil(size / blockSize); count > 1; ) {
    count = Math.ceil(count / fanOut);
    counts.push(count);
  }
  let offset = 0;
  return counts
    .reverse()
    .map((count) => {
      const start = offset;
      offset += count * blockSize;
      return start;
    })
    .reverse();
}
