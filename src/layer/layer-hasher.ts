/**
 * Hashes the file system of a layer while it is written: data goes by in batches, of which only the hashes are kept, one
 * for 128 blocks. The blocks that are written once more at the end are hashed once more, and nothing else.
 * @module
 */
import { hexOf } from '../core/bytes/hex.ts';
import { type DmVerityParameters, dataRule, dmVerityShape } from '../core/dm-verity/layout.ts';
import type { BlockStream } from '../core/ext4/compact/writer.ts';
import type { Hash } from '../core/hash.ts';
import { BlockHasher, MerkleTree } from '../core/verity/merkle.ts';

/** What the root hash of a layer depends on, besides its data. */
export const LAYER_VERITY: Omit<DmVerityParameters, 'dataBlocks'> = {
  hashType: 1,
  algorithm: 'sha256',
  digestSize: 32,
  dataBlockSize: 4096,
  hashBlockSize: 4096,
  salt: new Uint8Array(32),
};

const BLOCK = LAYER_VERITY.dataBlockSize;
const DIGEST = LAYER_VERITY.digestSize;
const FAN_OUT = LAYER_VERITY.hashBlockSize / DIGEST;
/** Bytes of data that one block of the tree covers. */
const COVERED = FAN_OUT * BLOCK;
/** Bytes of a batch. */
const BATCH = 2 * COVERED;
/** Batches that are being hashed while the next is filled. */
const MAX_WAITING = 6;

/**
 * Hashes a batch.
 *
 * @param data whole blocks, in shared memory if it is not done at once
 * @returns the blocks of the tree that cover it, zero padded
 */
export type HashBatch = (data: Uint8Array) => Uint8Array | Promise<Uint8Array>;

/** Hears of everything once it is known, in order. */
export interface LayerListener {
  data(offset: number, data: Uint8Array): void;
  /** A block of the lowest level of the tree. */
  leaves(index: number, block: Uint8Array): void;
}

/** Hashes of blocks by the calling thread. */
export function makeHashBatch(hash: Hash): HashBatch {
  const hasher = new BlockHasher(hash, dataRule({ ...LAYER_VERITY, dataBlocks: 0 }));
  return (data) => {
    const out = new Uint8Array(Math.ceil(data.length / COVERED) * LAYER_VERITY.hashBlockSize);
    hasher.hashAllInto(data, out, 0);
    return out;
  };
}

interface Waiting {
  readonly buffer: Uint8Array | undefined;
  readonly leaves: Uint8Array | Promise<Uint8Array>;
}

export class LayerHasher implements BlockStream {
  readonly #hashBatch: HashBatch;
  readonly #hasher: BlockHasher;
  readonly #listener: LayerListener | undefined;
  readonly #waiting: Waiting[] = [];
  readonly #free: Uint8Array[] = [];
  readonly #kept = new Map<number, Uint8Array>();
  readonly #rewritten: { readonly offset: number; readonly data: Uint8Array }[] = [];
  readonly #isShared: boolean;
  #batch: Uint8Array;
  #used = 0;
  /** Bytes before the batch. */
  #offset = 0;
  /** Hashes of the blocks of the lowest level, and how many there are. */
  #digests = new Uint8Array(1024 * DIGEST);
  #count = 0;
  #zeroLeaves: Uint8Array | undefined;

  /**
   * @param hash for the little that is hashed at once
   * @param isShared whether `hashBatch` gives data to other threads
   */
  constructor(
    hash: Hash,
    hashBatch: HashBatch,
    { isShared = false, listener }: { isShared?: boolean; listener?: LayerListener | undefined } = {},
  ) {
    this.#hashBatch = hashBatch;
    this.#hasher = new BlockHasher(hash, dataRule({ ...LAYER_VERITY, dataBlocks: 0 }));
    this.#listener = listener;
    this.#isShared = isShared;
    this.#batch = this.#makeBatch();
  }

  /** Whether more is waiting to be hashed than should. */
  get isBehind(): boolean {
    return this.#waiting.length > MAX_WAITING;
  }

  write(data: Uint8Array): void {
    for (let at = 0; at < data.length; ) {
      const length = Math.min(data.length - at, BATCH - this.#used);
      this.#batch.set(length === data.length ? data : data.subarray(at, at + length), this.#used);
      this.#used += length;
      at += length;
      if (this.#used === BATCH) this.#endBatch();
    }
  }

  zeros(length: number): void {
    let left = length;
    while (left > 0) {
      if (this.#used === 0 && left >= BATCH) {
        this.#passZeros();
        left -= BATCH;
        continue;
      }
      const now = Math.min(left, BATCH - this.#used);
      // Not the method of a Node Buffer, whose checks take longer than the filling.
      Uint8Array.prototype.fill.call(this.#batch, 0, this.#used, this.#used + now);
      this.#used += now;
      left -= now;
      if (this.#used === BATCH) this.#endBatch();
    }
  }

  mayRewrite(offset: number): void {
    this.#kept.set(Math.floor(offset / COVERED), new Uint8Array(0));
  }

  rewrite(offset: number, data: Uint8Array): void {
    this.#rewritten.push({ offset, data: data.slice() });
  }

  /** Takes hashes that are there, and waits for the first ones if too many are not. */
  async settle(): Promise<void> {
    while (this.#waiting.length > 0) {
      const { leaves } = this.#waiting[0] as Waiting;
      if (leaves instanceof Uint8Array) this.#takeLeaves(leaves);
      else if (this.isBehind) this.#takeLeaves(await leaves);
      else return;
    }
  }

  /** Nothing more comes but what is rewritten: gives the last batch to be hashed. */
  endData(): void {
    if (this.#used > 0) this.#endBatch();
  }

  /**
   * Ends the tree, after `endData`.
   *
   * @param onTree hears of the levels above the lowest, as `MerkleTree` tells it: level 0 is the one above the lowest
   * @returns the root hash, hexadecimal
   */
  async finish(onTree?: (level: number, index: number, block: Uint8Array) => void): Promise<string> {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0])
      this.#takeLeaves(await first.leaves);
    this.#rewriteBlocks();
    const tree = new MerkleTree(this.#hasher, dmVerityShape({ ...LAYER_VERITY, dataBlocks: 0 }), onTree);
    tree.addLeaves(this.#digests.subarray(0, this.#count * DIGEST));
    return hexOf(tree.root());
  }

  #endBatch(): void {
    const data = this.#used === BATCH ? this.#batch : this.#batch.subarray(0, this.#used);
    this.#listener?.data(this.#offset, data);
    this.#waiting.push({ buffer: this.#batch, leaves: this.#hashBatch(data) });
    this.#offset += this.#used;
    this.#used = 0;
    this.#batch = this.#free.pop() ?? this.#makeBatch();
    this.#takeReady();
  }

  #passZeros(): void {
    if (this.#zeroLeaves === undefined) {
      const leaf = new Uint8Array(DIGEST);
      this.#hasher.hashInto(new Uint8Array(BLOCK), leaf, 0);
      this.#zeroLeaves = new Uint8Array((BATCH / BLOCK) * DIGEST);
      for (let at = 0; at < this.#zeroLeaves.length; at += DIGEST) this.#zeroLeaves.set(leaf, at);
    }
    this.#waiting.push({ buffer: undefined, leaves: this.#zeroLeaves });
    this.#offset += BATCH;
    this.#takeReady();
  }

  #takeReady(): void {
    for (let first = this.#waiting[0]; first?.leaves instanceof Uint8Array; first = this.#waiting[0])
      this.#takeLeaves(first.leaves);
  }

  /** Takes the leaves of the batch that has waited longest. */
  #takeLeaves(leaves: Uint8Array): void {
    const { buffer } = this.#waiting.shift() as Waiting;
    if (buffer !== undefined) this.#free.push(buffer);
    for (let at = 0; at < leaves.length; at += LAYER_VERITY.hashBlockSize) {
      const block = leaves.subarray(at, at + LAYER_VERITY.hashBlockSize);
      const index = this.#count++;
      if (this.#kept.has(index)) this.#kept.set(index, block.slice());
      this.#listener?.leaves(index, block);
      if (this.#count * DIGEST > this.#digests.length) {
        const larger = new Uint8Array(2 * this.#digests.length);
        larger.set(this.#digests);
        this.#digests = larger;
      }
      this.#hasher.hashInto(block, this.#digests, index * DIGEST);
    }
  }

  #rewriteBlocks(): void {
    const changed = new Map<number, Uint8Array>();
    for (const { offset, data } of this.#rewritten) {
      this.#listener?.data(offset, data);
      for (let at = 0; at < data.length; at += BLOCK) {
        const index = Math.floor((offset + at) / COVERED);
        const block = this.#kept.get(index) as Uint8Array;
        const slot = ((offset + at) % COVERED) / BLOCK;
        this.#hasher.hashInto(data.subarray(at, at + BLOCK), block, slot * DIGEST);
        changed.set(index, block);
      }
    }
    for (const [index, block] of changed) {
      this.#listener?.leaves(index, block);
      this.#hasher.hashInto(block, this.#digests, index * DIGEST);
    }
  }

  #makeBatch(): Uint8Array {
    return new Uint8Array(this.#isShared ? new SharedArrayBuffer(BATCH) : new ArrayBuffer(BATCH));
  }
}
