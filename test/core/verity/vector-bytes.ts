/** The bytes that files of the fs-verity and directory vectors have: `(7 i + size) mod 251` at offset i. @module */
export function vectorBytes(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 7 + size) % 251);
}
