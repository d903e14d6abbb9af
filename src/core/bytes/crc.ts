/**
 * The two CRCs of disks: CRC-32 of GPT (UEFI 2.10, 5.3) and CRC-32C of ext4's metadata (RFC 3720, appendix B.4).
 * @module
 */

/** Polynomials with their bits turned round. */
const CRC32 = 0xedb88320;
const CRC32C = 0x82f63b78;

/** Tables that take in four bytes at a time: the reader of a disk checks every block of its inode tables. */
const SLICES = 4;

const crc32Tables = makeTables(CRC32);
const crc32cTables = makeTables(CRC32C);

/** CRC-32 as zip and GPT have it. */
export function crc32(data: Uint8Array): number {
  return ~update(crc32Tables, -1, data) >>> 0;
}

/**
 * CRC-32C as ext4 has it: without the inversions at the start and the end.
 *
 * @param seed the checksum of what came before, 0xffffffff at the start
 */
export function crc32c(seed: number, data: Uint8Array): number {
  return update(crc32cTables, seed | 0, data) >>> 0;
}

function makeTables(polynomial: number): Int32Array[] {
  const tables = Array.from({ length: SLICES }, () => new Int32Array(256));
  const [first] = tables as [Int32Array];
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ ((value & 1) * polynomial);
    first[byte] = value;
  }
  for (let slice = 1; slice < SLICES; slice++) {
    const [table, below] = [tables[slice] as Int32Array, tables[slice - 1] as Int32Array];
    for (let byte = 0; byte < 256; byte++) {
      const value = below[byte] as number;
      table[byte] = (value >>> 8) ^ (first[value & 255] as number);
    }
  }
  return tables;
}

function update(tables: readonly Int32Array[], start: number, data: Uint8Array): number {
  const [t0, t1, t2, t3] = tables as [Int32Array, Int32Array, Int32Array, Int32Array];
  let crc = start;
  let at = 0;
  for (const end = data.length - 3; at < end; at += 4) {
    crc ^=
      (data[at] as number) |
      ((data[at + 1] as number) << 8) |
      ((data[at + 2] as number) << 16) |
      ((data[at + 3] as number) << 24);
    crc =
      (t3[crc & 255] as number) ^
      (t2[(crc >>> 8) & 255] as number) ^
      (t1[(crc >>> 16) & 255] as number) ^
      (t0[crc >>> 24] as number);
  }
  for (; at < data.length; at++) crc = (crc >>> 8) ^ (t0[(crc ^ (data[at] as number)) & 255] as number);
  return crc;
}
