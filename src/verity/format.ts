/** `veritysetup format`: the Merkle tree of a data device, with superblock and error correction, on a hash device. @module */
import { closeSync } from 'node:fs';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { parseUuid } from '../core/bytes/uuid.ts';
import { encodeFec, type FecGeometry, paritySize } from '../core/dm-verity/fec.ts';
import {
  type DmVerityLayout,
  type DmVerityParameters,
  dataRule,
  dmVerityLayout,
  type HashType,
  isBlockSize,
  MAX_SALT_SIZE,
} from '../core/dm-verity/layout.ts';
import { encodeSuperblock } from '../core/dm-verity/superblock.ts';
import { buildTree } from '../core/dm-verity/tree.ts';
import type { SealtreeError } from '../core/errors.ts';
import { hashBlocks } from '../node/block-hashes.ts';
import type { Device } from '../node/device.ts';
import { blockHash } from '../node/hash.ts';
import { hashNamed, whyNoHash } from '../node/hash-names.ts';
import { errnoNameOf } from '../node/io-error.ts';
import {
  coveredReader,
  growTo,
  makeGatheringWriter,
  type Output,
  openForReading,
  openOutput,
  writeAt,
} from './devices.ts';
import { verityError } from './errors.ts';
import { fecCoverage } from './fec.ts';

/** How a device is to be made. Numbers are as the user gave them, not checked. */
export interface VerityGeometry {
  readonly hashType: number;
  readonly algorithm: string;
  readonly dataBlockSize: number;
  readonly hashBlockSize: number;
  /** 0 for as many as the data device has. */
  readonly dataBlocks: number;
  readonly salt: Uint8Array;
  /** Bytes, of the superblock or, without one, of the tree. */
  readonly hashOffset: number;
  readonly hasSuperblock: boolean;
}

export interface FecOptions {
  readonly path: ByteString;
  /** Bytes. */
  readonly offset: number;
  readonly roots: number;
}

export interface FormatOptions extends VerityGeometry {
  /** Text, as the user gave it. */
  readonly uuid: string;
  /** Checked even if there is no `fec`. */
  readonly fecOffset: number;
  readonly fec: FecOptions | undefined;
  /** Hears what does not keep the device from being made. */
  readonly warn: (message: string) => void;
}

export interface Formatted {
  readonly parameters: DmVerityParameters;
  readonly layout: DmVerityLayout;
  readonly root: Uint8Array;
  readonly fec: { readonly geometry: FecGeometry; readonly onHashDevice: boolean } | undefined;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const PAGE_SIZE = 4096;

/**
 * Hashes all blocks of the data device and writes the tree. What is new appears as a whole or not at all; a device that
 * is there is written in place, the superblock last.
 *
 * @throws SealtreeError in the words of veritysetup
 */
export async function formatVerity(
  dataPath: ByteString,
  hashPath: ByteString,
  options: FormatOptions,
): Promise<Formatted> {
  checkGeometry(options, options.fecOffset);
  const data = openForReading(dataPath);
  const outputs: Output[] = [];
  try {
    const parameters = resolveParameters(data, options);
    const { hashOffset, hasSuperblock } = options;
    const layout = dmVerityLayout(parameters, hashOffset, hasSuperblock);
    const dataSize = parameters.dataBlocks * parameters.dataBlockSize;
    if (options.salt.length > MAX_SALT_SIZE)
      throw verityError(
        'usage',
        `Salt has ${options.salt.length} bytes, at most ${MAX_SALT_SIZE} are possible.`,
      );
    const uuid = hasSuperblock ? uuidOf(options.uuid, hashPath) : undefined;
    if (parameters.dataBlockSize > PAGE_SIZE)
      options.warn(
        `WARNING: Kernel cannot activate device if data block size exceeds page size (${PAGE_SIZE}).`,
      );
    const hash = openOutput(hashPath, 'hash');
    outputs.push(hash);
    if (hash.identity === data.identity && dataSize > hashOffset) throw overlap('Data', 'hash');
    const end = hasSuperblock || layout.levels.length > 0 ? layout.end : 0;
    const fec = prepareFec(options.fec, hash, outputs);
    if (fec !== undefined) {
      if (fec.device === hash && end > fec.offset) throw overlap('Hash', 'FEC');
      if (fec.device.identity === data.identity && dataSize > fec.offset) throw overlap('Data', 'FEC');
    }
    const geometry = fec && fecCoverage(parameters, layout, hash, fec);
    growTo(hash, end);
    const root = await writeTree(data, hash, parameters, layout);
    if (fec !== undefined && geometry !== undefined) {
      if (fec.device === hash) growTo({ ...hash, size: Math.max(hash.size, end) }, fec.offset);
      else growTo(fec.device, fec.offset + paritySize(geometry));
      let at = fec.offset;
      encodeFec(geometry, coveredReader(data, hash, parameters, layout), (parity) => {
        writeAt(fec.device.fd, parity, at);
        at += parity.length;
      });
    }
    if (uuid !== undefined) writeAt(hash.fd, encodeSuperblock({ ...parameters, uuid }), hashOffset);
    for (const output of outputs.reverse()) output.commit();
    return {
      parameters,
      layout,
      root,
      fec: geometry && { geometry, onHashDevice: fec?.device === hash },
    };
  } finally {
    closeSync(data.fd);
    for (const output of outputs) output.close();
  }
}

/** What is wrong without a look at any device. */
export function checkGeometry(geometry: VerityGeometry, fecOffset: number): void {
  const { hashType, dataBlockSize, hashBlockSize, hashOffset } = geometry;
  if (hashType > 1) throw verityError('usage', `Unsupported VERITY hash type ${hashType}.`);
  if (!isBlockSize(dataBlockSize) || !isBlockSize(hashBlockSize))
    throw verityError('usage', 'Unsupported VERITY block size.');
  if (hashOffset % 512 !== 0) throw verityError('usage', 'Unsupported VERITY hash offset.');
  if (fecOffset % 512 !== 0) throw verityError('usage', 'Unsupported VERITY FEC offset.');
}

/** What the user gave, with what the data device and the name of the hash add to it. */
export function resolveParameters(data: Device, geometry: VerityGeometry): DmVerityParameters {
  if (data.size === 0) {
    throw verityError('io', `Header detected but device ${displayByteString(data.path)} is too small.`);
  }
  const { dataBlockSize, hashBlockSize, salt, algorithm } = geometry;
  const digestSize = digestSizeOf(algorithm);
  if (digestSize === undefined)
    throw verityError('unsupported', `Hash algorithm ${algorithm} not supported.${noHash(algorithm)}`);
  return {
    hashType: geometry.hashType as HashType,
    algorithm,
    digestSize,
    dataBlockSize,
    hashBlockSize,
    dataBlocks: geometry.dataBlocks || Math.floor(data.size / dataBlockSize),
    salt,
  };
}

export function digestSizeOf(algorithm: string): number | undefined {
  return hashNamed(algorithm)?.digestSize;
}

/** A further line where veritysetup would have had the hash. */
export function noHash(algorithm: string): string {
  const reason = whyNoHash(algorithm);
  return reason === undefined ? '' : `\n${reason}`;
}

/** The same with the hash's name as Node knows it, which is what blocks are hashed with. */
export function computable(parameters: DmVerityParameters): DmVerityParameters {
  const { algorithm } = hashNamed(parameters.algorithm) ?? parameters;
  return { ...parameters, algorithm };
}

/**
 * Hashes the data block by block. One block of data has no tree; its hash is the root.
 *
 * @returns the root
 */
async function writeTree(
  data: Device,
  hash: Device,
  given: DmVerityParameters,
  layout: DmVerityLayout,
): Promise<Uint8Array> {
  const parameters = computable(given);
  const writer = makeGatheringWriter(hash.fd);
  const tree = buildTree(blockHash(), parameters, layout, writer.write);
  const { dataBlocks, dataBlockSize } = parameters;
  try {
    await hashBlocks(data.fd, dataBlocks * dataBlockSize, dataRule(parameters), (leaves) => {
      tree.addLeaves(leaves);
      return true;
    });
    const root = tree.root();
    writer.flush();
    return root;
  } catch (error) {
    const cause = errnoNameOf(error) === undefined ? '' : `\n${(error as Error).message}`;
    throw verityError('io', `Input/output error while creating hash area.${cause}`);
  }
}

function prepareFec(
  options: FecOptions | undefined,
  hash: Output,
  outputs: Output[],
): { device: Output; offset: number; roots: number } | undefined {
  if (options === undefined) return undefined;
  const { path, offset, roots } = options;
  if (path === hash.path) return { device: hash, offset, roots };
  const opened = openOutput(path, 'FEC');
  outputs.push(opened);
  return { device: opened.identity === hash.identity ? hash : opened, offset, roots };
}

function uuidOf(text: string, hashPath: ByteString): Uint8Array {
  if (UUID.test(text)) return parseUuid(text);
  throw verityError('usage', `Wrong VERITY UUID format provided on device ${displayByteString(hashPath)}.`);
}

/** What of a device would lie on what. */
export function overlap(first: string, second: string): SealtreeError {
  return verityError('usage', `${first} area overlaps with ${second} area.`);
}
