import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writeDump } from '../../../src/core/dumpfile/write.ts';
import { memorySource } from '../../../src/core/erofs/image-source.ts';
import { readImage } from '../../../src/core/erofs/reader.ts';
import { compareTrees, describeDifference } from '../../../src/core/fs/compare.ts';
import { dumpOf, imageOf, treeOf } from '../../composefs-vectors.ts';
import { dumpFiles } from '../../random-dump.ts';

describe('any tree', () => {
  it('comes back from its image, and the image from what came back', () => {
    fc.assert(
      fc.property(dumpFiles, fc.constantFrom(0, 1), (dump, version) => {
        const versions = { minVersion: version, maxVersion: version };
        const image = imageOf(treeOf(dump), versions);
        const text = dumpOf(readImage(memorySource(image)));
        const again = imageOf(treeOf(text), versions);
        expect(Buffer.from(again).equals(image)).toBe(true);
        expect(dumpOf(readImage(memorySource(again)))).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  it('differs from itself in nothing, and from a changed one in what was changed', () => {
    fc.assert(
      fc.property(dumpFiles, fc.nat(), (dump, pick) => {
        const tree = treeOf(dump);
        expect(compareTrees(tree, treeOf(dump))).toEqual([]);
        const lines = dump.split('\n').filter((line) => line !== '');
        const index = pick % lines.length;
        const fields = (lines[index] as string).split(' ');
        if (fields[2]?.startsWith('@')) return;
        fields[4] = String(Number(fields[4]) + 1);
        lines[index] = fields.join(' ');
        const differences = compareTrees(tree, treeOf(`${lines.join('\n')}\n`)).map(describeDifference);
        expect(differences).toHaveLength(1);
        expect(differences[0]).toContain(': uid is');
      }),
      { numRuns: 100 },
    );
  });

  it('is written without calling for anything twice', () => {
    fc.assert(
      fc.property(dumpFiles, (dump) => {
        let size = 0;
        writeDump(treeOf(dump), (text) => {
          size += text.length;
        });
        expect(size).toBe(dumpOf(treeOf(dump)).length);
      }),
      { numRuns: 20 },
    );
  });
});
