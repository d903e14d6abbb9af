/**
 * The directory that test/vectors/dirscan was made from: every kind of file, sizes around the inline limit, owners,
 * xattrs of three name spaces, an ACL, a hard link and times with nanoseconds.
 * @module
 */
import { chmodSync, chownSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { setXattr } from '../../src/node/syscalls.ts';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { expectSuccess, run } from '../run.ts';

/** Makes the tree; `whiteout` adds a device 0:0. Needs root. */
export function makeScanTree(path: string, { whiteout = false } = {}): void {
  const names: string[] = [];
  const at = (name: string): string => {
    const full = name === '' ? path : `${path}/${name}`;
    names.push(full);
    return full;
  };
  const directory = (name: string) => {
    mkdirSync(at(name));
    chmodSync(`${path}/${name}`, 0o755);
  };
  const file = (name: string, data: Uint8Array | string) => {
    writeFileSync(at(name), data);
    chmodSync(`${path}/${name}`, 0o644);
  };
  const node = (name: string, ...how: string[]) => command('mknod', '-m', '644', at(name), ...how);
  const xattr = (name: string, key: string, value: string) =>
    setXattr(byteString(`${path}/${name}`), byteString(key), byteString(value));

  for (const name of ['', 'd1', 'd1/sub', 'd2', 'empty']) directory(name);
  for (const size of [0, 1, 63, 64, 65, 4096, 4097, 100_000]) file(`d1/f${size}`, vectorBytes(size));
  file('d2/dup65', vectorBytes(65));
  linkSync(`${path}/d1/f100000`, at('d2/hard'));
  symlinkSync('../d1/f1', at('d2/sym'));
  node('d2/fifo', 'p');
  file('d1/sub/ü ñ', 'x');
  chmodSync(`${path}/d1/f64`, 0o4755);
  chmodSync(`${path}/d1/f65`, 0o600);
  chownSync(`${path}/d1/f63`, 1000, 70_000);
  xattr('d1/f1', 'user.note', 'hi');
  xattr('d1', 'user.note', 'hi');
  xattr('d1/f65', 'trusted.tst', 't');
  xattr('d2', 'trusted.overlay.opaque', 'y');
  xattr('d1/f4096', 'system.posix_acl_access', ACL);
  node('d2/null', 'c', '1', '3');
  node('d2/loop', 'b', '7', '0');
  if (whiteout) node('d2/gone', 'c', '0', '0');

  // Times by place in the reversed order of the paths, the fraction's digits counting up.
  const reversed = names
    .map((name) => Buffer.from(name))
    .sort(Buffer.compare)
    .reverse();
  for (const [i, name] of reversed.entries()) {
    command('touch', '-h', '-d', `@${1_700_000_000 + ((i + 1) % 5)}.${(i + 1) * 1000 + 7}`, name.toString());
  }
  command('touch', '-h', '-d', '@1700000000.000000007', path);
}

/** rw for the owner, r for user 1000, the group, the mask and others, as the kernel stores it (version 2). */
const ACL = [
  '\x02\0\0\0',
  '\x01\0\x06\0\xff\xff\xff\xff',
  '\x02\0\x04\0\xe8\x03\0\0',
  '\x04\0\x04\0\xff\xff\xff\xff',
  '\x10\0\x04\0\xff\xff\xff\xff',
  '\x20\0\x04\0\xff\xff\xff\xff',
].join('');

function command(...words: string[]): void {
  expectSuccess(run(words), words);
}
