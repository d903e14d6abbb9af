/**
 * Access control lists: user space sees version 2, the disk has version 1 without the numbers that mean nothing.
 * Defined by Linux: fs/ext4/acl.h, include/uapi/linux/posix_acl_xattr.h.
 * @module
 */
import { type ByteString, byteStringFrom, bytesOf } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';

const ACL_VERSION = 2;
const ACL_DISK_VERSION = 1;
const ACL_USER = 0x02;
const ACL_GROUP = 0x08;
const ACL_NO_ID = 0xffffffff;

/** @param value what user space sees @throws SealtreeError `malformed` */
export function aclToDisk(value: ByteString): Uint8Array {
  const data = bytesOf(value);
  const view = new DataView(data.buffer);
  if (data.length < 4 || (data.length - 4) % 8 !== 0 || view.getUint32(0, true) !== ACL_VERSION)
    throw malformed('access control list is not of version 2');
  const out: number[] = [ACL_DISK_VERSION, 0, 0, 0];
  for (let at = 4; at < data.length; at += 8) {
    const tag = view.getUint16(at, true);
    const hasId = tag === ACL_USER || tag === ACL_GROUP;
    out.push(...data.subarray(at, at + (hasId ? 8 : 4)));
  }
  return Uint8Array.from(out);
}

/** What user space sees. @throws SealtreeError `malformed` */
export function aclFromDisk(data: Uint8Array, what: string): ByteString {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length < 4 || view.getUint32(0, true) !== ACL_DISK_VERSION)
    throw malformed(`${what}: access control list of unknown version`);
  const entries: number[] = [];
  for (let at = 4; at < data.length; ) {
    if (at + 4 > data.length) throw malformed(`${what}: access control list is cut off`);
    const tag = view.getUint16(at, true);
    const hasId = tag === ACL_USER || tag === ACL_GROUP;
    if (hasId && at + 8 > data.length) throw malformed(`${what}: access control list is cut off`);
    entries.push(tag, view.getUint16(at + 2, true), hasId ? view.getUint32(at + 4, true) : ACL_NO_ID);
    at += hasId ? 8 : 4;
  }
  const out = new Uint8Array(4 + (entries.length / 3) * 8);
  const target = new DataView(out.buffer);
  target.setUint32(0, ACL_VERSION, true);
  for (let i = 0, at = 4; i < entries.length; i += 3, at += 8) {
    target.setUint16(at, entries[i] as number, true);
    target.setUint16(at + 2, entries[i + 1] as number, true);
    target.setUint32(at + 4, entries[i + 2] as number, true);
  }
  return byteStringFrom(out);
}
