/**
 * The dirmeta object: owner, mode and extended attributes of a directory, GVariant `(uuua(ayay))`.
 * Defined by ostree's repository format.
 * @module
 */
import { malformed } from '../errors.ts';
import type { Xattr } from '../fs/file-tree.ts';
import { isDirectory } from '../fs/mode.ts';
import { decodeVariant } from '../gvariant/decode.ts';
import { encodeVariant } from '../gvariant/encode.ts';
import type { Value } from '../gvariant/value.ts';
import { swap32 } from './big-endian.ts';
import { xattrsFrom, xattrsValue } from './xattrs.ts';

export const DIRMETA_TYPE = '(uuua(ayay))';

export interface Dirmeta {
  readonly uid: number;
  readonly gid: number;
  /** With the type bits of a directory. */
  readonly mode: number;
  /** Keys without NUL; in any order when encoded, sorted when decoded. */
  readonly xattrs: readonly Xattr[];
}

/** The bytes of the object; their SHA-256 is its name. */
export function encodeDirmeta({ uid, gid, mode, xattrs }: Dirmeta): Uint8Array {
  return encodeVariant(DIRMETA_TYPE, [swap32(uid), swap32(gid), swap32(mode), xattrsValue(xattrs)]);
}

/**
 * Decodes and validates a dirmeta object.
 *
 * @param what names the object in messages: `CHECKSUM.dirmeta`
 * @throws SealtreeError `malformed`
 */
export function decodeDirmeta(data: Uint8Array, what: string): Dirmeta {
  const [uid, gid, mode, xattrs] = decodeVariant(DIRMETA_TYPE, data, what) as [number, number, number, Value];
  const dirmeta = {
    uid: swap32(uid),
    gid: swap32(gid),
    mode: swap32(mode),
    xattrs: xattrsFrom(xattrs, what),
  };
  if (!isDirectory(dirmeta.mode))
    throw malformed(`${what}: Invalid directory metadata mode ${dirmeta.mode}; not a directory`);
  validatePermissions(dirmeta.mode, what);
  return dirmeta;
}

/**
 * Checks that a mode has no bits besides the type, permissions, suid, sgid and sticky.
 *
 * @throws SealtreeError `malformed`
 */
export function validatePermissions(mode: number, what: string): void {
  if ((mode & ~0o177777) !== 0) throw malformed(`${what}: Invalid mode ${mode}; invalid bits in mode`);
}
