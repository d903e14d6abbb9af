/**
 * Reads a FAT32 file system as it lies on the disk, as firmware does: no repair, the first FAT only.
 * Format: Microsoft, "FAT: General Overview of On-Disk Format", 1.03.
 * @module
 */
import type { ImageSource } from '../../src/core/erofs/image-source.ts';

export interface FatReader {
  /** Names in a directory; undefined if there is none. */
  readonly names: (path: string) => string[] | undefined;
  /** Content of a file; undefined if there is none. */
  readonly read: (path: string) => Uint8Array | undefined;
}

interface Found {
  readonly cluster: number;
  readonly size: number;
  readonly directory: boolean;
}

const ENTRY_SIZE = 32;
const LONG_NAME = 0x0f;
const VOLUME_LABEL = 0x08;
const DIRECTORY = 0x10;
/** Where a long name's entry has its UTF-16 units. */
const UNITS = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/** @throws Error, then and later, for what is not as it must be */
export function readFat(source: ImageSource): FatReader {
  const boot = viewOf(source.read(0, 512));
  const clusterSize = boot.getUint16(11, true) * boot.getUint8(13);
  const fatStart = boot.getUint16(14, true) * boot.getUint16(11, true);
  const fatSize = boot.getUint32(36, true) * boot.getUint16(11, true);
  const dataStart = fatStart + boot.getUint8(16) * fatSize;
  const fat = viewOf(source.read(fatStart, fatSize));
  const root: Found = { cluster: boot.getUint32(44, true), size: 0, directory: true };

  const clusters = (first: number, limit: number): number[] => {
    const chain: number[] = [];
    for (
      let at = first;
      at < 0x0ffffff8 && chain.length < limit;
      at = fat.getUint32(4 * at, true) & 0x0fffffff
    ) {
      if (at < 2 || 4 * at + 4 > fat.byteLength) throw new Error(`a chain of clusters leads to ${at}`);
      chain.push(at);
    }
    return chain;
  };
  const content = (first: number, limit: number): Uint8Array =>
    Buffer.concat(
      clusters(first, limit).map((cluster) =>
        source.read(dataStart + (cluster - 2) * clusterSize, clusterSize),
      ),
    );
  const list = ({ cluster }: Found) => entriesOf(content(cluster, 65_536));
  const find = (path: string): Found | undefined => {
    let found: Found | undefined = root;
    for (const name of path.split('/').filter((part) => part !== ''))
      found = found?.directory ? list(found).get(name) : undefined;
    return found;
  };
  return {
    names(path) {
      const found = find(path);
      return found?.directory ? [...list(found).keys()] : undefined;
    },
    read(path) {
      const found = find(path);
      if (found === undefined || found.directory) return undefined;
      if (found.size === 0) return new Uint8Array(0);
      const data = content(found.cluster, Math.ceil(found.size / clusterSize));
      if (data.length < found.size) throw new Error(`${path}: ${data.length} bytes of ${found.size}`);
      return data.subarray(0, found.size);
    },
  };
}

function entriesOf(data: Uint8Array): Map<string, Found> {
  const view = viewOf(data);
  const found = new Map<string, Found>();
  let long = '';
  let sum = -1;
  for (let at = 0; at < data.length && view.getUint8(at) !== 0; at += ENTRY_SIZE) {
    const attributes = view.getUint8(at + 11);
    if (view.getUint8(at) === 0xe5) {
      long = '';
    } else if ((attributes & 0x3f) === LONG_NAME) {
      const part = String.fromCharCode(...UNITS.map((unit) => view.getUint16(at + unit, true)));
      const last = (view.getUint8(at) & 0x40) !== 0;
      const same = !last && sum === view.getUint8(at + 13);
      long = last ? part : same ? part + long : '';
      sum = view.getUint8(at + 13);
    } else {
      const short = data.subarray(at, at + 11);
      const name =
        long !== '' && sum === checksum(short)
          ? long.replace(/\0.*$/s, '')
          : shortName(short, view.getUint8(at + 12));
      long = '';
      if ((attributes & VOLUME_LABEL) !== 0) continue;
      found.set(name, {
        cluster: view.getUint16(at + 20, true) * 65_536 + view.getUint16(at + 26, true),
        size: view.getUint32(at + 28, true),
        directory: (attributes & DIRECTORY) !== 0,
      });
    }
  }
  found.delete('.');
  found.delete('..');
  return found;
}

/** Of the short name, in each entry of the long one that belongs to it. */
function checksum(short: Uint8Array): number {
  return short.reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0);
}

/** @param cases which part is in lower case: bit 3 the name, bit 4 what is behind the dot */
function shortName(short: Uint8Array, cases: number): string {
  const part = (start: number, end: number, bit: number) => {
    const text = String.fromCharCode(...short.subarray(start, end)).trimEnd();
    return (cases & bit) === 0 ? text : text.toLowerCase();
  };
  const extension = part(8, 11, 0x10);
  return extension === '' ? part(0, 8, 8) : `${part(0, 8, 8)}.${extension}`;
}

function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
