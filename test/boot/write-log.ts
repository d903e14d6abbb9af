/**
 * The log of a disk's writes and flushes, and what a power cut may leave of them: all that was written before the last
 * flush, and of what came later any part, sector by sector, as a disk with a volatile cache has it.
 * Format: Linux, Documentation/admin-guide/device-mapper/log-writes.rst; QEMU's `blklogwrites` writes it without FUA,
 * for which virtio disks have a flush behind the write.
 * @module
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

export interface Write {
  /** Byte on the disk. */
  readonly at: number;
  readonly data: Uint8Array;
}

export type LogEntry = Write | 'flush';

/** A random number of 0 up to and not including 1. */
export type Random = () => number;

export interface Cut {
  /** How many entries of the log there were when the power went. */
  readonly entries: number;
  /** The writes since the last flush that reached the disk, as far as they did, in their order. */
  readonly survived: readonly Write[];
}

const MAGIC = 0x6a736677736872n;
const FLUSH = 1n;
const SECTOR = 512;
/** What a disk writes whole or not at all: a physical sector of today's. ext4 relies on it for its own superblock. */
const BLOCK = 4096;

/** @throws Error for anything but writes and flushes */
export function readWriteLog(path: string): LogEntry[] {
  const data = readFileSync(path);
  if (data.readBigUInt64LE(0) !== MAGIC || data.readBigUInt64LE(8) !== 1n || data.readUInt32LE(24) !== SECTOR)
    throw new Error(`${path} is not a log of writes`);
  const entries: LogEntry[] = [];
  let at = SECTOR;
  for (let count = data.readBigUInt64LE(16); count > 0n; count--) {
    const sector = Number(data.readBigUInt64LE(at));
    const length = Number(data.readBigUInt64LE(at + 8)) * SECTOR;
    const flags = data.readBigUInt64LE(at + 16);
    at += SECTOR;
    if ((flags & ~FLUSH) !== 0n) throw new Error(`${path}: flags ${flags}`);
    if (length > 0) entries.push({ at: sector * SECTOR, data: data.subarray(at, at + length) });
    if ((flags & FLUSH) !== 0n) entries.push('flush');
    at += length;
  }
  return entries;
}

/** Where, by number of entries, the text was written to a place. */
export function findMark(log: readonly LogEntry[], at: number, text: string): number {
  const index = log.findIndex(
    (entry) =>
      entry !== 'flush' &&
      entry.at <= at &&
      at < entry.at + entry.data.length &&
      Buffer.from(entry.data.subarray(at - entry.at, at - entry.at + SECTOR))
        .toString('latin1')
        .startsWith(`${text} `),
  );
  if (index < 0) throw new Error(`no write of '${text}'`);
  return index;
}

/** How many entries are certain to be on the disk when the power goes after `entries`. */
export function durable(log: readonly LogEntry[], entries: number): number {
  return log.lastIndexOf('flush', entries - 1) + 1;
}

/**
 * Lets the power go.
 *
 * @param certain how many entries are certain to be on the disk
 */
export function cutPower(log: readonly LogEntry[], entries: number, random: Random, certain: number): Cut {
  // From a cache that was written back up to the last to one that had hardly begun.
  const chance = random();
  const torn = random() / 2;
  const survived: Write[] = [];
  for (const entry of log.slice(certain, entries)) {
    if (entry === 'flush' || random() >= chance) continue;
    if (random() >= torn) survived.push(entry);
    else survived.push(...blocks(entry).filter(() => random() < 0.5));
  }
  return { entries, survived };
}

/** Parts of a write of which a disk writes each whole or not at all. */
function blocks({ at, data }: Write): Write[] {
  const parts: Write[] = [];
  for (let from = 0; from < data.length; ) {
    const to = Math.min(data.length, from + BLOCK - ((at + from) % BLOCK));
    parts.push({ at: at + from, data: data.subarray(from, to) });
    from = to;
  }
  return parts;
}

/** Writes to a file what belongs to the part of the disk that it holds. */
export function replay(
  path: string,
  { start, size }: { start: number; size: number },
  entries: Iterable<LogEntry>,
): void {
  const fd = openSync(path, 'r+');
  for (const entry of entries) {
    if (entry === 'flush' || entry.at < start || entry.at >= start + size) continue;
    writeSync(fd, entry.data, 0, entry.data.length, entry.at - start);
  }
  closeSync(fd);
}

/** Numbers that follow from a seed: mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
