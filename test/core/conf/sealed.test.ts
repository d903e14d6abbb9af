import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { joinDemands, NO_DEMANDS } from '../../../src/core/conf/demands.ts';
import { parseSealed } from '../../../src/core/conf/sealed.ts';
import { goldenKey } from '../../deployed-disk.ts';

const parse = (text: string) => parseSealed(byteString(text), byteString('sealed.conf'));
const KEYS = `[keys]\ntrusted=${goldenKey('a')}\n`;

describe('parseSealed', () => {
  it('is strict where it says nothing', () => {
    const sealed = parse(KEYS);
    expect(sealed).toMatchObject({
      mode: 'signed',
      arguments: undefined,
      refusal: 'poweroff',
      revoked: [],
      demands: NO_DEMANDS,
      unsignedEtc: false,
    });
    expect(sealed.trusted.map(({ source }) => source)).toEqual(['sealed.conf']);
  });

  it('reads all that it can say', () => {
    const sealed = parse(
      `[sealed]\nmode = verity\narguments= root=* ;; quiet ;\nrefusal=shell\n[keys]\ntrusted=${goldenKey('a')};${goldenKey('b')};\nrevoked=${goldenKey('wrong')}\n[composefs]\nminimum-timestamp=2026-01-31T00:00:00+01:00\nrequire-metadata=a=1;b=x=y;\n[etc]\nunsigned = allow\n`,
    );
    expect(sealed).toMatchObject({
      mode: 'verity',
      arguments: ['root=*', 'quiet'],
      refusal: 'shell',
      unsignedEtc: true,
      demands: {
        minimumTimestamp: BigInt(Date.UTC(2026, 0, 30, 23)) / 1000n,
        metadata: [
          { key: 'a', value: '1' },
          { key: 'b', value: 'x=y' },
        ],
      },
    });
    expect([sealed.trusted.length, sealed.revoked.length]).toEqual([2, 1]);
  });

  it('names file, key and fault', () => {
    expect(() => parse('[sealed]\nmode=maybe\n')).toThrow(
      "sealed.conf: sealed.mode: expected signed or verity or yes, found 'maybe'",
    );
    expect(() => parse(`${KEYS}[composefs]\nminimum-timestamp=-5\n`)).toThrow(
      'composefs.minimum-timestamp: not a time',
    );
    expect(() => parse('mode=signed\n')).toThrow('sealed.conf: line 1: ');
  });
});

describe('joinDemands', () => {
  const at = (minimumTimestamp: bigint | undefined) => ({ minimumTimestamp, metadata: [] });
  it('takes the later time, and one time where there is but one', () => {
    for (const [a, b, later] of [
      [1n, 2n, 2n],
      [2n, 1n, 2n],
      [undefined, 1n, 1n],
      [1n, undefined, 1n],
      [undefined, undefined, undefined],
    ])
      expect(joinDemands(at(a), at(b)).minimumTimestamp).toBe(later);
  });
});

describe('conf/sealed.conf', () => {
  const text = readFileSync(new URL('../../../conf/sealed.conf', import.meta.url), 'latin1');

  it('says what holds if it is left as it is, besides the keys', () => {
    expect(() => parse(text)).toThrow('keys.trusted is missing');
    const example = text.replace('# trusted = BASE64;BASE64', `trusted = ${goldenKey('a')}`);
    const { arguments: allowed, trusted: _, ...rest } = parse(example);
    const { arguments: none, trusted: __, ...defaults } = parse(KEYS);
    expect(rest).toEqual(defaults);
    expect([allowed?.length, none]).toEqual([8, undefined]);
  });

  it('describes every key there is', () => {
    for (const key of [
      'mode',
      'arguments',
      'refusal',
      'trusted',
      'revoked',
      'minimum-timestamp',
      'require-metadata',
      'unsigned',
    ])
      expect(text).toMatch(new RegExp(`^(?:# )?${key} = `, 'm'));
  });
});
