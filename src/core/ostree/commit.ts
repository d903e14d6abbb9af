/**
 * The commit object: metadata, parent and root of a tree, GVariant `(a{sv}aya(say)sstayay)`.
 * Defined by ostree's repository format.
 * @module
 */
import type { ByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import { decodeVariant } from '../gvariant/decode.ts';
import { encodeVariant } from '../gvariant/encode.ts';
import type { Value, Variant } from '../gvariant/value.ts';
import { swap64 } from './big-endian.ts';
import { checksumFrom, checksumValue } from './checksum.ts';

export const COMMIT_TYPE = '(a{sv}aya(say)sstayay)';

/** One entry of an `a{sv}`. */
export type MetadataEntry = readonly [key: ByteString, value: Variant];

export interface Commit {
  /** In the order in which they are stored. */
  readonly metadata: readonly MetadataEntry[];
  /** Checksum of the parent commit. */
  readonly parent?: string | undefined;
  readonly subject: ByteString;
  readonly body: ByteString;
  /** Seconds since 1970, unsigned 64 bits. */
  readonly timestamp: bigint;
  /** Checksum of the root's dirtree object. */
  readonly rootDirtree: string;
  /** Checksum of the root's dirmeta object. */
  readonly rootDirmeta: string;
}

/** The bytes of the object; their SHA-256 is its name, and they are what a signature signs. */
export function encodeCommit(commit: Commit): Uint8Array {
  return encodeVariant(COMMIT_TYPE, [
    commit.metadata.map(([key, value]) => [key, value]),
    commit.parent === undefined ? new Uint8Array(0) : checksumValue(commit.parent),
    [],
    commit.subject,
    commit.body,
    swap64(commit.timestamp),
    checksumValue(commit.rootDirtree),
    checksumValue(commit.rootDirmeta),
  ]);
}

/**
 * Decodes and validates a commit object.
 *
 * @param what names the object in messages: `CHECKSUM.commit`
 * @throws SealtreeError `malformed`
 */
export function decodeCommit(data: Uint8Array, what: string): Commit {
  const [metadata, parent, related, subject, body, timestamp, rootDirtree, rootDirmeta] = decodeVariant(
    COMMIT_TYPE,
    data,
    what,
  ) as [[ByteString, Variant][], Uint8Array, Value[], ByteString, ByteString, bigint, Uint8Array, Uint8Array];
  for (const [key] of metadata) {
    if (key === '') throw malformed(`${what}: Empty metadata key`);
  }
  if (related.length !== 0) throw malformed(`${what}: Related objects are not empty`);
  return {
    metadata,
    parent: parent.length === 0 ? undefined : checksumFrom(parent, `${what}: Invalid commit parent`),
    subject,
    body,
    timestamp: swap64(timestamp),
    rootDirtree: checksumFrom(rootDirtree, `${what}: Invalid commit tree content checksum`),
    rootDirmeta: checksumFrom(rootDirmeta, `${what}: Invalid commit tree metadata checksum`),
  };
}
