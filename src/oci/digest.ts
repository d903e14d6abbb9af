/** Digests of blobs: `sha256:` or `sha512:` and hexadecimal digits. OCI Image Format Specification, descriptor.md. @module */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { DIGEST_SIZE, type HashName, type StreamingHash } from '../core/hash.ts';
import { opensslHash } from '../node/hash.ts';
import { textOf } from './json.ts';

export interface Digest {
  readonly algorithm: HashName;
  readonly hex: string;
}

/** @throws SealtreeError `malformed`, `unsupported` for another hash function */
export function parseDigest(value: unknown, what: string): Digest {
  const text = textOf(value, what);
  const [, algorithm, hex = ''] = /^(sha256|sha512):([0-9a-f]+)$/.exec(text) ?? [];
  const name = algorithm as HashName | undefined;
  if (name === undefined || hex.length !== 2 * DIGEST_SIZE[name])
    throw malformed(`${what}: ${displayByteString(byteString(text))} is no sha256 or sha512 digest`);
  return { algorithm: name, hex };
}

export function digestText({ algorithm, hex }: Digest): string {
  return `${algorithm}:${hex}`;
}

/** Where an OCI layout has the blob. */
export function blobName({ algorithm, hex }: Digest): ByteString {
  return byteString(`blobs/${algorithm}/${hex}`);
}

/** @throws SealtreeError `mismatch` */
export function checkDigest(data: Uint8Array, expected: Digest, what: string): void {
  compare(hexOf(opensslHash.digest(expected.algorithm, data)), expected, what);
}

/** Lets the pieces of a blob pass; throws behind the last one if they are another one's. @throws SealtreeError `mismatch` */
export function* checkedPieces(
  pieces: Iterable<Uint8Array>,
  expected: Digest,
  what: string,
): Generator<Uint8Array> {
  const hash: StreamingHash = opensslHash.create(expected.algorithm);
  for (const piece of pieces) {
    hash.update(piece);
    yield piece;
  }
  compare(hexOf(hash.digest()), expected, what);
}

function compare(found: string, { algorithm, hex }: Digest, what: string): void {
  if (found === hex) return;
  throw new SealtreeError(
    'mismatch',
    `${what}: digest is ${algorithm}:${found}, expected ${algorithm}:${hex}`,
    {
      expected: `${algorithm}:${hex}`,
      found: `${algorithm}:${found}`,
    },
  );
}
