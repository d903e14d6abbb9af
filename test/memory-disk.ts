/** A disk in memory, and trees to be written to disks. @module */
import { type ByteString, byteString } from '../src/core/bytes/byte-string.ts';
import type { ImageSource } from '../src/core/erofs/image-source.ts';
import type { DiskNode, ReadContent, Sink } from '../src/core/fs/disk-node.ts';

export interface MemoryDisk {
  readonly bytes: Uint8Array;
  readonly source: ImageSource;
  readonly sink: Sink;
}

export function memoryDisk(size: number): MemoryDisk {
  const bytes = new Uint8Array(size);
  return {
    bytes,
    source: {
      size,
      read(at, length) {
        if (at < 0 || length < 0 || at + length > size) throw new RangeError(`read of ${length} at ${at}`);
        return bytes.subarray(at, at + length);
      },
    },
    sink: (at, data) => {
      if (at < 0 || at + data.length > size) throw new RangeError(`write of ${data.length} at ${at}`);
      bytes.set(data, at);
    },
  };
}

const NODE: DiskNode = {
  mode: 0o100644,
  uid: 0,
  gid: 0,
  rdev: 0,
  mtime: 1700000000,
  xattrs: [],
  size: 0,
  target: undefined,
  verity: false,
  immutable: false,
  entries: undefined,
};

/** Nodes whose content is kept beside them. */
export class DiskTree {
  readonly #content = new Map<DiskNode, Uint8Array>();

  readonly read: ReadContent = (node, take) => {
    const data = this.#content.get(node) as Uint8Array;
    // In two pieces, so that none is whole blocks by chance.
    const middle = Math.floor(data.length / 3);
    if (middle > 0) take(data.subarray(0, middle));
    take(data.subarray(middle));
  };

  file(data: Uint8Array, more: Partial<DiskNode> = {}): DiskNode {
    const node = { ...NODE, size: data.length, ...more };
    this.#content.set(node, data);
    return node;
  }

  symlink(target: string, more: Partial<DiskNode> = {}): DiskNode {
    return { ...NODE, mode: 0o120777, target: byteString(target), ...more };
  }

  directory(entries: Readonly<Record<string, DiskNode>>, more: Partial<DiskNode> = {}): DiskNode {
    const map = new Map(
      Object.entries(entries).map(([name, node]): [ByteString, DiskNode] => [byteString(name), node]),
    );
    return { ...NODE, mode: 0o040755, entries: map, ...more };
  }

  device(mode: number, rdev: number): DiskNode {
    return { ...NODE, mode, rdev };
  }
}
