/** GVariant against GLib: test/vectors/gvariant/ORIGIN.md. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteString, utf8ByteString } from '../../../src/core/bytes/byte-string.ts';
import { bytesFromHex, hexOf } from '../../../src/core/bytes/hex.ts';
import { SealtreeError } from '../../../src/core/errors.ts';
import { byteswapped } from '../../../src/core/gvariant/byteswap.ts';
import { decodeVariant } from '../../../src/core/gvariant/decode.ts';
import { encodeVariant } from '../../../src/core/gvariant/encode.ts';
import { parseVariant } from '../../../src/core/gvariant/text-parse.ts';
import { printVariant } from '../../../src/core/gvariant/text-print.ts';
import { isTypeString, parseType } from '../../../src/core/gvariant/type.ts';
import type { Value, Variant } from '../../../src/core/gvariant/value.ts';
import { attempt } from '../../attempt.ts';

interface TextVector {
  readonly text: string;
  readonly type?: string;
  readonly hex?: string;
  readonly plain?: string;
  readonly full?: string;
  readonly error?: string;
}

interface BytesVector {
  readonly type: string;
  readonly hex: string;
  readonly full: string | null;
}

function vectors<T>(name: string): T[] {
  return JSON.parse(readFileSync(new URL(`../../vectors/gvariant/${name}`, import.meta.url), 'utf8'));
}

describe('GVariant text', () => {
  const all = vectors<TextVector>('text.json');

  it('means the values that GLib reads in it', () => {
    const accepted = all.filter(({ error }) => error === undefined);
    expect(accepted.length).toBeGreaterThan(150);
    for (const { text, type, hex, plain, full } of accepted) {
      const variant = parseVariant(utf8ByteString(text));
      expect(
        {
          type: variant.type,
          hex: hexOf(encodeVariant(variant.type, variant.value)),
          plain: printVariant(variant.type, variant.value),
          full: printVariant(variant.type, variant.value, { annotate: true }),
        },
        text,
      ).toEqual({
        type,
        hex,
        plain: utf8ByteString(plain as string),
        full: utf8ByteString(full as string),
      });
    }
  });

  it('is refused in the words of GLib', () => {
    const refused = all.filter(({ error }) => error !== undefined);
    expect(refused.length).toBeGreaterThan(500);
    for (const { text, error } of refused) {
      expect(
        attempt(() => parseVariant(utf8ByteString(text))),
        text,
      ).toEqual({ error });
    }
  });

  it('is refused when it nests too deeply, and is not followed further', () => {
    const deep = (open: string, close: string, count: number) =>
      byteString(`${open.repeat(count)}1${close.repeat(count)}`);
    // 127 brackets and the number are 128 levels.
    expect(parseVariant(deep('[', ']', 127)).type).toBe(`${'a'.repeat(127)}i`);
    expect(() => parseVariant(deep('[', ']', 128))).toThrow(/^128:variant nested too deeply$/);
    expect(() => parseVariant(deep('<', '>', 100_000))).toThrow(/variant nested too deeply/);
    expect(() => parseVariant(byteString(`@${'m'.repeat(200)}i 1`))).toThrow(/invalid type declaration/);
  });

  it('prints the numbers that C prints', () => {
    // Expected: printf("%.17g") of glibc 2.36.
    const doubles: [number, string][] = [
      [0.1, '0.10000000000000001'],
      [1e16, '10000000000000000.0'],
      [1e17, '1e+17'],
      [0.0001, '0.0001'],
      [0.00001, '1.0000000000000001e-05'],
      [1.5 + 2 ** -17, '1.5000076293945312'],
      [5e-324, '4.9406564584124654e-324'],
      [1.7976931348623157e308, '1.7976931348623157e+308'],
      [-0, '-0.0'],
      [Number.NaN, 'nan'],
      [123456, '123456.0'],
      [Number.NEGATIVE_INFINITY, '-inf'],
    ];
    for (const [value, text] of doubles) expect(printVariant('d', value)).toBe(text);
  });
});

describe('GVariant bytes', () => {
  it('are accepted in normal form only, and then are what GLib prints', () => {
    for (const { type, hex, full } of vectors<BytesVector>('bytes.json')) {
      const data = bytesFromHex(hex);
      const decoded = attempt(() => decodeVariant(type, data, 'value'));
      if ('error' in decoded) {
        expect(full, `${type} ${hex}: ${decoded.error}`).toBeNull();
        expect(decoded.error).toMatch(/^value: Not normal form \(offset \d+: /);
      } else {
        expect(printVariant(type, decoded.value, { annotate: true }), `${type} ${hex}`).toBe(full);
        expect(hexOf(encodeVariant(type, decoded.value))).toBe(hex);
      }
    }
  });

  // Expected: the GVariant specification, section 2.3.6: the offsets count themselves.
  it('have framing offsets as wide as the whole needs', () => {
    const array = (count: number) =>
      encodeVariant(
        'as',
        Array.from({ length: count }, () => byteString('x')),
      );
    expect(array(85).length).toBe(255);
    expect(array(86).length).toBe(86 * 2 + 86 * 2);
    expect(array(16383).length).toBe(16383 * 4);
    expect(array(16384).length).toBe(16384 * 6);
    for (const count of [0, 1, 85, 86, 16383, 16384]) {
      const decoded = decodeVariant('as', array(count), 'array') as Value[];
      expect(decoded.length).toBe(count);
    }
  });

  it('come back from any value', () => {
    fc.assert(
      fc.property(anyVariant(3), ({ type, value }) => {
        const data = encodeVariant(type, value);
        const again = decodeVariant(type, data, 'value');
        expect(hexOf(encodeVariant(type, again))).toBe(hexOf(data));
        expect(again).toEqual(value);
        const text = printVariant(type, value, { annotate: true });
        expect(printVariant('v', { type, value })).toBe(`<${text}>`);
      }),
    );
  });

  it('are refused when variants nest too deeply', () => {
    let variant: Variant = { type: 'y', value: 1 };
    for (let i = 0; i < 126; i++) variant = { type: 'v', value: variant };
    const data = encodeVariant('v', variant);
    expect(printVariant('v', decodeVariant('v', data, 'value'))).toBe(
      `${'<'.repeat(127)}byte 0x01${'>'.repeat(127)}`,
    );
    expect(() => encodeVariant('v', { type: 'v', value: { type: 'v', value: variant } })).toThrow(
      /nests deeper/,
    );
    // Each level is its content, a zero and the letter v.
    const deeper = [...data, 0, 0x76, 0, 0x76, 0, 0x76];
    expect(() => decodeVariant('v', Uint8Array.from(deeper), 'value')).toThrow(
      /nested deeper than 128 levels/,
    );
  });

  it('cannot be made of a value of another type', () => {
    const cases: [string, Value][] = [
      ['y', 256],
      ['y', -1],
      ['u', 1.5],
      ['x', 1],
      ['b', 1],
      ['s', byteString('\xff')],
      ['s', byteString('a\0')],
      ['o', byteString('a')],
      ['g', byteString('a')],
      // D-Bus knows no maybes: g_variant_is_signature of GLib 2.90.1.
      ['g', byteString('ma{sv}')],
      ['as', byteString('a')],
      ['(ii)', [1]],
      ['ay', [1]],
      ['mi', [1, 2]],
      ['v', 1],
      ['s', 1],
    ];
    for (const [type, value] of cases) expect(() => encodeVariant(type, value), type).toThrow(SealtreeError);
  });
});

describe('byteswapped', () => {
  it('turns every number round, in variants too, and nothing else', () => {
    const value: Value = [
      7,
      7n,
      new Uint8Array([1, 2]),
      { type: 'an', value: [1, -2] },
      byteString('x'),
      true,
    ];
    expect(byteswapped('(utayvsb)', value)).toEqual([
      0x07000000,
      0x0700000000000000n,
      new Uint8Array([1, 2]),
      { type: 'an', value: [256, -257] },
      'x',
      true,
    ]);
  });
});

describe('type strings', () => {
  // Expected: g_variant_type_string_is_valid and g_variant_type_is_definite of GLib 2.90.1.
  it.each([
    ['a{sv}', true],
    ['(a{sv}aya(say)sstayay)', true],
    ['()', true],
    ['{si}', true],
    ['a{vs}', false],
    ['a{(i)s}', false],
    ['{s}', false],
    ['{sss}', false],
    ['', false],
    ['a', false],
    ['(i', false],
    ['ii', false],
    ['a*', false],
    ['z', false],
    [`${'a'.repeat(127)}i`, true],
    [`${'a'.repeat(128)}i`, false],
  ])('%s', (text, valid) => {
    expect(isTypeString(text)).toBe(valid);
  });

  // Expected: the GVariant specification, section 2.4.
  it.each([
    ['(yu)', 4, 8],
    ['(ty)', 8, 16],
    ['(yyy)', 1, 3],
    ['()', 1, 1],
    ['(ys)', 1, 0],
    ['a{sv}', 8, 0],
    ['{yt}', 8, 16],
    ['m(yu)', 4, 0],
  ])('%s has alignment %i and size %i', (text, alignment, fixedSize) => {
    expect(parseType(text)).toMatchObject({ alignment, fixedSize });
  });
});

/** Any type and a value of it; doubles are left to the other tests, for NaN has many forms. */
function anyVariant(depth: number): fc.Arbitrary<Variant> {
  const basic: fc.Arbitrary<Variant>[] = [
    fc.boolean().map((value) => ({ type: 'b', value })),
    fc.integer({ min: 0, max: 255 }).map((value) => ({ type: 'y', value })),
    fc.integer({ min: -0x8000, max: 0x7fff }).map((value) => ({ type: 'n', value })),
    fc.integer().map((value) => ({ type: 'i', value })),
    fc.nat().map((value) => ({ type: 'u', value })),
    fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }).map((value) => ({ type: 't', value })),
    fc
      .string({ unit: 'grapheme' })
      .map((text) => ({ type: 's', value: utf8ByteString(text.replaceAll('\0', '')) })),
    fc.uint8Array({ maxLength: 40 }).map((value) => ({ type: 'ay', value })),
  ];
  if (depth === 0) return fc.oneof(...basic);
  const inner = anyVariant(depth - 1);
  return fc.oneof(
    ...basic,
    inner.map((child) => ({ type: 'v', value: child })),
    inner.map(({ type, value }) => ({ type: `m${type}`, value: [value] })),
    inner.map(({ type }) => ({ type: `m${type}`, value: [] })),
    fc.array(inner, { maxLength: 5 }).map((members) => ({
      type: `(${members.map(({ type }) => type).join('')})`,
      value: members.map(({ value }) => value),
    })),
    fc
      .tuple(inner, fc.nat(6))
      .filter(([{ type }]) => type !== 'y')
      .map(([{ type, value }, count]) => ({ type: `a${type}`, value: new Array<Value>(count).fill(value) })),
    fc
      .array(fc.tuple(fc.nat(), inner), { maxLength: 4 })
      .map((entries) => ({ type: 'a{uv}', value: entries.map(([key, value]) => [key, value]) })),
  );
}
