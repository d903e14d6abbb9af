/**
 * Numbers that ostree defines are big-endian, whatever the byte order of the GVariant around them; our GVariants are
 * little-endian, so their value is swapped on the way in and out.
 * @module
 */

/** Swaps the bytes of a 32-bit number. */
export function swap32(value: number): number {
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

/** Swaps the bytes of an unsigned 64-bit number. */
export function swap64(value: bigint): bigint {
  const low = swap32(Number(value & 0xffffffffn));
  const high = swap32(Number((value >> 32n) & 0xffffffffn));
  return (BigInt(low) << 32n) | BigInt(high);
}
