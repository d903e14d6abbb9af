/**
 * Merkle trees over blocks, built level by level while the data streams by: one block a level is held. fs-verity and
 * dm-verity differ in where the salt goes and in how hashes are packed, which is said by a `BlockRule` and a `TreeShape`.
 * Defined by the kernel: Documentation/filesystems/fsverity.rst, "Merkle tree";
 * Documentation/admin-guide/device-mapper/verity.rst, "Hash Tree".
 * @module
 */
import { DIGEST_SIZE, type Hash, type HashName } from '../hash.ts';
import type { VerityParameters } from './descriptor.ts';

/** How one block is hashed. It can be sent to a worker. */
export interface BlockRule {
  /** A name that the Hash port has. */
  readonly algorithm: string;
  readonly digestSize: number;
  readonly blockSize: number;
  /** Hashed before every block. */
  readonly saltBefore: Uint8Array;
  /** Hashed behind every block. */
  readonly saltAfter: Uint8Array;
}

/** How hashes are packed into blocks of the tree. */
export interface TreeShape {
  /** Bytes of a block of the tree. */
  readonly blockSize: number;
  readonly digestSize: number;
  /** Bytes from one hash to the next; zeros fill what a hash leaves. */
  readonly slotSize: number;
  /** Hashes in a block; zeros follow them. */
  readonly fanOut: number;
}

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

const NOTHING = new Uint8Array(0);

/** How fs-verity hashes blocks: behind the salt, padded. */
export function blockRule({ algorithm, blockSize, salt }: VerityParameters): BlockRule {
  const padTo = HASH_BLOCK_SIZE[algorithm];
  const saltBefore = salt.length === 0 ? NOTHING : new Uint8Array(Math.ceil(salt.length / padTo) * padTo);
  saltBefore.set(salt);
  return { algorithm, digestSize: DIGEST_SIZE[algorithm], blockSize, saltBefore, saltAfter: NOTHING };
}

/** How fs-verity packs hashes: without gaps. */
export function treeShape({ algorithm, blockSize }: VerityParameters): TreeShape {
  const digestSize = DIGEST_SIZE[algorithm];
  return { blockSize, digestSize, slotSize: digestSize, fanOut: blockSize / digestSize };
}

/** Hashes single blocks by a rule. */
export class BlockHasher {
  readonly #hash: Hash;
  readonly #rule: BlockRule;
  /** Room for a block between its salts; undefined without a salt, when blocks are hashed where they lie. */
  readonly #salted: Uint8Array | undefined;

  constructor(hash: Hash, rule: BlockRule) {
    this.#hash = hash;
    this.#rule = rule;
    const { saltBefore, saltAfter, blockSize } = rule;
    if (saltBefore.length + saltAfter.length === 0) return;
    this.#salted = new Uint8Array(saltBefore.length + blockSize + saltAfter.length);
    this.#salted.set(saltBefore);
    this.#salted.set(saltAfter, saltBefore.length + blockSize);
  }

  /** Writes the hash of one whole block to `target` at `at`. */
  hashInto(block: Uint8Array, target: Uint8Array, at: number): void {
    const { algorithm, saltBefore } = this.#rule;
    if (this.#salted === undefined) {
      this.#hash.digestInto(algorithm, block, target, at);
      return;
    }
    this.#salted.set(block, saltBefore.length);
    this.#hash.digestInto(algorithm, this.#salted, target, at);
  }

  /**
   * Writes the hashes of all blocks of `data` behind each other to `target` at `at`.
   *
   * @param data whole blocks, or with the end of the file in it: what lacks in its last block counts as zeros
   * @returns number of blocks
   */
  hashAllInto(data: Uint8Array, target: Uint8Array, at: number): number {
    const { blockSize: size, digestSize } = this.#rule;
    const whole = Math.floor(data.length / size);
    const isWhole = whole * size === data.length;
    if (!this.#hashAtOnce(isWhole ? data : data.subarray(0, whole * size), target, at)) {
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

  /** @returns false if the blocks are to be hashed one by one */
  #hashAtOnce(blocks: Uint8Array, target: Uint8Array, at: number): boolean {
    const { algorithm, blockSize, saltBefore, saltAfter } = this.#rule;
    if (saltAfter.length > 0 || this.#hash.digestBlocksInto === undefined) return false;
    return this.#hash.digestBlocksInto(algorithm, blocks, blockSize, target, at, saltBefore);
  }
}

/** The levels above the data: takes the hash of each data block, gives the root. */
export class MerkleTree {
  readonly #hasher: BlockHasher;
  readonly #shape: TreeShape;
  /** Bytes of a block that its hashes take. */
  readonly #capacity: number;
  readonly #onBlock: TreeBlockListener | undefined;
  /** Kept for the next file: most files have one block, and making a level anew would cost as much as hashing it. */
  readonly #levels: Level[] = [];
  /** How many levels this file has so far. */
  #height = 0;

  /** @param hasher for blocks of the tree */
  constructor(hasher: BlockHasher, shape: TreeShape, onBlock?: TreeBlockListener) {
    this.#hasher = hasher;
    this.#shape = shape;
    this.#capacity = shape.slotSize * shape.fanOut;
    this.#onBlock = onBlock;
  }

  /**
   * Adds hashes of data blocks, in the order of the blocks.
   *
   * @param leaves digests behind each other
   */
  addLeaves(leaves: Uint8Array): void {
    const { digestSize, slotSize } = this.#shape;
    for (let at = 0; at < leaves.length; ) {
      const level = this.#levelWithRoom(0);
      if (slotSize > digestSize) {
        level.block.set(leaves.subarray(at, at + digestSize), level.used);
        level.used += slotSize;
        at += digestSize;
        continue;
      }
      const count = Math.min(leaves.length - at, this.#capacity - level.used);
      level.block.set(count === leaves.length ? leaves : leaves.subarray(at, at + count), level.used);
      level.used += count;
      at += count;
    }
  }

  /** The root: all zeros without any data. Nothing can be added after it but by `reset`. */
  root(): Uint8Array {
    const { digestSize, slotSize } = this.#shape;
    let root = new Uint8Array(digestSize);
    for (let i = 0; i < this.#height; i++) {
      const level = this.#levels[i] as Level;
      if (level.done === 0 && level.used === slotSize) {
        root = level.block.slice(0, digestSize);
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
      level = { block: new Uint8Array(this.#shape.blockSize), used: 0, done: 0 };
      this.#levels[index] = level;
    }
    if (index === this.#height) {
      level.used = 0;
      level.done = 0;
      this.#height++;
    }
    if (level.used === this.#capacity) this.#pushUp(index);
    return level;
  }

  /** Hashes the block of a level, padded with zeros, into the level above. The levels are few: 2^64 bytes need 11. */
  #pushUp(index: number): void {
    const level = this.#levels[index] as Level;
    level.block.fill(0, level.used);
    this.#onBlock?.(index, level.done, level.block);
    const above = this.#levelWithRoom(index + 1);
    this.#hasher.hashInto(level.block, above.block, above.used);
    above.used += this.#shape.slotSize;
    level.used = 0;
    level.done++;
  }
}

/**
 * Blocks of each level of a tree, level 0 first, which holds the hashes of the data.
 *
 * @param blocks blocks of data
 * @returns empty for at most one block, which has no tree
 */
export function levelCounts(blocks: number, fanOut: number): number[] {
  const counts: number[] = [];
  for (let count = blocks; count > 1; ) {
    count = Math.ceil(count / fanOut);
    counts.push(count);
  }
  return counts;
}

/**
 * Where each level of a tree begins in a file that holds the tree: the level of one block first, level 0 last. So do
 * ext4, f2fs and `fsverity digest --out-merkle-tree` lay out that of fs-verity, and dm-verity its own.
 *
 * @param counts blocks of each level
 * @returns offset by level
 */
export function levelOffsets(counts: readonly number[], blockSize: number): number[] {
  const offsets = new Array<number>(counts.length);
  let offset = 0;
  for (let level = counts.length - 1; level >= 0; level--) {
    offsets[level] = offset;
    offset += (counts[level] as number) * blockSize;
  }
  return offsets;
}

/**
 * Where each level of a tree of fs-verity begins.
 *
 * @param size bytes of file data
 * @returns offset by level; empty for a file of at most one block, which has no tree
 */
export function treeOffsets(size: number, parameters: VerityParameters): number[] {
  const { blockSize, fanOut } = treeShape(parameters);
  return levelOffsets(levelCounts(Math.ceil(size / blockSize), fanOut), blockSize);
}
