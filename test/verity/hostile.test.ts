/** Devices whose superblock, tree or parity is not what it says: each is verified, found wrong or refused, and nothing else. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { SealtreeError } from '../../src/core/errors.ts';
import { type FormatOptions, formatVerity } from '../../src/verity/format.ts';
import { openVerity, verifyVerity } from '../../src/verity/verify.ts';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const folder = scratchDirectory('hostile-verity');
const place = (name: string) => byteString(join(folder, name));
afterAll(() => removeDirectory(folder));

const OPTIONS: FormatOptions = {
  hashType: 1,
  algorithm: 'sha256',
  dataBlockSize: 512,
  hashBlockSize: 512,
  dataBlocks: 0,
  salt: vectorBytes(32),
  hashOffset: 0,
  hasSuperblock: true,
  uuid: '12345678-9abc-def0-1234-56789abcdef0',
  fecOffset: 0,
  fec: { path: place('f'), offset: 0, roots: 2 },
  warn: () => {},
};

/** @returns whether all was found right */
async function isRight(root: Uint8Array): Promise<boolean> {
  const device = openVerity(place('d'), place('h'), OPTIONS, 0);
  try {
    const found = await verifyVerity(device, root, OPTIONS.fec);
    return found.fault === undefined;
  } finally {
    device.close();
  }
}

describe('a device', async () => {
  writeFileSync(join(folder, 'd'), vectorBytes(40_000));
  const { root } = await formatVerity(place('d'), place('h'), OPTIONS);
  const original = Object.fromEntries(
    ['d', 'h', 'f'].map((name) => [name, readFileSync(join(folder, name))]),
  );

  it('that was made is right', async () => {
    expect(await isRight(root)).toBe(true);
  });

  it('of which anything was changed or cut off is not right, unless that is never read', async () => {
    const damage = fc.record({
      name: fc.constantFrom('h', 'h', 'h', 'd', 'f'),
      // Mostly in the superblock, which is all that is believed before anything is hashed.
      places: fc.array(fc.tuple(fc.oneof(fc.nat(120), fc.nat(45_000)), fc.nat(255)), { maxLength: 4 }),
      cut: fc.option(fc.nat(45_000), { freq: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(damage, async ({ name, places, cut }) => {
        for (const [file, content] of Object.entries(original)) writeFileSync(join(folder, file), content);
        const content = Buffer.from(original[name] as Buffer);
        for (const [at, value] of places) if (at < content.length) content[at] = value;
        const damaged = content.subarray(0, cut ?? content.length);
        writeFileSync(join(folder, name), damaged);
        let right: boolean;
        try {
          right = await isRight(root);
        } catch (error) {
          expect(error).toBeInstanceOf(SealtreeError);
          expect((error as SealtreeError).code).not.toBe('internal');
          return;
        }
        if (!right) return;
        const before = original[name] as Buffer;
        // Parity is not asked while all is right; the data has a part of a block at its end; the rest of a superblock
        // (its UUID, what is behind the salt) is in no hash.
        const read = { d: 39_936, h: before.length, f: 0 }[name] ?? 0;
        const start = name === 'h' ? 512 : 0;
        expect(Buffer.compare(damaged.subarray(start, read), before.subarray(start, read))).toBe(0);
      }),
      { numRuns: 400 },
    );
  });
});
