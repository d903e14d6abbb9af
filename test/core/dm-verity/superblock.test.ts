/** The superblock of dm-verity: what goes in comes out, and what cannot be used is refused. @module */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeSuperblock,
  encodeSuperblock,
  type Superblock,
} from '../../../src/core/dm-verity/superblock.ts';

const SIZES: Readonly<Record<string, number>> = { sha256: 32, sha512: 64, 'blake2b-512': 64 };
const sizeOf = (name: string) => SIZES[name];

const superblock = fc.record<Superblock>({
  hashType: fc.constantFrom(0, 1),
  uuid: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  algorithm: fc.constantFrom(...Object.keys(SIZES)),
  digestSize: fc.constant(0),
  dataBlockSize: fc.integer({ min: 9, max: 19 }).map((bits) => 2 ** bits),
  hashBlockSize: fc.integer({ min: 9, max: 19 }).map((bits) => 2 ** bits),
  dataBlocks: fc.maxSafeNat(),
  salt: fc.uint8Array({ maxLength: 256 }),
});

describe('a superblock', () => {
  it('is read back as it was written', () => {
    fc.assert(
      fc.property(superblock, (some) => {
        const written = encodeSuperblock(some);
        expect(written.length).toBe(512);
        expect(decodeSuperblock(written, sizeOf)).toEqual({ ...some, digestSize: sizeOf(some.algorithm) });
      }),
    );
  });

  it('is none without its signature', () => {
    expect(decodeSuperblock(new Uint8Array(512), sizeOf)).toBeUndefined();
  });

  it('has its algorithm in lower case, for the kernel', () => {
    const [some] = fc.sample(superblock, 1) as [Superblock];
    const written = encodeSuperblock({ ...some, algorithm: 'SHA256' });
    expect(decodeSuperblock(written, sizeOf)?.algorithm).toBe('sha256');
  });

  it.each([
    ['version', 8, 2, 'Unsupported VERITY version 2.'],
    ['hash type', 12, 2, 'Unsupported VERITY hash type 2.'],
    ['data block size', 65, 0x11, 'Unsupported VERITY block size.'],
    ['hash block size', 71, 1, 'Unsupported VERITY block size.'],
    ['algorithm', 32, 0x78, 'Hash algorithm xha256 not supported.'],
    ['salt size', 81, 2, 'VERITY header corrupted.'],
  ])('with a wrong %s is refused in the words of cryptsetup', (_, at, value, message) => {
    const written = encodeSuperblock({
      hashType: 1,
      uuid: new Uint8Array(16),
      algorithm: 'sha256',
      digestSize: 32,
      dataBlockSize: 4096,
      hashBlockSize: 4096,
      dataBlocks: 1,
      salt: new Uint8Array(1),
    });
    written[at] = value;
    expect(() => decodeSuperblock(written, sizeOf)).toThrow(message);
  });

  it('of any bytes is read or refused', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 504, maxLength: 504 }),
        superblock,
        fc.nat(503),
        (bytes, some, at) => {
          const data = encodeSuperblock(some);
          data.set(bytes.subarray(at), 8 + at);
          try {
            expect(decodeSuperblock(data, sizeOf)?.salt.length).toBeLessThanOrEqual(256);
          } catch (error) {
            expect(error).toMatchObject({ code: 'malformed' });
          }
        },
      ),
    );
  });
});
