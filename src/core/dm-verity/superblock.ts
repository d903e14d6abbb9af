/**
 * The superblock of dm-verity: the 512 bytes before the tree that say how it was made. The kernel does not read it, and
 * nothing guards it: who changed it changes the root hash that a device has.
 * Defined by cryptsetup: its wiki page DMVerity, "Verity superblock format"; the messages are cryptsetup's.
 * @module
 */
import { byteString, byteStringFrom, displayByteString, writeByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import {
  type DmVerityParameters,
  type HashType,
  isBlockSize,
  MAX_SALT_SIZE,
  SUPERBLOCK_SIZE,
} from './layout.ts';

/** What a superblock says, besides the size of a hash, which follows from its name. */
export interface Superblock extends DmVerityParameters {
  /** 16 bytes. */
  readonly uuid: Uint8Array;
}

const SIGNATURE = byteString('verity\0\0');
const FIELD = {
  version: 8,
  hashType: 12,
  uuid: 16,
  algorithm: 32,
  dataBlockSize: 64,
  hashBlockSize: 68,
  dataBlocks: 72,
  saltSize: 80,
  salt: 88,
} as const;
const MAX_ALGORITHM = 31;

/** @returns 512 bytes */
export function encodeSuperblock(superblock: Superblock): Uint8Array {
  const out = new Uint8Array(SUPERBLOCK_SIZE);
  const view = new DataView(out.buffer);
  writeByteString(out, 0, SIGNATURE);
  view.setUint32(FIELD.version, 1, true);
  view.setUint32(FIELD.hashType, superblock.hashType, true);
  out.set(superblock.uuid, FIELD.uuid);
  // The kernel knows lower case only.
  const algorithm = superblock.algorithm.toLowerCase().slice(0, MAX_ALGORITHM);
  writeByteString(out, FIELD.algorithm, byteString(algorithm));
  view.setUint32(FIELD.dataBlockSize, superblock.dataBlockSize, true);
  view.setUint32(FIELD.hashBlockSize, superblock.hashBlockSize, true);
  view.setBigUint64(FIELD.dataBlocks, BigInt(superblock.dataBlocks), true);
  view.setUint16(FIELD.saltSize, superblock.salt.length, true);
  out.set(superblock.salt, FIELD.salt);
  return out;
}

/**
 * Reads a superblock; nothing in it is believed.
 *
 * @param data 512 bytes
 * @param digestSizeOf bytes of the hashes of an algorithm, undefined if it is not to be had
 * @returns undefined if there is none
 * @throws SealtreeError `malformed` for one that cannot be used
 */
export function decodeSuperblock(
  data: Uint8Array,
  digestSizeOf: (algorithm: string) => number | undefined,
): Superblock | undefined {
  if (byteStringFrom(data, 0, SIGNATURE.length) !== SIGNATURE) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const version = view.getInt32(FIELD.version, true);
  if (version !== 1) throw malformed(`Unsupported VERITY version ${version}.`);
  const hashType = view.getInt32(FIELD.hashType, true);
  if (hashType !== 0 && hashType !== 1) throw malformed(`Unsupported VERITY hash type ${hashType}.`);
  const dataBlockSize = view.getUint32(FIELD.dataBlockSize, true);
  const hashBlockSize = view.getUint32(FIELD.hashBlockSize, true);
  if (!isBlockSize(dataBlockSize) || !isBlockSize(hashBlockSize))
    throw malformed('Unsupported VERITY block size.');
  const name = byteStringFrom(data, FIELD.algorithm, FIELD.dataBlockSize);
  const end = name.indexOf('\0');
  const algorithm = end < 0 ? name : name.slice(0, end);
  const digestSize = digestSizeOf(algorithm);
  if (digestSize === undefined) {
    throw malformed(`Hash algorithm ${displayByteString(byteString(algorithm))} not supported.`);
  }
  const saltSize = view.getUint16(FIELD.saltSize, true);
  if (saltSize > MAX_SALT_SIZE) throw malformed('VERITY header corrupted.');
  return {
    hashType: hashType satisfies HashType,
    uuid: data.slice(FIELD.uuid, FIELD.uuid + 16),
    algorithm,
    digestSize,
    dataBlockSize,
    hashBlockSize,
    dataBlocks: Number(view.getBigUint64(FIELD.dataBlocks, true)),
    salt: data.slice(FIELD.salt, FIELD.salt + saltSize),
  };
}
