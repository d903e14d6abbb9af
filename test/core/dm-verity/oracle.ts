/** dm-verity in the plainest way: all levels at once in memory, hashes by node:crypto. @module */
import { createHash } from 'node:crypto';
import type { DmVerityParameters } from '../../../src/core/dm-verity/layout.ts';

/** The tree, level of one block first as it lies on disk, and the root. */
export function plainTree(data: Uint8Array, parameters: DmVerityParameters): { tree: Buffer; root: Buffer } {
  const { hashType, algorithm, digestSize, dataBlockSize, hashBlockSize, salt } = parameters;
  const hash = (block: Uint8Array) => {
    const parts = hashType === 1 ? [salt, block] : [block, salt];
    return createHash(algorithm).update(Buffer.concat(parts)).digest();
  };
  let perBlock = 1;
  while (perBlock * 2 * digestSize <= hashBlockSize) perBlock *= 2;
  const slot = hashType === 1 ? hashBlockSize / perBlock : digestSize;
  const blocksOf = (bytes: Uint8Array, size: number) =>
    Array.from({ length: bytes.length / size }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
  const levels: Buffer[] = [];
  let hashes = blocksOf(data, dataBlockSize).map(hash);
  while (hashes.length > 1) {
    const level = Buffer.alloc(Math.ceil(hashes.length / perBlock) * hashBlockSize);
    for (const [i, digest] of hashes.entries()) {
      digest.copy(level, Math.floor(i / perBlock) * hashBlockSize + (i % perBlock) * slot);
    }
    levels.unshift(level);
    hashes = blocksOf(level, hashBlockSize).map(hash);
  }
  return { tree: Buffer.concat(levels), root: hashes[0] as Buffer };
}

/** Parity in the plainest way: codeword by codeword, divided by the generator as a polynomial. */
export function plainParity(covered: Uint8Array, blockSize: number, roots: number): Buffer {
  const rows = 255 - roots;
  const rowSize = Math.ceil(covered.length / blockSize / rows) * blockSize;
  const generator = generatorOf(roots);
  const out = Buffer.alloc(rowSize * roots);
  for (let column = 0; column < rowSize; column++) {
    const remainder = new Array<number>(255).fill(0);
    for (let i = 0; i < rows; i++) remainder[i] = covered[i * rowSize + column] ?? 0;
    for (let i = 0; i < rows; i++) {
      const factor = remainder[i] as number;
      for (const [j, coefficient] of generator.entries()) {
        remainder[i + j] = (remainder[i + j] as number) ^ slowMultiply(factor, coefficient);
      }
    }
    for (let i = 0; i < roots; i++) out[column * roots + i] = remainder[rows + i] as number;
  }
  return out;
}

/** Coefficients of (x - α⁰) … (x - α^(roots-1)), highest first. */
function generatorOf(roots: number): number[] {
  let generator = [1];
  let power = 1;
  for (let i = 0; i < roots; i++, power = slowMultiply(power, 2)) {
    const shifted = [...generator, 0];
    for (const [j, coefficient] of generator.entries()) {
      shifted[j + 1] = (shifted[j + 1] as number) ^ slowMultiply(coefficient, power);
    }
    generator = shifted;
  }
  return generator;
}

function slowMultiply(a: number, b: number): number {
  let product = 0;
  for (let x = a, y = b; y > 0; y >>= 1) {
    if (y & 1) product ^= x;
    x = x & 0x80 ? (x << 1) ^ 0x11d : x << 1;
  }
  return product;
}
