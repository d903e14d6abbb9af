/** Error correction against a second implementation, and against damage. @module */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkFec, encodeFec, fecGeometry, paritySize } from '../../../src/core/dm-verity/fec.ts';
import { correct } from '../../../src/core/dm-verity/reed-solomon.ts';
import { vectorBytes } from '../verity/vector-bytes.ts';
import { plainParity } from './oracle.ts';

const reader = (data: Uint8Array) => (offset: number, target: Uint8Array) => {
  if (offset + target.length > data.length) return false;
  target.set(data.subarray(offset, offset + target.length));
  return true;
};

function make(covered: Uint8Array, blockSize: number, roots: number) {
  const sizes = { dataBlockSize: blockSize, hashBlockSize: blockSize };
  const geometry = fecGeometry(sizes, covered.length / blockSize, roots);
  const parity: Uint8Array[] = [];
  encodeFec(geometry, reader(covered), (piece) => parity.push(piece.slice()));
  return { geometry, parity: Buffer.concat(parity) };
}

const shape = fc.record({
  roots: fc.integer({ min: 2, max: 24 }),
  blocks: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 230, max: 300 })),
});

describe('parity', () => {
  it('is that of a second implementation', () => {
    fc.assert(
      fc.property(shape, ({ roots, blocks }) => {
        const covered = vectorBytes(blocks * 512);
        const { parity, geometry } = make(covered, 512, roots);
        expect(parity.length).toBe(paritySize(geometry));
        expect(Buffer.compare(parity, plainParity(covered, 512, roots))).toBe(0);
      }),
      { numRuns: 15 },
    );
  });

  it('puts right as many bytes of a codeword as half its roots, wherever they are', () => {
    fc.assert(
      fc.property(shape, fc.infiniteStream(fc.nat()), ({ roots, blocks }, numbers) => {
        const covered = Uint8Array.from(vectorBytes(blocks * 512));
        const { parity, geometry } = make(covered, 512, roots);
        const original = covered.slice();
        const next = () => numbers.next().value as number;
        const column = next() % geometry.rowSize;
        const places = new Set<number>();
        while (places.size < Math.floor(roots / 2)) places.add(next() % 255);
        let damage = 0;
        let inData = 0;
        for (const place of places) {
          const change = (next() % 255) + 1;
          const rows = 255 - roots;
          const at = place < rows ? place * geometry.rowSize + column : column * roots + place - rows;
          const target = place < rows ? covered : parity;
          // Behind the end of what is covered zeros are taken for granted.
          if (at >= target.length) continue;
          target[at] = (target[at] as number) ^ change;
          damage++;
          if (place < rows) inData++;
        }
        const repaired = covered.slice();
        let heard = 0;
        const found = checkFec(geometry, reader(covered), reader(parity), (offset, value) => {
          repaired[offset] = value;
          heard++;
        });
        expect(found).toBe(damage);
        expect(heard).toBe(inData);
        expect(Buffer.compare(repaired, original)).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  it('says which block cannot be put right', () => {
    const covered = Uint8Array.from(vectorBytes(600 * 512));
    const { parity, geometry } = make(covered, 512, 2);
    for (const row of [3, 9]) {
      const at = row * geometry.rowSize + 700;
      covered[at] = (covered[at] as number) ^ 1;
    }
    expect(() => checkFec(geometry, reader(covered), reader(parity))).toThrow(
      'Failed to repair parity for block 1.',
    );
  });

  it('refuses what ends too early, and parameters that the kernel refuses', () => {
    const covered = vectorBytes(300 * 512);
    const { parity, geometry } = make(covered, 512, 2);
    expect(() => checkFec(geometry, reader(covered.slice(0, -1)), reader(parity))).toThrow(
      'Failed to read RS block 0 byte 149.',
    );
    expect(() => checkFec(geometry, reader(covered), reader(parity.subarray(1)))).toThrow(
      'Failed to read parity for RS block 0.',
    );
    expect(() => fecGeometry({ dataBlockSize: 512, hashBlockSize: 1024 }, 1, 2)).toThrow(
      'Block sizes must match',
    );
    for (const roots of [0, 1, 25]) {
      expect(() => fecGeometry({ dataBlockSize: 512, hashBlockSize: 512 }, 1, roots)).toThrow(
        'Invalid number of parity bytes.',
      );
    }
  });
});

it('a codeword of nothing right is refused, or taken for another one', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 255, maxLength: 255 }),
      fc.integer({ min: 2, max: 24 }),
      (word, roots) => {
        const codeword = word.slice();
        const errors = correct(codeword, roots);
        if (errors === undefined) return;
        expect(errors).toBeLessThanOrEqual(roots);
        expect(correct(codeword, roots) ?? 0).toBeLessThanOrEqual(roots);
      },
    ),
  );
});
