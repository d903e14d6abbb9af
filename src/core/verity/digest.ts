/**
 * fs-verity digests of files: what the kernel's FS_IOC_MEASURE_VERITY and `fsverity digest` say of them.
 * Defined by the kernel: Documentation/filesystems/fsverity.rst.
 * @module
 */
import { DIGEST_SIZE, type Hash } from '../hash.ts';
import {
  DESCRIPTOR_SIZE,
  encodeDescriptor,
  type VerityOptions,
  type VerityParameters,
  verityParameters,
} from './descriptor.ts';
import { BlockHasher, blockRule, MerkleTree, type TreeBlockListener, treeShape } from './merkle.ts';

/** Blocks that are hashed before their digests go up the tree. */
const BATCH = 64;

/** Blocks larger than this are for nobody, and get no memory for the short way. */
const MAX_WHOLE_BLOCK = 65536;

/**
 * Computes the fs-verity digest of data that comes in pieces of any size. After `digest` or `descriptor` it is
 * ready for the next file.
 */
export class VerityHash {
  readonly #hash: Hash;
  readonly #parameters: VerityParameters;
  readonly #blocks: BlockHasher;
  readonly #tree: MerkleTree;
  /** The start of a block whose rest has not come yet. */
  readonly #pending: Uint8Array;
  readonly #leaves: Uint8Array;
  readonly #singleRoot: Uint8Array;
  /** The beginning of what was last given to `wholeDescriptor`, which mostly is the same memory again. */
  #firstBlock: Uint8Array = new Uint8Array(0);
  readonly #descriptor = new Uint8Array(DESCRIPTOR_SIZE);
  #pendingSize = 0;
  #size = 0;

  constructor(hash: Hash, options?: VerityOptions, onBlock?: TreeBlockListener) {
    this.#hash = hash;
    this.#parameters = verityParameters(options);
    const { algorithm, blockSize } = this.#parameters;
    this.#blocks = new BlockHasher(hash, blockRule(this.#parameters));
    this.#tree = new MerkleTree(this.#blocks, treeShape(this.#parameters), onBlock);
    this.#pending = new Uint8Array(blockSize);
    const treeBlock = blockSize <= MAX_WHOLE_BLOCK ? blockSize : 0;
    this.#leaves = new Uint8Array(Math.max(BATCH * DIGEST_SIZE[algorithm], treeBlock));
    this.#singleRoot = new Uint8Array(DIGEST_SIZE[algorithm]);
  }

  update(data: Uint8Array): void {
    const { blockSize } = this.#parameters;
    this.#size += data.length;
    let at = 0;
    if (this.#pendingSize > 0) {
      at = Math.min(data.length, blockSize - this.#pendingSize);
      this.#pending.set(data.subarray(0, at), this.#pendingSize);
      this.#pendingSize += at;
      if (this.#pendingSize < blockSize) return;
      this.#addBlocks(this.#pending);
      this.#pendingSize = 0;
    }
    const end = data.length - ((data.length - at) % blockSize);
    for (; at < end; at += BATCH * blockSize) {
      this.#addBlocks(data.subarray(at, Math.min(at + BATCH * blockSize, end)));
    }
    if (end < data.length) {
      this.#pending.set(data.subarray(end));
      this.#pendingSize = data.length - end;
    }
  }

  /** The digest, 32 or 64 bytes. An empty file has a root of zeros, as the kernel has it. */
  digest(): Uint8Array {
    return this.#hash.digest(this.#parameters.algorithm, this.#encode(this.#descriptor));
  }

  /** The descriptor that is hashed into the digest, 256 bytes. */
  descriptor(): Uint8Array {
    return this.#encode(new Uint8Array(DESCRIPTOR_SIZE));
  }

  /** Bytes of the largest file that `wholeDescriptor` takes: one whose tree has one block. */
  get wholeLimit(): number {
    const { algorithm, blockSize } = this.#parameters;
    return blockSize <= MAX_WHOLE_BLOCK ? (blockSize / DIGEST_SIZE[algorithm]) * blockSize : 0;
  }

  /**
   * The descriptor of a file that is there as a whole: the short way for most files.
   *
   * @param data the file at its beginning, and room behind it up to a whole block, which is overwritten
   * @param size bytes of the file, from 1 to `wholeLimit`
   * @returns 256 bytes, valid until the next call
   */
  wholeDescriptor(data: Uint8Array, size: number): Uint8Array {
    const { algorithm, blockSize } = this.#parameters;
    const end = Math.ceil(size / blockSize) * blockSize;
    // Not the method of a Node Buffer, whose checks take longer than the filling.
    Uint8Array.prototype.fill.call(data, 0, size, end);
    if (end === blockSize) {
      if (this.#firstBlock.buffer !== data.buffer || this.#firstBlock.byteOffset !== data.byteOffset) {
        this.#firstBlock = data.subarray(0, blockSize);
      }
      this.#blocks.hashInto(this.#firstBlock, this.#singleRoot, 0);
    } else {
      const used = this.#blocks.hashAllInto(data.subarray(0, end), this.#leaves, 0) * DIGEST_SIZE[algorithm];
      this.#leaves.fill(0, used, blockSize);
      this.#blocks.hashInto(this.#leaves.subarray(0, blockSize), this.#singleRoot, 0);
    }
    return encodeDescriptor(this.#parameters, size, this.#singleRoot, this.#descriptor);
  }

  /** Forgets what came so far. */
  reset(): void {
    this.#tree.reset();
    this.#pendingSize = 0;
    this.#size = 0;
  }

  #encode(out: Uint8Array): Uint8Array {
    const size = this.#size;
    encodeDescriptor(this.#parameters, size, this.#root(), out);
    this.reset();
    return out;
  }

  #root(): Uint8Array {
    const pending = this.#pendingSize;
    if (pending > 0) this.#pending.fill(0, pending);
    if (pending > 0 && pending === this.#size) {
      // Most files have less than a block, whose hash is the root: no tree is needed.
      this.#blocks.hashInto(this.#pending, this.#singleRoot, 0);
      return this.#singleRoot;
    }
    if (pending > 0) this.#addBlocks(this.#pending);
    return this.#tree.root();
  }

  #addBlocks(data: Uint8Array): void {
    const count = this.#blocks.hashAllInto(data, this.#leaves, 0);
    this.#tree.addLeaves(this.#leaves.subarray(0, count * DIGEST_SIZE[this.#parameters.algorithm]));
  }
}

/** The fs-verity digest of data that is there as a whole. */
export function verityDigest(hash: Hash, data: Uint8Array, options?: VerityOptions): Uint8Array {
  const verity = new VerityHash(hash, options);
  verity.update(data);
  return verity.digest();
}

/**
 * What libcomposefs calls the fs-verity digest of an empty file: it hashes one block of zeros, where the kernel has
 * a root of zeros. `composefs-info measure-file` prints it; no image holds it.
 */
export function libcomposefsEmptyDigest(hash: Hash): Uint8Array {
  const parameters = verityParameters();
  const root = new Uint8Array(DIGEST_SIZE.sha256);
  new BlockHasher(hash, blockRule(parameters)).hashInto(new Uint8Array(parameters.blockSize), root, 0);
  return hash.digest('sha256', encodeDescriptor(parameters, 0, root));
}
