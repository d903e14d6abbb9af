/**
 * Reads the tar archives among the test vectors: pax, with extended attributes as GNU tar stores them.
 * @module
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export interface TarEntry {
  /** Path, one character a byte, without a slash at its end. */
  readonly name: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink' | 'other';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Target of a symbolic or hard link, one character a byte. */
  readonly target: string;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  readonly data: Uint8Array;
}

const TYPES = { '0': 'file', '\0': 'file', '5': 'directory', '2': 'symlink', '1': 'hardlink' } as const;
const XATTR_PREFIX = 'SCHILY.xattr.';

/** The entries of a gzipped archive in their order. */
export function readTar(path: string): TarEntry[] {
  const archive = gunzipSync(readFileSync(path));
  const entries: TarEntry[] = [];
  let extra = new Map<string, Buffer>();
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0; ) {
    const header = archive.subarray(at, at + 512);
    const size = Number.parseInt(field(header, 124, 12), 8);
    const data = archive.subarray(at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
    const flag = String.fromCharCode(header[156] as number);
    if (flag === 'x') {
      extra = paxRecords(data);
      continue;
    }
    entries.push(entryOf(header, flag, data, extra));
    extra = new Map();
  }
  return entries;
}

function entryOf(header: Buffer, flag: string, data: Buffer, extra: Map<string, Buffer>): TarEntry {
  const prefix = field(header, 345, 155);
  const plainName = prefix === '' ? field(header, 0, 100) : `${prefix}/${field(header, 0, 100)}`;
  const text = (key: string, plain: string) => extra.get(key)?.toString('latin1') ?? plain;
  const xattrs = [...extra].filter(([key]) => key.startsWith(XATTR_PREFIX));
  return {
    name: text('path', plainName).replace(/\/$/, ''),
    type: TYPES[flag as keyof typeof TYPES] ?? 'other',
    mode: Number.parseInt(field(header, 100, 8), 8),
    uid: Number(text('uid', String(Number.parseInt(field(header, 108, 8), 8)))),
    gid: Number(text('gid', String(Number.parseInt(field(header, 116, 8), 8)))),
    target: text('linkpath', field(header, 157, 100)),
    xattrs: new Map(xattrs.map(([key, value]) => [key.slice(XATTR_PREFIX.length), value])),
    data,
  };
}

function field(header: Buffer, start: number, length: number): string {
  return header
    .subarray(start, start + length)
    .toString('latin1')
    .replace(/\0.*$/s, '');
}

/** Records of a pax header: `LENGTH KEY=VALUE\n`, the length that of the whole record. */
function paxRecords(data: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < data.length; ) {
    const length = Number.parseInt(data.subarray(at, at + 20).toString('latin1'), 10);
    const record = data.subarray(data.indexOf(' ', at) + 1, at + length - 1);
    const equals = record.indexOf('=');
    records.set(record.subarray(0, equals).toString('latin1'), record.subarray(equals + 1));
    at += length;
  }
  return records;
}
