import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inflateRaw } from '../../src/node/inflate.ts';

function* cut(data: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

function inflate(data: Uint8Array, size: number): { content: Buffer; length: number } {
  const pieces = inflateRaw(cut(data, size));
  const content: Buffer[] = [];
  let piece = pieces.next();
  for (; piece.done !== true; piece = pieces.next()) content.push(Buffer.from(piece.value));
  return { content: Buffer.concat(content), length: piece.value };
}

/** Content around the size of one piece of output, compressible and not. */
const CONTENT = fc.oneof(
  fc.uint8Array({ maxLength: 2000 }),
  fc.tuple(fc.nat(300_000), fc.nat(255)).map(([size, byte]) => new Uint8Array(size).fill(byte)),
);

// The other side is deflateRaw of Node's zlib.
describe('inflating piece by piece', () => {
  it('gives back what was deflated, and says where it ended', () => {
    const property = fc.property(
      CONTENT,
      fc.integer({ min: 1, max: 5000 }),
      fc.nat(20),
      (content, size, extra) => {
        const deflated = deflateRawSync(content);
        const found = inflate(Buffer.concat([deflated, Buffer.alloc(extra, 0x55)]), size);
        expect(found.content.equals(content)).toBe(true);
        expect(found.length).toBe(deflated.length);
      },
    );
    fc.assert(property, { numRuns: 60 });
  });

  it('refuses what is cut short', () => {
    const property = fc.property(
      CONTENT,
      fc.integer({ min: 1, max: 5000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (content, size, part) => {
        const deflated = deflateRawSync(content);
        const short = deflated.subarray(0, Math.floor(deflated.length * part));
        expect(() => inflate(short, size)).toThrow(/^Need more input$/);
      },
    );
    fc.assert(property, { numRuns: 60 });
  });

  it('refuses what is no deflate stream, and works on afterwards', () => {
    expect(() => inflate(Uint8Array.of(0xff, 0xff, 0xff), 2)).toThrow(/^Invalid compressed data$/);
    expect(inflate(deflateRawSync(Buffer.from('sound')), 3).content.toString()).toBe('sound');
  });

  it('can be left half way and be begun again', () => {
    const deflated = deflateRawSync(new Uint8Array(1_000_000));
    for (const piece of inflateRaw([deflated])) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    expect(inflate(deflated, 100).content.length).toBe(1_000_000);
  });
});
