/** The fs-verity digests of composefs images that were made: a digest follows from the two objects of the root alone. @module */
import { byteString } from '../core/bytes/byte-string.ts';
import { hexOf, readHex } from '../core/bytes/hex.ts';
import type { Repo } from '../repo/repo.ts';
import { usablePayload, writeCacheFile } from './cache-file.ts';

const NAME = byteString('images');

/** Dirtree, dirmeta and digest, 32 bytes each. */
const RECORD_WORDS = 24;

/** Images that are remembered; the file is read as a whole. */
const MAX_IMAGES = 1024;

/** The digest of the image of a tree with this root; undefined if it is not known. */
export function findImageDigest(repo: Repo, dirtree: string, dirmeta: string): string | undefined {
  const payload = recordsOf(repo);
  for (let at = 0; at < payload.length; at += RECORD_WORDS) {
    if (hexAt(payload, at) === dirtree && hexAt(payload, at + 8) === dirmeta) return hexAt(payload, at + 16);
  }
  return undefined;
}

/** Remembers a digest; the oldest makes room. */
export function rememberImageDigest(repo: Repo, dirtree: string, dirmeta: string, digest: string): void {
  const record = new Uint32Array(RECORD_WORDS);
  for (const [i, hex] of [dirtree, dirmeta, digest].entries()) {
    readHex(hex, new Uint8Array(record.buffer, 32 * i, 32));
  }
  writeCacheFile(repo, NAME, [record, recordsOf(repo).subarray(0, (MAX_IMAGES - 1) * RECORD_WORDS)]);
}

function recordsOf(repo: Repo): Uint32Array {
  const payload = usablePayload(repo, NAME);
  return payload === undefined || payload.length % RECORD_WORDS !== 0 ? new Uint32Array(0) : payload;
}

function hexAt(payload: Uint32Array, at: number): string {
  return hexOf(new Uint8Array(payload.buffer, payload.byteOffset + 4 * at, 32));
}
