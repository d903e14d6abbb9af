/** Members of cpio archives with every field as a test wants it, also in ways that no program writes. @module */
import { gzipSync } from 'node:zlib';
import { type Decompress, unpack } from '../../src/initramfs/archives.ts';
import { decompress } from '../../src/initramfs/decompress.ts';
import type { RootFileSystem } from '../../src/initramfs/root-file-system.ts';

export interface Fields {
  readonly magic?: string;
  readonly inode?: number;
  readonly mode?: number;
  readonly nlink?: number;
  readonly size?: number;
  readonly nameSize?: number;
  readonly checksum?: number;
}

export const file = (name: string, data = '', fields: Fields = {}) => member(name, data, fields);
export const directory = (name: string, fields: Fields = {}) =>
  member(name, '', { mode: 0o40755, nlink: 2, ...fields });
export const symlink = (name: string, target: string) => member(name, target, { mode: 0o120777 });
export const device = (name: string) => member(name, '', { mode: 0o20600 });
export const TRAILER = member('TRAILER!!!', '', { mode: 0, inode: 0 });

/** One member with its padding, at an offset that is a multiple of four. */
export function member(name: string, data: string, fields: Fields = {}): Buffer {
  const content = Buffer.from(data, 'latin1');
  const { magic = '070701', inode = 7, mode = 0o100644, nlink = 1, checksum = 0 } = fields;
  const { size = content.length, nameSize = name.length + 1 } = fields;
  const numbers = [inode, mode, 0, 0, nlink, 0, size, 0, 0, 0, 0, nameSize, checksum];
  const header = magic + numbers.map((number) => number.toString(16).padStart(8, '0')).join('');
  return Buffer.concat([padded(Buffer.from(`${header}${name}\0`, 'latin1')), padded(content)]);
}

export function padded(data: Uint8Array, to = 4): Buffer {
  return Buffer.concat([data, Buffer.alloc((to - (data.length % to)) % to)]);
}

/** Unpacks members, one image of them. */
export function unpacked(...members: Uint8Array[]): RootFileSystem {
  return unpack(Buffer.concat(members), decompress).root;
}

/** What stands where: `path: content`, `path -> target`, `path/`, `path (other)`. */
export function listing(root: RootFileSystem, path = ''): string[] {
  return (root.list((path || '/') as never) ?? []).flatMap((name) => {
    const at = `${path}/${name}`;
    const node = root.findItself(at as never);
    if (node?.kind === 'directory') return [`${at}/`, ...listing(root, at)];
    if (node?.kind === 'symlink') return [`${at} -> ${node.target}`];
    if (node?.kind === 'file') return [`${at}: ${Buffer.from(node.data).toString('latin1')}`];
    return [`${at} (other)`];
  });
}

export const gzip = (...members: Uint8Array[]): Buffer => gzipSync(Buffer.concat(members));

/** For images in which nothing is compressed. */
export const neverCompressed: Decompress = () => {
  throw new Error('nothing here is compressed');
};
