/**
 * Writes initramfs archives, the same bytes for the same members.
 * Defined by Linux: Documentation/driver-api/early-userspace/buffer-format.rst, "newc".
 * @module
 */

import { type ByteString, byteString, bytesOf } from '../bytes/byte-string.ts';
import { joinBytes } from '../bytes/join-bytes.ts';
import { malformed } from '../errors.ts';
import { S_IFDIR } from '../fs/mode.ts';

export interface CpioMember {
  /** Without a slash at its start. */
  readonly path: ByteString;
  /** `st_mode` with the type bits. */
  readonly mode: number;
  /** Content of a file, target of a symlink; empty for a directory. */
  readonly data: Uint8Array;
}

const TRAILER = byteString('TRAILER!!!');
/** Sizes stand in eight hexadecimal digits. */
const MAX_SIZE = 0xffffffff;
const NOTHING = new Uint8Array(0);

/**
 * Encodes an archive: members in byte order of their paths, owned by root, as old as 1970. Directories that lead to
 * them are added where they are missing.
 *
 * @returns a multiple of four bytes, so that another archive can follow
 */
export function encodeCpio(members: readonly CpioMember[]): Uint8Array {
  const all = new Map<ByteString, CpioMember>();
  for (const member of members) {
    for (let slash = member.path.indexOf('/'); slash >= 0; slash = member.path.indexOf('/', slash + 1)) {
      const path = byteString(member.path.slice(0, slash));
      if (!all.has(path)) all.set(path, { path, mode: S_IFDIR | 0o755, data: NOTHING });
    }
    if (member.path === '' || member.data.length > MAX_SIZE)
      throw malformed(`initramfs: ${member.path}: cannot be in an archive`);
    all.set(member.path, member);
  }
  const sorted = [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  const chunks: Uint8Array[] = [];
  sorted.forEach((member, index) => {
    chunks.push(...encodeMember(member, index + 1));
  });
  chunks.push(...encodeMember({ path: TRAILER, mode: 0, data: NOTHING }, 0));
  return joinBytes(chunks);
}

function encodeMember({ path, mode, data }: CpioMember, inode: number): Uint8Array[] {
  const links = mode === 0 ? 0 : 1;
  const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, 0, 0, path.length + 1, 0];
  const digits = fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  return [padded(bytesOf(byteString(`070701${digits}${path}\0`))), padded(data)];
}

function padded(data: Uint8Array): Uint8Array {
  if (data.length % 4 === 0) return data;
  const out = new Uint8Array(data.length + (-data.length & 3));
  out.set(data);
  return out;
}
