/** Compressed layers as they stream by: gzip, Zstandard or neither, told by their first bytes. @module */
import { malformed } from '../core/errors.ts';
import { gunzip } from '../node/inflate.ts';
import { unzstd } from './unzstd.ts';

/**
 * Bytes that one compressed byte may become. Deflate cannot make more than 1032 of one; what makes more is no layer that
 * anyone wants, but meant to fill memory, disk or time.
 */
export const MAX_RATIO = 1100;
/** So much may come of anything: small files compress better. */
const ALWAYS_ALLOWED = 64 * 1024 * 1024;

/**
 * Decompresses what is compressed.
 *
 * @param input pieces, each used up before the next is asked for
 * @returns pieces, each valid until the next is asked for
 * @throws SealtreeError `malformed` if it is cut off, damaged, or becomes more than `MAX_RATIO` times as large
 */
export function* decompress(input: Iterable<Uint8Array>): Generator<Uint8Array> {
  let taken = 0;
  const pieces = (function* () {
    for (const piece of input) {
      taken += piece.length;
      yield piece;
    }
  })();
  const first = pieces.next();
  if (first.done) return;
  const start = first.value;
  const all = (function* () {
    yield start;
    yield* pieces;
  })();
  const isGzip = start[0] === 0x1f && start[1] === 0x8b;
  if (!isGzip && !isZstd(start)) {
    yield* all;
    return;
  }
  let given = 0;
  for (const piece of isGzip ? gunzip(all) : unzstd(all)) {
    given += piece.length;
    if (given > ALWAYS_ALLOWED && given > taken * MAX_RATIO)
      throw malformed(
        `${taken} compressed bytes become more than ${given}, which is over the limit of ${MAX_RATIO} times as many`,
      );
    yield piece;
  }
}

/** A frame, or one to be skipped. */
function isZstd(data: Uint8Array): boolean {
  const [a = 0, b, c, d] = data;
  if (b === 0xb5 && c === 0x2f && d === 0xfd) return a === 0x28;
  return b === 0x2a && c === 0x4d && d === 0x18 && a >>> 4 === 5;
}
