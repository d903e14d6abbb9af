/** A cpio archive of the "newc" format, as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format). @module */
import { readFileSync } from 'node:fs';

export interface CpioEntry {
  readonly name: string;
  /** Type and permissions, as in `st_mode`. */
  readonly mode: number;
  readonly data?: Uint8Array | string;
}

/** A program or other file of the host. */
export function fileEntry(name: string, path: string, mode = 0o100755): CpioEntry {
  return { name, mode, data: readFileSync(path) };
}

/** @returns the archive, with the directories above each entry added */
export function cpio(entries: readonly CpioEntry[]): Uint8Array {
  const all = new Map<string, CpioEntry>();
  for (const entry of entries) {
    const parts = entry.name.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const name = parts.slice(0, depth).join('/');
      if (!all.has(name)) all.set(name, { name, mode: 0o40755 });
    }
    all.set(entry.name, entry);
  }
  const chunks: Buffer[] = [];
  let inode = 1;
  for (const entry of [...all.values(), { name: 'TRAILER!!!', mode: 0 }]) {
    const data = Buffer.from(entry.data ?? '');
    const fields = [inode++, entry.mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, entry.name.length + 1, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${entry.name}\0`;
    chunks.push(padded(Buffer.from(header, 'latin1')), padded(data));
  }
  return Buffer.concat(chunks);
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc(-data.length & 3)]);
}
