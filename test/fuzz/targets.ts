/** Every decoder, how its cases are made, and what must hold for what it accepts. @module */

import { createPublicKey, verify } from 'node:crypto';
import { type ByteString, byteString, bytesOf } from '../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../src/core/bytes/hex.ts';
import { parseKeyfile, setKey } from '../../src/core/conf/keyfile.ts';
import { parsePrepareRoot } from '../../src/core/conf/prepare-root.ts';
import { unescapeField } from '../../src/core/dumpfile/escape.ts';
import { readDump } from '../../src/core/dumpfile/read.ts';
import { writeDump } from '../../src/core/dumpfile/write.ts';
import { memorySource } from '../../src/core/erofs/image-source.ts';
import { readImage, readImageInfo } from '../../src/core/erofs/reader.ts';
import { SealtreeError } from '../../src/core/errors.ts';
import { decodeVariant } from '../../src/core/gvariant/decode.ts';
import { encodeVariant } from '../../src/core/gvariant/encode.ts';
import { parseVariant } from '../../src/core/gvariant/text-parse.ts';
import { printVariant } from '../../src/core/gvariant/text-print.ts';
import { portableHash } from '../../src/core/hash.ts';
import { COMMIT_TYPE, decodeCommit, encodeCommit } from '../../src/core/ostree/commit.ts';
import {
  decodeCommitmeta,
  encodeCommitmeta,
  METADATA_TYPE,
  signatures,
} from '../../src/core/ostree/commitmeta.ts';
import { DIRMETA_TYPE, decodeDirmeta, encodeDirmeta } from '../../src/core/ostree/dirmeta.ts';
import { DIRTREE_TYPE, decodeDirtree, encodeDirtree } from '../../src/core/ostree/dirtree.ts';
import {
  ARCHIVE_HEADER_TYPE,
  BARE_USER_META_TYPE,
  decodeArchiveHeader,
  decodeBareUserMeta,
  encodeArchiveHeader,
  encodeBareUserMeta,
} from '../../src/core/ostree/file-header.ts';
import { composefsDigest } from '../../src/core/ostree/metadata.ts';
import { objectSizes } from '../../src/core/ostree/sizes.ts';
import { verifySignature } from '../../src/core/sign/ed25519.ts';
import { parsePublicKeyFile } from '../../src/core/sign/keys.ts';
import { verityDigest } from '../../src/core/verity/digest.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { unlessRefused } from '../attempt.ts';
import { imageOf } from './image-of.ts';
import type { Objects } from './memory-repo.ts';
import { mutateBytes, mutateLines, mutateObject, mutateText, randomBytes } from './mutate.ts';
import type { Random } from './random.ts';

export interface Seeds {
  readonly dumps: readonly string[];
  readonly images: readonly Uint8Array[];
  /** Objects by the extension of their files; `file` is `user.ostreemeta`. */
  readonly objects: Readonly<
    Record<'commit' | 'dirtree' | 'dirmeta' | 'commitmeta' | 'filez' | 'file', Uint8Array[]>
  >;
  readonly keyfiles: readonly string[];
  readonly texts: readonly string[];
  /** Archive repositories. */
  readonly archives: readonly Objects[];
  /** Seed and public key, 64 bytes; the last one is not trusted. */
  readonly keyPairs: readonly Uint8Array[];
  readonly publicKeys: readonly string[];
  /** Public key, signature, message. */
  readonly signatures: readonly (readonly [Uint8Array, Uint8Array, Uint8Array])[];
}

export interface Target<T = unknown> {
  readonly name: string;
  /** How many cases of 100,000. */
  readonly cases: number;
  make(random: Random): T;
  /**
   * Decodes a case, and what comes of it in the other direction.
   *
   * @throws SealtreeError if the case is refused, any other error if something is wrong with the decoder
   */
  check(input: T): void | Promise<void>;
  /** Whether a refused case got beyond the first thing that is read. */
  passedHeader(input: T, error: SealtreeError): boolean;
}

/** All decoders with their cases, 100,000 together. */
export function fuzzTargets(seeds: Seeds): Target[] {
  const targets = [
    imageTarget(seeds.images),
    dumpTarget(seeds.dumps),
    objectTarget('commit', 9_000, seeds.objects.commit, COMMIT_TYPE, (data) => {
      const commit = decodeCommit(data, 'x');
      unlessRefused(() => composefsDigest(commit));
      unlessRefused(() => objectSizes(commit));
      return encodeCommit(commit);
    }),
    objectTarget('dirtree', 9_000, seeds.objects.dirtree, DIRTREE_TYPE, (data) =>
      encodeDirtree(decodeDirtree(data, 'x')),
    ),
    objectTarget('dirmeta', 7_000, seeds.objects.dirmeta, DIRMETA_TYPE, (data) =>
      encodeDirmeta(decodeDirmeta(data, 'x')),
    ),
    objectTarget('commitmeta', 5_000, seeds.objects.commitmeta, METADATA_TYPE, (data) => {
      const entries = decodeCommitmeta(data, 'x');
      unlessRefused(() => signatures(entries, byteString('ostree.sign.ed25519')));
      return encodeCommitmeta(entries);
    }),
    archiveHeaderTarget(seeds.objects.filez),
    objectTarget('user.ostreemeta', 5_000, seeds.objects.file, BARE_USER_META_TYPE, (data) =>
      encodeBareUserMeta(decodeBareUserMeta(data, 'x')),
    ),
    keyfileTarget(seeds.keyfiles),
    textTarget(seeds.texts),
    publicKeyTarget(seeds.publicKeys),
    signatureTarget(seeds.signatures),
  ];
  return targets as Target[];
}

export function imageTarget(seeds: readonly Uint8Array[]): Target<Uint8Array> {
  // What is not zero is worth changing, and what is, next to it; the headers less than the rest.
  const spots = seeds.map((image) => {
    const found: number[] = [];
    for (let at = 0; at < image.length; at++) {
      if (at < 1152 ? image[at] !== 0 && at % 8 === 0 : image[at] !== 0 || image[at - 1] !== 0)
        found.push(at);
    }
    return found;
  });
  return {
    name: 'image',
    cases: 22_000,
    make(random) {
      const index = random.below(seeds.length);
      return mutateBytes(random, seeds[index] as Uint8Array, seeds, spots[index]);
    },
    check(image) {
      const text: ByteString[] = [];
      writeDump(readImage(memorySource(image)), (chunk) => text.push(chunk));
      unlessRefused(() => readDump(text));
    },
    passedHeader: (image) => unlessRefused(() => readImageInfo(memorySource(image))) !== undefined,
  };
}

const DUMP_WORDS = [
  '',
  '-',
  '0',
  '1',
  '-1',
  '4096',
  '100644',
  '40755',
  '120777',
  '20000',
  '60644',
  '@100644',
  '4294967295',
  '4294967296',
  '9223372036854775807',
  '18446744073709551615',
  '1.0',
  '0.999999999',
  '-1.5',
  '/',
  '/a',
  '/a/..',
  '//',
  '\\x00',
  '\\x2f',
  '\\n',
  '\\',
  '\\xzz',
  'a'.repeat(256),
  'ab/cd',
  'user.a=b',
  'trusted.overlay.metacopy=',
  'security.selinux=system_u:object_r:usr_t:s0\\x00',
  '=',
  `${'0'.repeat(64)}`,
  `${'f'.repeat(64)}`,
];

export function dumpTarget(seeds: readonly string[]): Target<ByteString> {
  return {
    name: 'dump',
    cases: 20_000,
    make(random) {
      const dump = byteString(mutateLines(random, random.pick(seeds), seeds, ' ', DUMP_WORDS));
      return random.once(3) ? withDigests(dump) : dump;
    },
    check(dump) {
      const root = readDump([dump]);
      unlessRefused(() => readDump([dump], { strict: true }));
      const again = readImage(memorySource(imageOf(root)));
      const text: ByteString[] = [];
      writeDump(again, (chunk) => text.push(chunk));
    },
    passedHeader: (_, error) => Number(error.detail.line ?? 2) > 1,
  };
}

/** Gives every file with its content in the line the digest and the size that this content has. */
function withDigests(dump: ByteString): ByteString {
  const lines = dump.split('\n').map((line) => {
    const fields = line.split(' ');
    const [, size = '-', , , , , , , , text = '-', digest = '-'] = fields;
    const content = text === '-' ? undefined : unlessRefused(() => unescapeField(byteString(text)));
    if (content === undefined) return line;
    if (size !== '-') fields[1] = String(content.length);
    if (digest !== '-') fields[10] = hexOf(verityDigest(opensslHash, bytesOf(content)));
    return fields.join(' ');
  });
  return byteString(lines.join('\n'));
}

function objectTarget(
  name: string,
  cases: number,
  seeds: readonly Uint8Array[],
  type: string,
  recode: (data: Uint8Array) => Uint8Array,
): Target<Uint8Array> {
  return {
    name,
    cases,
    make: (random) => mutateObject(random, type, random.pick(seeds), seeds),
    check(data) {
      const again = recode(data);
      if (Buffer.compare(again, data) !== 0)
        throw new Error('accepted, but encoded again it has other bytes');
    },
    passedHeader: (_, error) => error.detail.offset !== 0,
  };
}

function archiveHeaderTarget(seeds: readonly Uint8Array[]): Target<Uint8Array> {
  const variants = seeds.map((file) => file.subarray(8, decodeArchiveHeader(file).length));
  return {
    name: 'filez header',
    cases: 7_000,
    make(random) {
      const variant = mutateObject(random, ARCHIVE_HEADER_TYPE, random.pick(variants), variants);
      const file = new Uint8Array(8 + variant.length);
      new DataView(file.buffer).setUint32(0, variant.length + (random.once(20) ? random.below(3) - 1 : 0));
      file.set(variant, 8);
      return file;
    },
    check(data) {
      const { header, size, length } = decodeArchiveHeader(data, 'x');
      if (size > Number.MAX_SAFE_INTEGER) return;
      const again = encodeArchiveHeader(header, Number(size));
      if (Buffer.compare(again.subarray(8), data.subarray(8, length)) !== 0)
        throw new Error('accepted, but encoded again it has other bytes');
    },
    passedHeader: (_, error) => error.detail.offset !== 0 && !error.message.includes('File header size'),
  };
}

const KEYFILE_WORDS = [
  '[',
  ']',
  '=',
  '#',
  ';',
  '\\s',
  '\\',
  'true',
  'maybe',
  '[de]',
  '"',
  "'",
  '\t',
  '\r',
  '.',
  '__proto__',
];

function keyfileTarget(seeds: readonly string[]): Target<ByteString> {
  return {
    name: 'keyfile',
    cases: 6_000,
    make: (random) => byteString(mutateLines(random, random.pick(seeds), seeds, '=', KEYFILE_WORDS)),
    check(text) {
      const file = parseKeyfile(text, 'x');
      for (const group of file.groups) {
        for (const key of file.keys(group)) {
          for (const read of [file.get, file.boolean, file.tristate, file.integer])
            unlessRefused(() => read(group, key));
          const value = unlessRefused(() => file.get(group, key));
          if (value === undefined) continue;
          const changed = unlessRefused(() => setKey(text, group, key, value, 'x'));
          if (changed !== undefined && parseKeyfile(changed, 'x').get(group, key) !== value)
            throw new Error(`${group}.${key}: set to its own value it has another one`);
        }
      }
      unlessRefused(() => parsePrepareRoot(text, byteString('/x')));
    },
    passedHeader: (_, error) => Number(error.detail.line ?? 2) > 1,
  };
}

const TEXT_WORDS = [
  ...'[](){}<>,:@\'"',
  'just ',
  'nothing',
  '@as ',
  'uint32 ',
  "b'",
  '\\u00e9',
  '0x',
  '1e400',
  '@mms ',
];

export function textTarget(seeds: readonly string[]): Target<ByteString> {
  return {
    name: 'GVariant text',
    cases: 6_000,
    make(random) {
      const seed = random.pick(seeds);
      const other = random.pick(seeds);
      const text = random.pick([
        seed,
        `[${seed},${other}]`,
        `(${seed},${other})`,
        `{'k':<${seed}>}`,
        `<${seed}>`,
      ]);
      return byteString(mutateText(random, text, TEXT_WORDS));
    },
    check(text) {
      const { type, value } = parseVariant(text);
      const data = encodeVariant(type, value);
      const again = decodeVariant(type, data, 'parsed');
      const printed = printVariant(type, again, { annotate: true });
      const reparsed = parseVariant(byteString(`@${type} ${printed}`));
      if (printVariant(reparsed.type, reparsed.value, { annotate: true }) !== printed)
        throw new Error(`printed as ${printed}, which is read as another value`);
    },
    passedHeader: (_, error) => error.detail.offset !== 0,
  };
}

function publicKeyTarget(seeds: readonly string[]): Target<ByteString> {
  return {
    name: 'public key file',
    cases: 2_000,
    make: (random) => byteString(mutateText(random, random.pick(seeds), ['\n', '=', 'A', '#', '\0'])),
    check(text) {
      const keys = parsePublicKeyFile(text, byteString('x'));
      if (keys.some(({ key }) => key.length !== 32)) throw new Error('accepted a key of another length');
    },
    passedHeader: (_, error) => error.message !== 'Invalid base64 blob format',
  };
}

function signatureTarget(
  seeds: readonly (readonly [Uint8Array, Uint8Array, Uint8Array])[],
): Target<readonly [Uint8Array, Uint8Array, Uint8Array]> {
  return {
    name: 'signature',
    cases: 1_000,
    make(random) {
      const [key, signature, message] = random.pick(seeds);
      const kind = random.below(8);
      if (kind === 0) return [mutateBytes(random, key, []), signature, message];
      if (kind === 1) return [key, mutateBytes(random, signature, []), message];
      if (kind === 2) return [key, signature, mutateBytes(random, message, [])];
      if (kind === 3) return [randomBytes(random, 32), signature, message];
      if (kind === 4) return [key, randomBytes(random, 64), message];
      return [key, signature, message].map((part) => part.slice()) as [Uint8Array, Uint8Array, Uint8Array];
    },
    check([key, signature, message]) {
      if (!verifySignature(key, signature, message, portableHash))
        throw new SealtreeError('mismatch', 'not verified', { length: signature.length });
      const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key]);
      const openssl = createPublicKey({ key: spki, format: 'der', type: 'spki' });
      if (!verify(null, message, openssl, signature)) throw new Error('accepted, but OpenSSL refuses it');
    },
    passedHeader: ([key, signature]) => key.length === 32 && signature.length === 64,
  };
}

/** A case as text that can be put into a bug report. */
export function describeCase(input: unknown): string {
  if (typeof input === 'string') return JSON.stringify(input.slice(0, 4000));
  const replace = (_: string, value: unknown): unknown => {
    if (value instanceof Uint8Array) return Buffer.from(value).toString('base64').slice(0, 1000);
    return value instanceof Map ? [...value] : value;
  };
  return JSON.stringify(input, replace).slice(0, 16_000);
}
