/**
 * Writes a FAT32 file system with long names, as firmware wants it of the partition that it boots from.
 * Defined by the Microsoft FAT specification (fatgen103, EFI FAT32 specification 1.03).
 * @module
 */
import { roundUp } from '../bytes/align.ts';
import {
  type ByteString,
  byteString,
  decodeUtf8,
  displayByteString,
  writeByteString,
} from '../bytes/byte-string.ts';
import { malformed, SealtreeError } from '../errors.ts';
import type { DiskNode, ReadContent, Sink } from '../fs/disk-node.ts';
import { isRegular } from '../fs/mode.ts';

export interface FatOptions {
  /** 32 bits that name the file system. */
  readonly id: number;
  /** At most 11 characters of upper-case ASCII. */
  readonly label: string;
  /** Bytes. */
  readonly size: number;
  /** Bytes before it on the disk. */
  readonly start: number;
  /** Seconds since 1970. */
  readonly timestamp: number;
}

const SECTOR = 512;
const RESERVED_SECTORS = 32;
const FATS = 2;
/** With fewer clusters it would count as FAT16. */
const MIN_CLUSTERS = 65525;
const MAX_FILE_SIZE = 0xffffffff;
const END_OF_CHAIN = 0x0fffffff;
const ENTRY = 32;
const FIRST_CLUSTER = 2;

const ATTRIBUTE = { volume: 0x08, directory: 0x10, archive: 0x20, longName: 0x0f } as const;
/** Characters of a long name in one entry, and where they stand. */
const LONG_NAME_PLACES = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30] as const;

interface Geometry {
  readonly sectorsPerCluster: number;
  readonly fatSectors: number;
  readonly clusters: number;
}

interface Placed {
  readonly node: DiskNode;
  readonly path: string;
  /** 0 for an empty file. */
  cluster: number;
  readonly parent: Placed | undefined;
  /** Of a directory: its entries, encoded but for where their content begins. */
  readonly entries: { readonly child: Placed; readonly data: Uint8Array }[];
}

/** The smallest size in bytes that a FAT32 file system can have. */
export const MIN_FAT_SIZE = 34 * 1024 * 1024;

/**
 * Writes the tree; permissions, owners and xattrs have no place in it.
 *
 * @throws SealtreeError `unsupported` for what is neither file nor directory, and if the tree does not fit
 */
export function writeFat(root: DiskNode, options: FatOptions, read: ReadContent, sink: Sink): void {
  const geometry = geometryOf(options.size);
  const all = gather(root, options.timestamp);
  const fat = new Uint32Array(geometry.clusters + FIRST_CLUSTER);
  fat[0] = 0x0ffffff8;
  fat[1] = END_OF_CHAIN;
  const clusterSize = geometry.sectorsPerCluster * SECTOR;
  let next = FIRST_CLUSTER;
  for (const placed of all) {
    const bytes = placed.node.entries === undefined ? placed.node.size : Math.max(1, directorySize(placed));
    const count = Math.ceil(bytes / clusterSize);
    if (count === 0) continue;
    if (next + count > fat.length)
      throw new SealtreeError(
        'unsupported',
        `the boot files do not fit a partition of ${options.size} bytes`,
      );
    placed.cluster = next;
    for (let i = 1; i < count; i++) fat[next + i - 1] = next + i;
    fat[next + count - 1] = END_OF_CHAIN;
    next += count;
  }
  const dataStart = (RESERVED_SECTORS + FATS * geometry.fatSectors) * SECTOR;
  const placeOf = (cluster: number) => dataStart + (cluster - FIRST_CLUSTER) * clusterSize;
  for (const placed of all) {
    if (placed.node.entries !== undefined) {
      sink(placeOf(placed.cluster), encodeDirectory(placed, options));
    } else if (placed.node.size > 0) {
      let at = placeOf(placed.cluster);
      read(placed.node, (piece) => {
        sink(at, piece);
        at += piece.length;
      });
    }
  }
  writeHeads(geometry, options, next, sink);
  const bytes = new Uint8Array(fat.length * 4);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < next; i++) view.setUint32(4 * i, fat[i] as number, true);
  for (let i = 0; i < FATS; i++)
    sink((RESERVED_SECTORS + i * geometry.fatSectors) * SECTOR, bytes.subarray(0, next * 4));
}

function geometryOf(size: number): Geometry {
  const sectors = Math.floor(size / SECTOR);
  for (let sectorsPerCluster = 8; sectorsPerCluster >= 1; sectorsPerCluster /= 2) {
    // As many clusters as there would be without the tables: the tables are at most a little too large.
    const most = Math.floor((sectors - RESERVED_SECTORS) / sectorsPerCluster);
    const fatSectors = Math.ceil(((most + FIRST_CLUSTER) * 4) / SECTOR);
    const clusters = Math.floor((sectors - RESERVED_SECTORS - FATS * fatSectors) / sectorsPerCluster);
    if (clusters >= MIN_CLUSTERS) return { sectorsPerCluster, fatSectors, clusters };
  }
  throw new SealtreeError('unsupported', `${size} bytes are too few for a FAT32 file system`);
}

/** Everything in the tree, directories before what is in them. */
function gather(root: DiskNode, timestamp: number): Placed[] {
  const top: Placed = { node: root, path: '', cluster: 0, parent: undefined, entries: [] };
  const all = [top];
  for (let i = 0; i < all.length; i++) {
    const directory = all[i] as Placed;
    if (directory.node.entries === undefined) continue;
    const shortNames = new Set<string>();
    const folded = new Set<string>();
    for (const name of [...directory.node.entries.keys()].sort()) {
      const node = directory.node.entries.get(name) as DiskNode;
      const path = `${directory.path}/${displayByteString(name)}`;
      if (node.entries === undefined && !isRegular(node.mode))
        throw new SealtreeError('unsupported', `${path}: FAT has files and directories only`);
      if (node.size > MAX_FILE_SIZE)
        throw new SealtreeError('unsupported', `${path}: ${node.size} bytes are more than FAT can hold`);
      if (folded.has(path.toLowerCase()))
        throw new SealtreeError('unsupported', `${path}: FAT takes names that differ in case only for one`);
      folded.add(path.toLowerCase());
      const child: Placed = { node, path, cluster: 0, parent: directory, entries: [] };
      directory.entries.push({ child, data: encodeEntries(child, name, shortNames, timestamp) });
      all.push(child);
    }
  }
  return all;
}

function directorySize({ entries, parent }: Placed): number {
  const special = parent === undefined ? 1 : 2;
  return entries.reduce((sum, { data }) => sum + data.length, special * ENTRY);
}

function encodeDirectory(placed: Placed, { label, timestamp }: FatOptions): Uint8Array {
  const out = new Uint8Array(directorySize(placed));
  let at = 0;
  const add = (data: Uint8Array, cluster: number) => {
    out.set(data, at);
    at += data.length;
    const view = new DataView(out.buffer, at - ENTRY, ENTRY);
    view.setUint16(20, cluster >>> 16, true);
    view.setUint16(26, cluster & 0xffff, true);
  };
  const { parent } = placed;
  if (parent === undefined) add(shortEntry(label.padEnd(11), ATTRIBUTE.volume, 0, timestamp), 0);
  else {
    add(shortEntry('.          ', ATTRIBUTE.directory, 0, timestamp), placed.cluster);
    // The root is known as 0 here.
    const above = parent.parent === undefined ? 0 : parent.cluster;
    add(shortEntry('..         ', ATTRIBUTE.directory, 0, timestamp), above);
  }
  for (const { child, data } of placed.entries) add(data, child.cluster);
  return out;
}

/** The entries of one name: those of the long name, last part first, then the short one. */
function encodeEntries(
  { node, path }: Placed,
  name: ByteString,
  shortNames: Set<string>,
  timestamp: number,
): Uint8Array {
  const text = decodeUtf8(name);
  if (text === undefined || text.length > 255 || /[\x00-\x1f"*/:<>?\\|\x7f]|[. ]$/.test(text))
    throw malformed(`${displayByteString(byteString(path))}: not a name that FAT can hold`);
  const short = shortName(text, shortNames);
  const attribute = node.entries === undefined ? ATTRIBUTE.archive : ATTRIBUTE.directory;
  const entry = shortEntry(short, attribute, node.entries === undefined ? node.size : 0, timestamp);
  if (`${short.slice(0, 8).trimEnd()}.${short.slice(8).trimEnd()}`.replace(/\.$/, '') === text) return entry;
  const parts = Math.ceil(text.length / LONG_NAME_PLACES.length);
  const out = new Uint8Array((parts + 1) * ENTRY);
  const checksum = shortNameChecksum(entry);
  for (let part = 0; part < parts; part++) {
    const view = new DataView(out.buffer, (parts - 1 - part) * ENTRY, ENTRY);
    view.setUint8(0, (part + 1) | (part === parts - 1 ? 0x40 : 0));
    view.setUint8(11, ATTRIBUTE.longName);
    view.setUint8(13, checksum);
    LONG_NAME_PLACES.forEach((place, i) => {
      const at = part * LONG_NAME_PLACES.length + i;
      // One zero ends the name, the rest is filled up.
      view.setUint16(place, at < text.length ? text.charCodeAt(at) : at === text.length ? 0 : 0xffff, true);
    });
  }
  out.set(entry, parts * ENTRY);
  return out;
}

/** 11 characters: the name itself where it is a short one, else its begin and a number that nobody else has. */
function shortName(text: string, taken: Set<string>): string {
  const match = /^([A-Z0-9_-]{1,8})(?:\.([A-Z0-9_-]{1,3}))?$/.exec(text);
  const own = match === null ? undefined : `${(match[1] as string).padEnd(8)}${(match[2] ?? '').padEnd(3)}`;
  if (own !== undefined && !taken.has(own)) {
    taken.add(own);
    return own;
  }
  const dot = text.lastIndexOf('.');
  const clean = (part: string) => part.toUpperCase().replaceAll(/[^A-Z0-9_-]/g, '');
  const base = clean(dot > 0 ? text.slice(0, dot) : text);
  const extension = (dot > 0 ? clean(text.slice(dot + 1)) : '').slice(0, 3).padEnd(3);
  for (let number = 1; ; number++) {
    const tail = `~${number}`;
    const candidate = `${(base.slice(0, 8 - tail.length) + tail).padEnd(8)}${extension}`;
    if (taken.has(candidate)) continue;
    taken.add(candidate);
    return candidate;
  }
}

function shortEntry(name: string, attribute: number, size: number, timestamp: number): Uint8Array {
  const out = new Uint8Array(ENTRY);
  const view = new DataView(out.buffer);
  writeByteString(out, 0, byteString(name));
  const { date, time } = dosTime(timestamp);
  out[11] = attribute;
  view.setUint16(14, time, true);
  view.setUint16(16, date, true);
  view.setUint16(18, date, true);
  view.setUint16(22, time, true);
  view.setUint16(24, date, true);
  view.setUint32(28, size, true);
  return out;
}

function shortNameChecksum(entry: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < 11; i++) sum = ((((sum & 1) << 7) | (sum >>> 1)) + (entry[i] as number)) & 0xff;
  return sum;
}

/** In UTC; FAT has no time before 1980. */
function dosTime(timestamp: number): { date: number; time: number } {
  const when = new Date(Math.max(timestamp, 315532800) * 1000);
  return {
    date: ((when.getUTCFullYear() - 1980) << 9) | ((when.getUTCMonth() + 1) << 5) | when.getUTCDate(),
    time: (when.getUTCHours() << 11) | (when.getUTCMinutes() << 5) | (when.getUTCSeconds() >>> 1),
  };
}

/** The boot sector, the count of free clusters, and copies of both. */
function writeHeads(
  { sectorsPerCluster, fatSectors, clusters }: Geometry,
  { id, label, size, start }: FatOptions,
  next: number,
  sink: Sink,
): void {
  const boot = new Uint8Array(SECTOR);
  const view = new DataView(boot.buffer);
  boot.set([0xeb, 0x58, 0x90]);
  writeByteString(boot, 3, byteString('SEALTREE'));
  view.setUint16(11, SECTOR, true);
  boot[13] = sectorsPerCluster;
  view.setUint16(14, RESERVED_SECTORS, true);
  boot[16] = FATS;
  boot[21] = 0xf8; // a fixed disk
  view.setUint16(24, 32, true);
  view.setUint16(26, 64, true);
  view.setUint32(28, roundUp(start, SECTOR) / SECTOR, true);
  view.setUint32(32, Math.floor(size / SECTOR), true);
  view.setUint32(36, fatSectors, true);
  view.setUint32(44, FIRST_CLUSTER, true); // the root
  view.setUint16(48, 1, true); // where the counts are
  view.setUint16(50, 6, true); // where the copy is
  boot[64] = 0x80;
  boot[66] = 0x29;
  view.setUint32(67, id, true);
  writeByteString(boot, 71, byteString(label.padEnd(11).slice(0, 11)));
  writeByteString(boot, 82, byteString('FAT32   '));
  // What a BIOS would run: stop.
  boot.set([0xfa, 0xf4, 0xeb, 0xfd], 90);
  boot.set([0x55, 0xaa], 510);
  const counts = new Uint8Array(SECTOR);
  const countsView = new DataView(counts.buffer);
  countsView.setUint32(0, 0x41615252, true);
  countsView.setUint32(484, 0x61417272, true);
  countsView.setUint32(488, clusters + FIRST_CLUSTER - next, true);
  countsView.setUint32(492, next, true);
  countsView.setUint32(508, 0xaa550000, true);
  for (const at of [0, 6]) {
    sink(at * SECTOR, boot);
    sink((at + 1) * SECTOR, counts);
  }
}
