import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesFromHex } from '../../../src/core/bytes/hex.ts';
import { portableHash } from '../../../src/core/hash.ts';
import { verifySignature } from '../../../src/core/sign/ed25519.ts';

interface Vector {
  readonly key: string;
  readonly message: string;
  readonly signature: string;
}

function load(name: string) {
  return JSON.parse(readFileSync(new URL(`../../vectors/ed25519/${name}.json`, import.meta.url), 'utf8'));
}

function accepts({ key, message, signature }: Vector): boolean {
  return verifySignature(bytesFromHex(key), bytesFromHex(signature), bytesFromHex(message), portableHash);
}

const RFC_8032 = load('rfc8032') as Vector[];

describe('verifySignature', () => {
  it.each(RFC_8032)('accepts the vector of RFC 8032 with the message $message', (vector) => {
    expect(accepts(vector)).toBe(true);
  });

  it('refuses a vector in which any one bit is another', () => {
    const parts = ['key', 'message', 'signature'] as const;
    const vector = RFC_8032[2] as Vector;
    fc.assert(
      fc.property(fc.constantFrom(...parts), fc.nat(), fc.nat(7), (part, place, bit) => {
        const data = bytesFromHex(vector[part]);
        data[place % data.length] = (data[place % data.length] as number) ^ (1 << bit);
        expect(accepts({ ...vector, [part]: Buffer.from(data).toString('hex') })).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  // The row of LibSodium in "Taming the Many EdDSAs", table 5; its library at 1.0.18 gives the same answers.
  it('answers as libsodium on the twelve edge cases of the paper', () => {
    expect((load('speccheck') as Vector[]).map(accepts)).toEqual([
      ...[false, false, false, true, false, false],
      ...[false, false, false, false, false, false],
    ]);
  });

  it('answers as libsodium 1.0.18 on all pairs of small, mixed and non-canonical points', () => {
    const { cases } = load('edge-cases') as { cases: (Vector & { name: string; accepted: boolean })[] };
    expect(cases.length).toBeGreaterThan(200);
    for (const vector of cases) expect(accepts(vector), JSON.stringify(vector)).toBe(vector.accepted);
  });

  it('refuses keys and signatures of another length', () => {
    const { key, message, signature } = RFC_8032[1] as Vector;
    expect(accepts({ key: key.slice(2), message, signature })).toBe(false);
    expect(accepts({ key: `${key}00`, message, signature })).toBe(false);
    expect(accepts({ key, message, signature: signature.slice(2) })).toBe(false);
    expect(accepts({ key, message, signature: `${signature}00` })).toBe(false);
  });
});
