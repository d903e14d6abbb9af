/** The tree of dm-verity against a second implementation, made and checked. @module */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DmVerityParameters,
  dataRule,
  dmVerityLayout,
  type HashType,
} from '../../../src/core/dm-verity/layout.ts';
import { buildTree, checkTree, type TreeFault } from '../../../src/core/dm-verity/tree.ts';
import { BlockHasher } from '../../../src/core/verity/merkle.ts';
import { blockHash } from '../../../src/node/hash.ts';
import { vectorBytes } from '../verity/vector-bytes.ts';
import { plainTree } from './oracle.ts';

const hash = blockHash();

const someParameters = fc
  .record({
    hashType: fc.constantFrom<HashType>(0, 1),
    algorithm: fc.constantFrom('sha256', 'sha1', 'sha512', 'sha384', 'md5', 'blake2b512', 'ripemd160'),
    dataBlockSize: fc.constantFrom(512, 1024, 4096),
    hashBlockSize: fc.constantFrom(512, 1024, 4096),
    dataBlocks: fc.oneof(
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom(8, 9, 16, 17, 64, 65, 128, 129, 256, 257, 300),
    ),
    salt: fc.uint8Array({ maxLength: 70 }),
  })
  .map((some) => ({ ...some, digestSize: createHash(some.algorithm).digest().length }));

function make(data: Uint8Array, parameters: DmVerityParameters) {
  const layout = dmVerityLayout(parameters, 0, false);
  const stored = Buffer.alloc(layout.end, 0xff);
  const tree = buildTree(hash, parameters, layout, (offset, block) => stored.set(block, offset));
  tree.addLeaves(leavesOf(data, parameters));
  return { layout, stored, root: tree.root() };
}

function leavesOf(data: Uint8Array, parameters: DmVerityParameters): Uint8Array {
  const leaves = new Uint8Array(parameters.dataBlocks * parameters.digestSize);
  new BlockHasher(hash, dataRule(parameters)).hashAllInto(data, leaves, 0);
  return leaves;
}

function check(data: Uint8Array, stored: Uint8Array, parameters: DmVerityParameters) {
  const layout = dmVerityLayout(parameters, 0, false);
  const checking = checkTree(hash, parameters, layout, (offset, length) =>
    stored.slice(offset, offset + length),
  );
  checking.addLeaves(leavesOf(data, parameters));
  return checking.finish();
}

describe('the tree', () => {
  it('is that of a second implementation', () => {
    fc.assert(
      fc.property(someParameters, (parameters) => {
        const data = vectorBytes(parameters.dataBlocks * parameters.dataBlockSize);
        const expected = plainTree(data, parameters);
        const { stored, root } = make(data, parameters);
        expect(Buffer.compare(stored, expected.tree)).toBe(0);
        expect(Buffer.from(root)).toEqual(expected.root);
      }),
    );
  });

  it('is found right, and every changed byte of it and of the data is found', () => {
    fc.assert(
      fc.property(someParameters, fc.nat(), fc.integer({ min: 1, max: 255 }), (parameters, seed, change) => {
        const { dataBlocks, dataBlockSize } = parameters;
        const data = Uint8Array.from(vectorBytes(dataBlocks * dataBlockSize));
        const { stored, root, layout } = make(data, parameters);
        expect(check(data, stored, parameters)).toEqual({ root, fault: undefined });
        const at = seed % (data.length + stored.length);
        if (at < data.length) data[at] = (data[at] as number) ^ change;
        else stored[at - data.length] = (stored[at - data.length] as number) ^ change;
        const { fault, root: found } = check(data, stored, parameters);
        if (layout.levels.length === 0) {
          expect(Buffer.compare(found, root)).not.toBe(0);
          return;
        }
        expect(fault).toEqual(
          expectedFault(parameters, at < data.length ? { data: at } : { tree: at - data.length }),
        );
      }),
    );
  });
});

/** Where the first fault is seen: a hash is compared where it stands, with the block that it is of. */
function expectedFault(parameters: DmVerityParameters, changed: { data?: number; tree?: number }): TreeFault {
  const { dataBlockSize, hashBlockSize, digestSize, hashType, dataBlocks } = parameters;
  const { levels } = dmVerityLayout(parameters, 0, false);
  if (changed.data !== undefined) {
    const position = Math.floor(changed.data / dataBlockSize) * dataBlockSize;
    return { kind: 'block', level: -1, position, size: dataBlockSize };
  }
  const at = changed.tree as number;
  const level = levels.findIndex(({ start, count }) => at >= start && at < start + count * hashBlockSize);
  const block = Math.floor(at / hashBlockSize) * hashBlockSize;
  let perBlock = 1;
  while (perBlock * 2 * digestSize <= hashBlockSize) perBlock *= 2;
  const slotSize = hashType === 1 ? hashBlockSize / perBlock : digestSize;
  const slot = Math.floor((at - block) / slotSize);
  const below = levels[level - 1];
  const first = ((block - (levels[level]?.start ?? 0)) / hashBlockSize) * perBlock;
  const hashes = Math.min(perBlock, (below?.count ?? dataBlocks) - first);
  if (slot < hashes && (at - block) % slotSize < digestSize) {
    const size = below === undefined ? dataBlockSize : hashBlockSize;
    return { kind: 'block', level: level - 1, position: (below?.start ?? 0) + (first + slot) * size, size };
  }
  const position = slot < hashes ? block + slot * slotSize + digestSize : block + hashes * slotSize;
  return { kind: 'spare', position };
}

describe('the layout', () => {
  const parameters: DmVerityParameters = {
    hashType: 1,
    algorithm: 'sha256',
    digestSize: 32,
    dataBlockSize: 4096,
    hashBlockSize: 4096,
    dataBlocks: 128 * 128 + 1,
    salt: new Uint8Array(0),
  };

  it('has the level of one block first, behind the superblock', () => {
    const { levels, start, end } = dmVerityLayout(parameters, 0, true);
    expect(start).toBe(4096);
    expect(levels.map(({ count }) => count)).toEqual([129, 2, 1]);
    expect(levels.map((level) => level.start / 4096)).toEqual([4, 2, 1]);
    expect(end).toBe(133 * 4096);
  });

  it('begins at the block boundary behind a superblock, and before the offset without one, as veritysetup has it', () => {
    for (const [offset, hasSuperblock, start] of [
      [0, true, 4096],
      [512, true, 4096],
      [3584, true, 4096],
      [4096, true, 8192],
      [0, false, 0],
      [512, false, 0],
      [8192, false, 8192],
    ] as const) {
      expect(dmVerityLayout(parameters, offset, hasSuperblock).start).toBe(start);
    }
  });

  it('refuses what nothing has room for', () => {
    expect(() => dmVerityLayout({ ...parameters, dataBlocks: 0 }, 0, true)).toThrow('Hash area overflow.');
    expect(() => dmVerityLayout({ ...parameters, dataBlocks: 2 ** 52 }, 0, true)).toThrow(
      'Device offset overflow.',
    );
    expect(() => dmVerityLayout(parameters, 2 ** 53, true)).toThrow('Device offset overflow.');
  });
});
