/** Metadata objects as `ostree show` and `ostree log` print them. @module */
import { type ByteString, byteString, utf8ByteString } from '../core/bytes/byte-string.ts';
import { bytesFromHex, hexOf } from '../core/bytes/hex.ts';
import { malformed } from '../core/errors.ts';
import { byteswapped } from '../core/gvariant/byteswap.ts';
import { decodeVariant } from '../core/gvariant/decode.ts';
import { printVariant } from '../core/gvariant/text-print.ts';
import type { Value } from '../core/gvariant/value.ts';
import { COMMIT_TYPE, type Commit } from '../core/ostree/commit.ts';
import { DIRMETA_TYPE } from '../core/ostree/dirmeta.ts';
import { DIRTREE_TYPE } from '../core/ostree/dirtree.ts';
import { lookup } from '../core/ostree/metadata.ts';
import { opensslHash } from '../node/hash.ts';
import type { Repo } from '../repo/repo.ts';
import type { Output } from './output.ts';

const TYPES = { commit: COMMIT_TYPE, dirtree: DIRTREE_TYPE, dirmeta: DIRMETA_TYPE } as const;

export interface DumpOptions {
  /** The GVariant as text, its numbers taken to be big-endian. */
  readonly raw?: boolean;
  /** The GVariant as text, its numbers as they are; what is printed otherwise comes after it. */
  readonly unswapped?: boolean;
}

/** Prints an object; `commit` is what it decodes to, if that is at hand. */
export function dumpObject(
  stdout: Output,
  repo: Repo,
  type: keyof typeof TYPES,
  checksum: string,
  { raw = false, unswapped = false }: DumpOptions,
): void {
  const data = repo.readObject(type, checksum);
  stdout.line(`${type} ${checksum}`);
  if (raw || unswapped) {
    const value = decodeVariant(TYPES[type], data, `${checksum}.${type}`);
    if (unswapped) stdout.write(byteString(`${printVariant(TYPES[type], value, { annotate: true })}\n`));
    else {
      dumpVariant(stdout, TYPES[type], value);
      return;
    }
  }
  if (type === 'commit') stdout.write(commitText(repo.commit(checksum)));
}

/** Prints a value and a newline, its numbers turned round: ostree's own are big-endian. */
export function dumpVariant(stdout: Output, type: string, value: Value): void {
  stdout.write(byteString(`${printVariant(type, byteswapped(type, value), { annotate: true })}\n`));
}

function commitText(commit: Commit): ByteString {
  const date = dateOf(commit.timestamp);
  const version = lookup(commit.metadata, byteString('version'));
  const lines = [`ContentChecksum:  ${contentChecksum(commit)}`, `Date:  ${date}`];
  if (commit.parent !== undefined) lines.unshift(`Parent:  ${commit.parent}`);
  if (version?.type === 's') lines.push(`Version: ${version.value as ByteString}`);
  const subject = commit.subject === '' ? '(no subject)\n' : `\n${indented(commit.subject)}`;
  const body = commit.body === '' ? '' : `\n${indented(commit.body)}`;
  return byteString(`${lines.join('\n')}\n${subject}${body}\n`);
}

/** Identifies the tree alone: the hash of the two checksums of its root. */
function contentChecksum({ rootDirtree, rootDirmeta }: Commit): string {
  return hexOf(opensslHash.digest('sha256', bytesFromHex(rootDirtree + rootDirmeta)));
}

/** @param timestamp unsigned; what GLib makes of it is signed, in the years 1 to 9999 */
function dateOf(timestamp: bigint): ByteString {
  const date = new Date(Number(BigInt.asIntN(64, timestamp)) * 1000);
  const year = date.getUTCFullYear();
  if (Number.isNaN(year) || year < 1 || year > 9999) {
    throw malformed(`Failed to read commit: Invalid timestamp: ${timestamp}`);
  }
  const [, rest = ''] = /-(\d\d-\d\dT[\d:]{8})/.exec(date.toISOString().replace(/^[+-]?\d+/, '')) ?? [];
  return utf8ByteString(`${year}-${rest.replace('T', ' ')} +0000`);
}

function indented(text: string): string {
  return text
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => `    ${line}\n`)
    .join('');
}
