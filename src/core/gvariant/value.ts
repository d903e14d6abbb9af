/** GVariant values as JavaScript has them. @module */
import type { ByteString } from '../bytes/byte-string.ts';

/**
 * A value; its type string is kept beside it, by who holds it.
 *
 * | type | here |
 * |---|---|
 * | `b` | boolean |
 * | `y n q i u h d` | number |
 * | `x t` | bigint |
 * | `s o g` | byte string (`s`: UTF-8) |
 * | `ay` | Uint8Array |
 * | any other array, tuple, dict entry | array of the members |
 * | `mX` | array of no or one member |
 * | `v` | {@link Variant} |
 */
export type Value = number | bigint | boolean | ByteString | Uint8Array | Value[] | Variant;

/** A value that says its own type: what a `v` holds. */
export interface Variant {
  readonly type: string;
  readonly value: Value;
}
