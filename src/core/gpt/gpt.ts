/**
 * GUID partition tables: protective MBR, table at the start, copy at the end, each with its checksums.
 * Defined by the UEFI specification 2.10, chapter 5; partition types: the Discoverable Partitions Specification.
 * @module
 */
import { crc32 } from '../bytes/crc.ts';
import { formatUuid, parseUuid } from '../bytes/uuid.ts';
import type { ImageSource } from '../erofs/image-source.ts';
import { malformed } from '../errors.ts';
import type { Sink } from '../fs/disk-node.ts';

export interface Partition {
  /** `c12a7328-f81f-11d2-ba4b-00a0c93ec93b`. */
  readonly type: string;
  /** The GUID of this very partition. */
  readonly id: string;
  /** At most 36 characters. */
  readonly name: string;
  /** Bytes. */
  readonly start: number;
  readonly size: number;
}

/**
 * Types that the Discoverable Partitions Specification gives. The one of an extended boot loader partition is not for
 * ext4: systemd 262 mounts such a partition as FAT only, and fails.
 */
export const PARTITION_TYPE = {
  esp: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
  linux: '0fc63daf-8483-4772-8e79-3d69d8477de4',
} as const;

/** The type of a root partition, by the architecture as uname(2) calls it. */
export const ROOT_TYPES: Readonly<Record<string, string>> = {
  x86_64: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709',
  i686: '44479540-f297-41b2-9af7-d131d5f0458a',
  aarch64: 'b921b045-1df0-41c3-af44-4c6f280d3fae',
  armv7l: '69dad710-2ce4-4e3c-b16c-21a1d49abed3',
  riscv64: '72ec70a6-cf74-40e6-bd49-4bda08e8f224',
  ppc64le: 'c31c45e6-3f39-412e-80fb-4809c4980599',
  s390x: '5eead9a9-fe09-4a1e-a1d7-520d00531306',
  loongarch64: '77055800-792c-4f94-b39a-98c91b762bb6',
};

export const SECTOR_SIZE = 512;
/** Where partitions begin: multiples of this suit every disk. */
export const PARTITION_ALIGNMENT = 1024 * 1024;

const HEADER_SIZE = 92;
const ENTRY_SIZE = 128;
const ENTRY_COUNT = 128;
const TABLE_SECTORS = (ENTRY_SIZE * ENTRY_COUNT) / SECTOR_SIZE;
const MAX_TABLE_SIZE = 1024 * 1024;
const SIGNATURE = 'EFI PART';

/** Bytes that the table's copy takes at the end of a disk. */
export const BACKUP_SIZE = (TABLE_SECTORS + 1) * SECTOR_SIZE;

/**
 * Writes the table of a disk.
 *
 * @param size of the disk, a multiple of 512
 * @param id GUID of the disk
 */
export function writeGpt(size: number, id: string, partitions: readonly Partition[], sink: Sink): void {
  const sectors = size / SECTOR_SIZE;
  const table = new Uint8Array(ENTRY_SIZE * ENTRY_COUNT);
  partitions.forEach((partition, i) => {
    table.set(encodeEntry(partition), i * ENTRY_SIZE);
  });
  sink(0, encodeProtectiveMbr(sectors));
  sink(SECTOR_SIZE, encodeHeader({ at: 1, other: sectors - 1, tableAt: 2, sectors, id, table }));
  sink(2 * SECTOR_SIZE, table);
  const backup = sectors - 1 - TABLE_SECTORS;
  sink(backup * SECTOR_SIZE, table);
  sink(
    (sectors - 1) * SECTOR_SIZE,
    encodeHeader({ at: sectors - 1, other: 1, tableAt: backup, sectors, id, table }),
  );
}

/**
 * Reads the table at the start of a disk, or its copy if that is damaged.
 *
 * @returns undefined if the disk has neither
 * @throws SealtreeError `malformed` if both are damaged
 */
export function readGpt(disk: ImageSource): Partition[] | undefined {
  const sectors = Math.floor(disk.size / SECTOR_SIZE);
  if (sectors < 2 * (TABLE_SECTORS + 2)) return undefined;
  const first = readTable(disk, 1, sectors);
  if (first !== undefined && typeof first !== 'string') return first;
  const second = readTable(disk, sectors - 1, sectors);
  if (second !== undefined && typeof second !== 'string') return second;
  if (first === undefined && second === undefined) return undefined;
  throw malformed(`partition table: ${first ?? second}`);
}

/** @returns what is wrong, as text; undefined if there is no header at all */
function readTable(disk: ImageSource, at: number, sectors: number): Partition[] | string | undefined {
  const header = disk.read(at * SECTOR_SIZE, SECTOR_SIZE);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  if (!SIGNATURE.split('').every((char, i) => header[i] === char.charCodeAt(0))) return undefined;
  if (view.getUint32(12, true) !== HEADER_SIZE) return 'header has an unknown size';
  const checked = new Uint8Array(header.subarray(0, HEADER_SIZE));
  checked.fill(0, 16, 20);
  if (crc32(checked) !== view.getUint32(16, true)) return 'header has a wrong checksum';
  const tableAt = numberAt(view, 72);
  const count = view.getUint32(80, true);
  const entrySize = view.getUint32(84, true);
  const size = count * entrySize;
  if (entrySize < ENTRY_SIZE || size > MAX_TABLE_SIZE) return `${count} entries of ${entrySize} bytes`;
  if (tableAt >= sectors || tableAt * SECTOR_SIZE + size > disk.size) return 'entries are outside the disk';
  const table = disk.read(tableAt * SECTOR_SIZE, size);
  if (crc32(table) !== view.getUint32(88, true)) return 'entries have a wrong checksum';
  const partitions: Partition[] = [];
  for (let i = 0; i < count; i++) {
    const partition = decodeEntry(table.subarray(i * entrySize, i * entrySize + ENTRY_SIZE));
    if (partition === undefined) continue;
    if (partition.size <= 0 || partition.start + partition.size > disk.size)
      return `partition ${i + 1} is not inside the disk`;
    partitions.push(partition);
  }
  return partitions;
}

/** One partition over the whole disk, so that those who know no GPT leave it alone. */
function encodeProtectiveMbr(sectors: number): Uint8Array {
  const out = new Uint8Array(SECTOR_SIZE);
  const view = new DataView(out.buffer);
  out.set([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff], 446);
  view.setUint32(454, 1, true);
  view.setUint32(458, Math.min(sectors - 1, 0xffffffff), true);
  out.set([0x55, 0xaa], 510);
  return out;
}

function encodeHeader({
  at,
  other,
  tableAt,
  sectors,
  id,
  table,
}: {
  at: number;
  other: number;
  tableAt: number;
  sectors: number;
  id: string;
  table: Uint8Array;
}): Uint8Array {
  const out = new Uint8Array(SECTOR_SIZE);
  const view = new DataView(out.buffer);
  for (let i = 0; i < SIGNATURE.length; i++) out[i] = SIGNATURE.charCodeAt(i);
  view.setUint32(8, 0x00010000, true); // revision 1.0
  view.setUint32(12, HEADER_SIZE, true);
  setNumber(view, 24, at);
  setNumber(view, 32, other);
  setNumber(view, 40, 2 + TABLE_SECTORS);
  setNumber(view, 48, sectors - 2 - TABLE_SECTORS);
  out.set(encodeGuid(id), 56);
  setNumber(view, 72, tableAt);
  view.setUint32(80, ENTRY_COUNT, true);
  view.setUint32(84, ENTRY_SIZE, true);
  view.setUint32(88, crc32(table), true);
  view.setUint32(16, crc32(out.subarray(0, HEADER_SIZE)), true);
  return out;
}

function encodeEntry({ type, id, name, start, size }: Partition): Uint8Array {
  const out = new Uint8Array(ENTRY_SIZE);
  const view = new DataView(out.buffer);
  out.set(encodeGuid(type), 0);
  out.set(encodeGuid(id), 16);
  setNumber(view, 32, start / SECTOR_SIZE);
  setNumber(view, 40, (start + size) / SECTOR_SIZE - 1);
  for (let i = 0; i < Math.min(name.length, 36); i++) view.setUint16(56 + 2 * i, name.charCodeAt(i), true);
  return out;
}

function decodeEntry(entry: Uint8Array): Partition | undefined {
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  if (entry.subarray(0, 16).every((byte) => byte === 0)) return undefined;
  const start = numberAt(view, 32);
  const end = numberAt(view, 40) + 1;
  let name = '';
  for (let i = 0; i < 36; i++) {
    const char = view.getUint16(56 + 2 * i, true);
    if (char === 0) break;
    name += String.fromCharCode(char);
  }
  return {
    type: decodeGuid(entry.subarray(0, 16)),
    id: decodeGuid(entry.subarray(16, 32)),
    name,
    start: start * SECTOR_SIZE,
    size: (end - start) * SECTOR_SIZE,
  };
}

/** A GUID has its first three numbers little-endian, the rest byte by byte. */
function encodeGuid(guid: string): Uint8Array {
  return swapGuid(parseUuid(guid));
}

function decodeGuid(data: Uint8Array): string {
  return formatUuid(swapGuid(new Uint8Array(data)));
}

function swapGuid(data: Uint8Array): Uint8Array {
  data.subarray(0, 4).reverse();
  data.subarray(4, 6).reverse();
  data.subarray(6, 8).reverse();
  return data;
}

function numberAt(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

function setNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}
