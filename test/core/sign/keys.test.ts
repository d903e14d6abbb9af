import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteString, bytesOf } from '../../../src/core/bytes/byte-string.ts';
import { decodeBase64, encodeBase64 } from '../../../src/core/sign/base64.ts';
import { encodePublicKey, parsePublicKey, parsePublicKeyFile } from '../../../src/core/sign/keys.ts';

const text = (data: Uint8Array) => Buffer.from(data).toString('latin1');

describe('base64', () => {
  // Expected: g_base64_decode of GLib 2.90 on the same text.
  it.each([
    ['', ''],
    ['YWJj', 'abc'],
    ['YWI=', 'ab'],
    ['YQ==', 'a'],
    ['YQ=', ''],
    ['YQ', ''],
    ['Y W\tJ-_j\r', 'abc'],
    ['YQ==YWJj', 'aabc'],
    ['=WJj', '\x01bc'],
    ['Y=Jj', '`\x02c'],
    ['# comment', 'r\x89\xa6'],
  ])('decodes %j as GLib does', (encoded, decoded) => {
    expect(text(decodeBase64(bytesOf(byteString(encoded))))).toBe(decoded);
  });

  it('encodes as RFC 4648 and decodes what it encodes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (data) => {
        expect(text(encodeBase64(data))).toBe(Buffer.from(data).toString('base64'));
        expect(decodeBase64(encodeBase64(data))).toEqual(data);
      }),
    );
  });
});

const A = 'KBozGAfUadYFUrboq40jOUxLLkQDOBGnnnaL+PaKbvc=';
const B = 'FZz3KY/K/TOC8kC4OqdlAAp1SPfILIqpowH4s1L8liI=';

describe('public keys', () => {
  it('are base64 of 32 bytes', () => {
    const key = parsePublicKey(byteString(A), 'test');
    expect(key.hex).toBe('281a331807d469d60552b6e8ab8d23394c4b2e44033811a79e768bf8f68a6ef7');
    expect(encodePublicKey(key.key)).toBe(`${A}\n`);
  });

  it('of another length are refused in the words of ostree', () => {
    expect(() => parsePublicKey(byteString('YWJj'), 'test')).toThrow(
      'Invalid ed25519 public key: Ill-formed input: expected 32 bytes, got 3 bytes',
    );
  });

  it('are read one a line; lines that are no key are passed over while one is', () => {
    const hex = (content: string) =>
      parsePublicKeyFile(byteString(content), byteString('f')).map((key) => key.hex.slice(0, 4));
    expect(hex(`${A}\n`)).toEqual(['281a']);
    expect(hex(`${A}`)).toEqual(['281a']);
    expect(hex(`${A}\r\n# no key\n${B}\n`)).toEqual(['281a', '159c']);
    expect(() => hex(`${A}\n\n${B}\n`)).toThrow('Invalid base64 blob format');
    expect(() => hex('')).toThrow("signature: ed25519: no valid keys in file 'f'");
    expect(() => hex('YWJj\nYQ==\n')).toThrow(
      'ed25519: unable to read from NULL key-data input stream: ' +
        'Invalid ed25519 public key: Ill-formed input: expected 32 bytes, got 3 bytes',
    );
  });
});
