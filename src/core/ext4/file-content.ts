/**
 * Content of files on its way to their blocks, and behind it, where fs-verity is on, the Merkle tree and descriptor
 * that the kernel would have put there.
 * Defined by Linux: fs/ext4/verity.c.
 * @module
 */
import { SealtreeError } from '../errors.ts';
import type { ReadContent, Sink } from '../fs/disk-node.ts';
import type { Hash } from '../hash.ts';
import { DESCRIPTOR_SIZE, verityParameters } from '../verity/descriptor.ts';
import { VerityHash } from '../verity/digest.ts';
import { treeOffsets } from '../verity/merkle.ts';
import type { Extent } from './extents.ts';
import { BLOCK_SIZE } from './format.ts';
import { type PlacedNode, verityPlace } from './layout.ts';

/** Writes one regular file after the other, each read once. */
export class FileWriter {
  readonly #read: ReadContent;
  readonly #sink: Sink;
  readonly #hash: VerityHash;
  #block: (level: number, index: number, block: Uint8Array) => void = () => {};

  constructor(hash: Hash, read: ReadContent, sink: Sink) {
    this.#read = read;
    this.#sink = sink;
    this.#hash = new VerityHash(hash, {}, (level, index, block) => this.#block(level, index, block));
  }

  /** @throws SealtreeError `internal` if there is more or less to be read than the file's size */
  write(placed: PlacedNode): void {
    const { node } = placed;
    if (node.verity) this.#startVerity(placed);
    let at = 0;
    if (node.size > 0) {
      this.#read(node, (piece) => {
        if (at + piece.length > node.size)
          throw new SealtreeError('internal', `more than the ${node.size} bytes of a file were given`);
        writeAt(placed.extents, at, piece, this.#sink);
        if (node.verity) this.#hash.update(piece);
        at += piece.length;
      });
    }
    if (at !== node.size)
      throw new SealtreeError('internal', `${at} of the ${node.size} bytes of a file were given`);
    if (node.verity) this.#endVerity(placed);
  }

  #startVerity({ node: { size }, extents }: PlacedNode): void {
    const { start } = verityPlace(size);
    const offsets = treeOffsets(size, verityParameters());
    this.#hash.reset();
    this.#block = (level, index, block) =>
      writeAt(extents, start + (offsets[level] as number) + index * BLOCK_SIZE, block, this.#sink);
  }

  /** Writes the descriptor behind the tree; the size of it ends the block. */
  #endVerity({ node: { size }, extents }: PlacedNode): void {
    const { start, treeSize } = verityPlace(size);
    const block = new Uint8Array(BLOCK_SIZE);
    block.set(this.#hash.descriptor());
    new DataView(block.buffer).setUint32(BLOCK_SIZE - 4, DESCRIPTOR_SIZE, true);
    writeAt(extents, start + treeSize, block, this.#sink);
  }
}

/** Writes to a place in a file, which may be cut by extents. */
export function writeAt(extents: readonly Extent[], at: number, data: Uint8Array, sink: Sink): void {
  for (let done = 0; done < data.length; ) {
    const block = Math.floor((at + done) / BLOCK_SIZE);
    const extent = findExtent(extents, block);
    const offset = at + done - extent.logical * BLOCK_SIZE;
    const length = Math.min(data.length - done, extent.length * BLOCK_SIZE - offset);
    sink(extent.physical * BLOCK_SIZE + offset, data.subarray(done, done + length));
    done += length;
  }
}

function findExtent(extents: readonly Extent[], block: number): Extent {
  let low = 0;
  for (let high = extents.length; high - low > 1; ) {
    const middle = (low + high) >>> 1;
    if ((extents[middle] as Extent).logical <= block) low = middle;
    else high = middle;
  }
  return extents[low] as Extent;
}
