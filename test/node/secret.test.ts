import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { bytesFromHex, hexOf } from '../../src/core/bytes/hex.ts';
import { portableHash } from '../../src/core/hash.ts';
import { verifySignature } from '../../src/core/sign/ed25519.ts';
import {
  encodeSecretKey,
  makeSecretKey,
  makeTransientSecret,
  secretFromBase64,
  secretFromDescriptor,
  secretFromFile,
  withEachSecret,
} from '../../src/node/secret.ts';
import { openMemoryFile } from '../../src/node/secret-memory.ts';

// The test key `a` of the ostree vectors: base64 of the seed sha256("golden ostree test key a") and its public key.
const SECRET = 'c/OZC4Y3tvoqLOqN4wDZy6jk6R+WCLizkh5Q772/c18oGjMYB9Rp1gVStuirjSM5TEsuRAM4Eaeedov49opu9w==';
const PUBLIC = '281a331807d469d60552b6e8ab8d23394c4b2e44033811a79e768bf8f68a6ef7';

let directory: string;
const path = (name: string) => byteString(join(directory, name));

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sealtree-secret-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('secrets', () => {
  it('sign as RFC 8032 says', () => {
    const vectors = JSON.parse(
      readFileSync(new URL('../vectors/ed25519/rfc8032.json', import.meta.url), 'utf8'),
    ) as { seed: string; key: string; message: string; signature: string }[];
    for (const { seed, key, message, signature } of vectors) {
      const secret = secretFromBase64(byteString(Buffer.from(seed + key, 'hex').toString('base64')));
      expect(hexOf(secret.publicKey)).toBe(key);
      expect(hexOf(secret.sign(bytesFromHex(message)))).toBe(signature);
      secret.destroy();
    }
  });

  it('are read from the first line of a file', () => {
    writeFileSync(path('key'), `${SECRET}\nsecond line\n`);
    const secret = secretFromFile(path('key'));
    expect(hexOf(secret.publicKey)).toBe(PUBLIC);
    secret.destroy();
    expect(() => secret.sign(new Uint8Array(1))).toThrow('after its end');
  });

  it.each([
    ['', 'no key in it'],
    ['\nx\n', 'Invalid base64 blob format'],
    ['YWJj\n', 'Invalid ed25519 secret key: Ill-formed input: expected 64 bytes, got 3 bytes'],
    [SECRET.replace('c/OZ', 'd/OZ'), 'its public half does not belong to its seed'],
    ['A'.repeat(70_000), 'too large for a key file'],
  ])('in a file that holds %j are refused', (content, message) => {
    writeFileSync(path('key'), content);
    expect(() => secretFromFile(path('key'))).toThrow(message);
  });

  it('that are not there are missed in the words of GIO', () => {
    expect(() => secretFromFile(path('none'))).toThrow(
      `Error opening file ${path('none')}: No such file or directory`,
    );
  });

  it('of every line are used one after the other', () => {
    const other = makeSecretKey();
    writeFileSync(path('keys'), `${SECRET}\n${Buffer.from(encodeSecretKey(other)).toString()}`);
    const keys: string[] = [];
    withEachSecret(path('keys'), (secret) => keys.push(hexOf(secret.publicKey)));
    expect(keys).toEqual([PUBLIC, hexOf(other.slice(32))]);
    writeFileSync(path('keys'), `${SECRET}\n\n`);
    expect(() => withEachSecret(path('keys'), () => {})).toThrow('Invalid base64 blob format');
  });

  it('come through a descriptor that can be read twice', () => {
    const fd = openMemoryFile();
    writeSync(fd, `${SECRET}\n`);
    for (let i = 0; i < 2; i++) {
      const secret = secretFromDescriptor(fd);
      expect(hexOf(secret.publicKey)).toBe(PUBLIC);
      secret.destroy();
    }
    closeSync(fd);
    expect(() => secretFromDescriptor(fd)).toThrow('Bad file descriptor');
    const empty = openSync('/dev/null', 'r');
    expect(() => secretFromDescriptor(empty)).toThrow(`descriptor ${empty}: no secret key to be read`);
    closeSync(empty);
  });

  it('that are transient leave only their public half', () => {
    const secret = makeTransientSecret(path('public'));
    const file = readFileSync(path('public'), 'latin1');
    expect(file).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect(statSync(path('public')).mode & 0o777).toBe(0o644);
    const message = bytesFromHex('00ff');
    expect(verifySignature(Buffer.from(file, 'base64'), secret.sign(message), message, portableHash)).toBe(
      true,
    );
    secret.destroy();
    expect(() => makeTransientSecret(path('no/such'))).toThrow('No such file or directory');
  });
});
