/** fs-verity digests against fsverity 1.6 and against a second implementation that has the whole file. @module */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesFromHex, hexOf } from '../../../src/core/bytes/hex.ts';
import { DIGEST_SIZE, type HashName, portableHash } from '../../../src/core/hash.ts';
import {
  encodeDescriptor,
  type VerityParameters,
  verityParameters,
} from '../../../src/core/verity/descriptor.ts';
import { libcomposefsEmptyDigest, VerityHash, verityDigest } from '../../../src/core/verity/digest.ts';
import {
  BlockHasher,
  blockRule,
  MerkleTree,
  treeOffsets,
  treeShape,
} from '../../../src/core/verity/merkle.ts';
import { blockHash, hashByNative, opensslHash } from '../../../src/node/hash.ts';
import { builtNative } from '../../native-part.ts';
import { vectorBytes } from './vector-bytes.ts';

const rows = readFileSync(new URL('../../vectors/verity/digests.tsv', import.meta.url), 'latin1')
  .trimEnd()
  .split('\n')
  .slice(1)
  .map((line) => {
    const [algorithm, block, salt, size, digest] = line.split('\t') as [
      HashName,
      string,
      string,
      string,
      string,
    ];
    return { algorithm, blockSize: Number(block), salt: bytesFromHex(salt), size: Number(size), digest };
  });

describe('the digest', () => {
  it.each([
    { name: 'OpenSSL', hash: opensslHash, limit: Number.POSITIVE_INFINITY },
    { name: "OpenSSL's functions for blocks", hash: blockHash(), limit: Number.POSITIVE_INFINITY },
    { name: 'the native part', hash: hashByNative(builtNative()), limit: Number.POSITIVE_INFINITY },
    { name: 'noble', hash: portableHash, limit: 200_000 },
  ])('is that of fsverity 1.6, computed with $name', ({ hash, limit }) => {
    const wrong = rows.filter(
      ({ size, digest, ...options }) =>
        size <= limit && hexOf(verityDigest(hash, vectorBytes(size), options)) !== digest,
    );
    expect(wrong).toEqual([]);
  });

  it('is that of fsverity 1.6 when others hash the blocks', () => {
    const wrong = rows.filter(({ size, digest, ...options }) => {
      const parameters = verityParameters(options);
      const tree = new MerkleTree(new BlockHasher(opensslHash, blockRule(parameters)), treeShape(parameters));
      tree.addLeaves(leavesOf(vectorBytes(size), parameters));
      const descriptor = encodeDescriptor(parameters, size, tree.root());
      return hexOf(opensslHash.digest(parameters.algorithm, descriptor)) !== digest;
    });
    expect(wrong).toEqual([]);
  });

  it('is that of fsverity 1.6 of files that are there as a whole, whatever stands behind them', () => {
    let files = 0;
    const wrong = rows.filter(({ size, digest, ...options }) => {
      const verity = new VerityHash(blockHash(), options);
      if (size === 0 || size > verity.wholeLimit) return false;
      files++;
      const data = new Uint8Array(size + options.blockSize).fill(0xff);
      data.set(vectorBytes(size));
      const descriptor = verity.wholeDescriptor(data, size);
      return hexOf(opensslHash.digest(options.algorithm, descriptor)) !== digest;
    });
    expect(wrong).toEqual([]);
    expect(files).toBeGreaterThan(rows.length / 2);
  });

  it('does not depend on the pieces the data comes in', () => {
    const pieces = fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 20 });
    fc.assert(
      fc.property(pieces, fc.constantFrom(1024, 4096), (lengths, blockSize) => {
        const data = vectorBytes(lengths.reduce((sum, length) => sum + length, 0));
        const verity = new VerityHash(opensslHash, { blockSize });
        let at = 0;
        for (const length of lengths) {
          verity.update(data.subarray(at, at + length));
          at += length;
        }
        expect(hexOf(verity.digest())).toBe(naiveDigest(data, verityParameters({ blockSize })));
      }),
    );
  });

  it('is what a naive implementation computes', () => {
    const options = fc.record({
      algorithm: fc.constantFrom<HashName>('sha256', 'sha512'),
      blockSize: fc.constantFrom(128, 256, 1024, 4096),
      salt: fc.uint8Array({ maxLength: 32 }),
    });
    fc.assert(
      fc.property(options, fc.integer({ min: 0, max: 70_000 }), (parameters, size) => {
        const data = vectorBytes(size);
        expect(hexOf(verityDigest(opensslHash, data, parameters))).toBe(naiveDigest(data, parameters));
      }),
    );
  });

  it('can be computed of one file after another', () => {
    const verity = new VerityHash(opensslHash);
    for (const size of [600_000, 5000, 0, 4096, 3, 600_000]) {
      verity.update(vectorBytes(size));
      expect(hexOf(verity.digest())).toBe(naiveDigest(vectorBytes(size), verityParameters()));
    }
    verity.update(vectorBytes(600_000));
    verity.reset();
    verity.update(vectorBytes(10));
    expect(hexOf(verity.digest())).toBe(naiveDigest(vectorBytes(10), verityParameters()));
  });

  // Expected: composefs-info measure-file of composefs 1.0.8 on an empty file.
  it('of an empty file is another in libcomposefs', () => {
    expect(hexOf(libcomposefsEmptyDigest(portableHash))).toBe(
      'cfc3391077edfd51859f6e5e16e03f82b1da3ee1a35d418b0d0b3b57740b4405',
    );
  });
});

describe('the parameters', () => {
  // Texts: fsverity 1.6.
  it.each([
    { blockSize: 32, message: 'block size (32) too small for hash algorithm sha256' },
    { algorithm: 'sha512', blockSize: 64, message: 'block size (64) too small for hash algorithm sha512' },
    { salt: new Uint8Array(33), message: 'unsupported salt size (33)' },
    { blockSize: 5000, message: 'block size (5000) is not a power of 2 up to 1073741824' },
    { blockSize: 0, message: 'block size (0) is not a power of 2 up to 1073741824' },
    { blockSize: 2 ** 31, message: 'block size (2147483648) is not a power of 2 up to 1073741824' },
  ] as const)('are refused: $message', ({ message, ...options }) => {
    expect(() => verityParameters(options)).toThrow(message);
  });
});

describe('the descriptor', () => {
  it('holds sizes beyond 32 bits', () => {
    const descriptor = encodeDescriptor(verityParameters(), 2 ** 53 - 1, new Uint8Array(32));
    expect(hexOf(descriptor.subarray(8, 16))).toBe('ffffffffffff1f00');
  });

  it('refuses a root of the wrong length', () => {
    const call = () => encodeDescriptor(verityParameters({ algorithm: 'sha512' }), 1, new Uint8Array(32));
    expect(call).toThrow('sha512 root hash has 32 bytes, not 64');
  });
});

describe('the tree in a file', () => {
  it('has its blocks where they are said to be, hashing into each other', () => {
    const parameters = verityParameters({ blockSize: 1024, salt: vectorBytes(7) });
    const data = vectorBytes(1_500_000);
    const offsets = treeOffsets(data.length, parameters);
    const file = new Map<number, Uint8Array>();
    const verity = new VerityHash(opensslHash, parameters, (level, index, block) => {
      file.set((offsets[level] as number) + index * 1024, block.slice());
    });
    verity.update(data);
    verity.digest();
    // 1465 data blocks, 46 blocks of their hashes, 2 above, 1 at the top.
    expect([offsets, file.size]).toEqual([[3072, 1024, 0], 49]);
    const level1 = Buffer.concat([file.get(1024) as Uint8Array, file.get(2048) as Uint8Array]);
    const level0 = Buffer.concat([...Array(46).keys()].map((i) => file.get(3072 + i * 1024) as Uint8Array));
    expect(hexOf(leavesOf(level0, parameters))).toBe(hexOf(level1.subarray(0, 46 * 32)));
    expect(hexOf(leavesOf(data, parameters))).toBe(hexOf(level0.subarray(0, 1465 * 32)));
  });

  it('is not there for files of one block', () => {
    expect(treeOffsets(0, verityParameters())).toEqual([]);
    expect(treeOffsets(4096, verityParameters())).toEqual([]);
    expect(treeOffsets(4097, verityParameters())).toEqual([0]);
  });
});

function leavesOf(data: Uint8Array, parameters: VerityParameters): Uint8Array {
  const blocks = Math.ceil(data.length / parameters.blockSize);
  const leaves = new Uint8Array(blocks * DIGEST_SIZE[parameters.algorithm]);
  expect(new BlockHasher(opensslHash, blockRule(parameters)).hashAllInto(data, leaves, 0)).toBe(blocks);
  return leaves;
}

/** Straight from the kernel's documentation, with everything in memory. */
function naiveDigest(data: Uint8Array, { algorithm, blockSize, salt }: VerityParameters): string {
  const padded = Buffer.alloc(
    Math.ceil(salt.length / (algorithm === 'sha256' ? 64 : 128)) * (algorithm === 'sha256' ? 64 : 128),
  );
  padded.set(salt);
  const digest = (...parts: Uint8Array[]) => createHash(algorithm).update(Buffer.concat(parts)).digest();
  let level: Uint8Array = data;
  let root: Uint8Array = new Uint8Array(DIGEST_SIZE[algorithm]);
  while (level.length > 0) {
    const hashes: Uint8Array[] = [];
    for (let at = 0; at < level.length; at += blockSize) {
      const block = Buffer.alloc(blockSize);
      block.set(level.subarray(at, at + blockSize));
      hashes.push(digest(padded, block));
    }
    root = hashes[0] as Uint8Array;
    level = hashes.length === 1 ? new Uint8Array(0) : Buffer.concat(hashes);
  }
  const descriptor = Buffer.alloc(256);
  descriptor.set([1, algorithm === 'sha256' ? 1 : 2, Math.log2(blockSize), salt.length]);
  descriptor.writeBigUInt64LE(BigInt(data.length), 8);
  descriptor.set(root, 16);
  descriptor.set(salt, 80);
  return digest(descriptor).toString('hex');
}
