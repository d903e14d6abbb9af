/**
 * Makes and checks the Merkle tree of dm-verity while the hashes of the data come by.
 * Defined by the kernel: Documentation/admin-guide/device-mapper/verity.rst, "Hash Tree".
 * @module
 */
import type { Hash } from '../hash.ts';
import { BlockHasher, MerkleTree, type TreeShape } from '../verity/merkle.ts';
import { type DmVerityLayout, type DmVerityParameters, dmVerityShape, treeRule } from './layout.ts';

/** A tree being made. `addLeaves` takes the hashes of data blocks in their order, `root` ends it. */
export type DmVerityTree = Pick<MerkleTree, 'addLeaves' | 'root'>;

/**
 * Makes the tree.
 *
 * @param write gets each block of it with its offset on the hash device, valid during the call; blocks of a level come
 *   in their order, levels mixed
 */
export function buildTree(
  hash: Hash,
  parameters: DmVerityParameters,
  { levels }: DmVerityLayout,
  write: (offset: number, block: Uint8Array) => void,
): DmVerityTree {
  return new MerkleTree(
    new BlockHasher(hash, treeRule(parameters)),
    dmVerityShape(parameters),
    (level, index, block) =>
      write((levels[level] as { start: number }).start + index * parameters.hashBlockSize, block),
  );
}

/** The first thing that is wrong, in the order in which cryptsetup looks: level by level, from the data up. */
export type TreeFault =
  /** A block whose hash is not the one in the tree. `level` is -1 for data, where `position` is on the data device. */
  | { readonly kind: 'block'; readonly level: number; readonly position: number; readonly size: number }
  /** Something else than zeros where no hash is. */
  | { readonly kind: 'spare'; readonly position: number };

/** A tree being checked against the one that is stored. */
export interface TreeCheck {
  /** @returns false if a fault in them was found, so that what follows does not matter any more */
  addLeaves(leaves: Uint8Array): boolean;
  /** Ends it. The root is right only if no fault was found. */
  finish(): { readonly root: Uint8Array; readonly fault: TreeFault | undefined };
}

/** @param read gives what is stored on the hash device: the block at an offset */
export function checkTree(
  hash: Hash,
  parameters: DmVerityParameters,
  layout: DmVerityLayout,
  read: (offset: number, length: number) => Uint8Array,
): TreeCheck {
  const { dataBlockSize, hashBlockSize } = parameters;
  const shape = dmVerityShape(parameters);
  const faults: TreeFault[] = [];
  const tree = new MerkleTree(
    new BlockHasher(hash, treeRule(parameters)),
    shape,
    (level, index, computed) => {
      if (faults[level] !== undefined) return;
      const at = (layout.levels[level] as { start: number }).start + index * hashBlockSize;
      const difference = firstDifference(computed, read(at, hashBlockSize));
      if (difference === undefined) return;
      const slot = Math.floor(difference / shape.slotSize);
      const below = layout.levels[level - 1];
      const size = below === undefined ? dataBlockSize : hashBlockSize;
      const blocks = below?.count ?? parameters.dataBlocks;
      const block = index * shape.fanOut + slot;
      const isHash = slot < shape.fanOut && block < blocks && difference % shape.slotSize < shape.digestSize;
      faults[level] = isHash
        ? { kind: 'block', level: level - 1, position: (below?.start ?? 0) + block * size, size }
        : { kind: 'spare', position: at + spareStart(shape, slot, blocks - index * shape.fanOut) };
    },
  );
  return {
    addLeaves(leaves) {
      tree.addLeaves(leaves);
      return faults[0] === undefined;
    },
    finish() {
      const root = tree.root();
      return { root, fault: faults.find((fault) => fault !== undefined) };
    },
  };
}

/** Where in a block the zeros begin of which one is none: behind a hash, or behind all. */
function spareStart({ slotSize, digestSize, fanOut }: TreeShape, slot: number, hashes: number): number {
  const used = Math.min(hashes, fanOut);
  return slot < used ? slot * slotSize + digestSize : used * slotSize;
}

function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return i;
  return undefined;
}
