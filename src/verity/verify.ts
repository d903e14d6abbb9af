/** `veritysetup verify`: every block of data and of the tree held against the root hash. @module */
import { closeSync } from 'node:fs';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { checkFec } from '../core/dm-verity/fec.ts';
import {
  type DmVerityLayout,
  type DmVerityParameters,
  dataRule,
  dmVerityLayout,
  SUPERBLOCK_SIZE,
  treeRule,
} from '../core/dm-verity/layout.ts';
import { decodeSuperblock, type Superblock } from '../core/dm-verity/superblock.ts';
import { checkTree, type TreeFault } from '../core/dm-verity/tree.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import { BlockHasher } from '../core/verity/merkle.ts';
import { hashBlocks } from '../node/block-hashes.ts';
import { type Device, readFully } from '../node/device.ts';
import { blockHash } from '../node/hash.ts';
import { coveredReader, openForReading } from './devices.ts';
import { verityError } from './errors.ts';
import { fecCoverage } from './fec.ts';
import {
  checkGeometry,
  computable,
  digestSizeOf,
  type FecOptions,
  noHash,
  resolveParameters,
  type VerityGeometry,
} from './format.ts';

/** A data device with its tree, open for reading. */
export interface OpenVerity {
  readonly data: Device;
  readonly hash: Device;
  readonly parameters: DmVerityParameters;
  readonly layout: DmVerityLayout;
}

/** What verification found. */
export interface Verification {
  /** The first thing wrong; `root` if it is the root hash alone, `unreadable` if a device ends too early. */
  readonly fault: TreeFault | { readonly kind: 'root' | 'unreadable' } | undefined;
  /** How many bytes error correction would repair; undefined if it was not asked or cannot. */
  readonly repairable: number | undefined;
  /** Why error correction cannot. */
  readonly unrepairable: string | undefined;
}

/**
 * Opens data and hash device, and reads the superblock if there is one to be.
 *
 * @param geometry what counts without a superblock; of one with, only where it is
 * @throws SealtreeError in the words of veritysetup
 */
export function openVerity(
  dataPath: ByteString,
  hashPath: ByteString,
  geometry: VerityGeometry,
  fecOffset: number,
): OpenVerity & { close(): void } {
  const hash = openForReading(hashPath);
  const opened = [hash];
  const close = () => {
    for (const { fd } of opened) closeSync(fd);
  };
  try {
    const data = openForReading(dataPath);
    opened.push(data);
    let parameters: DmVerityParameters;
    if (geometry.hasSuperblock) {
      if (data.size === 0) resolveParameters(data, geometry);
      parameters = readSuperblock(hash, geometry.hashOffset);
      if (parameters.dataBlocks === 0)
        parameters = { ...parameters, dataBlocks: Math.floor(data.size / parameters.dataBlockSize) };
    } else {
      checkGeometry(geometry, fecOffset);
      parameters = resolveParameters(data, geometry);
    }
    const layout = dmVerityLayout(parameters, geometry.hashOffset, geometry.hasSuperblock);
    return { data, hash, parameters, layout, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** @throws SealtreeError in the words of veritysetup */
export function readSuperblock(hash: Device, offset: number): Superblock {
  const notValid = `Device ${displayByteString(hash.path)} is not a valid VERITY device.`;
  if (offset % 512 !== 0) throw verityError('usage', `Unsupported VERITY hash offset.\n${notValid}`);
  const data = new Uint8Array(SUPERBLOCK_SIZE);
  let superblock: Superblock | undefined;
  try {
    if (readFully(hash.fd, offset, data)) superblock = decodeSuperblock(data, digestSizeOf);
  } catch (error) {
    const reason = error instanceof SealtreeError ? error.message : String(error);
    const algorithm = /^Hash algorithm (.*) not supported\.$/.exec(reason)?.[1];
    const more = algorithm === undefined ? '' : noHash(algorithm);
    throw verityError('malformed', `${reason}${more}\n${notValid}`);
  }
  if (superblock === undefined) throw verityError('malformed', notValid);
  return superblock;
}

/**
 * Verifies all of it. Nothing is written, and nothing repaired.
 *
 * @throws SealtreeError if the devices cannot hold what the parameters say
 */
export async function verifyVerity(
  device: OpenVerity,
  root: Uint8Array,
  fec: FecOptions | undefined,
): Promise<Verification> {
  const fault = await firstFault(device, root);
  const nothing = { fault, repairable: undefined, unrepairable: undefined };
  if (fec === undefined || fault === undefined || fault.kind === 'unreadable') return nothing;
  try {
    return { ...nothing, repairable: countRepairable(device, fec) };
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    return { ...nothing, unrepairable: error.message };
  }
}

/** The root hash that the stored tree has at its top: whether a device is for a root hash at all is seen at once. */
export function storedRoot({ data, hash, parameters, layout }: OpenVerity): Uint8Array | undefined {
  const { levels } = layout;
  const top = levels.at(-1);
  const usable = computable(parameters);
  const size = top === undefined ? parameters.dataBlockSize : parameters.hashBlockSize;
  const block = new Uint8Array(size);
  if (!readFully(top === undefined ? data.fd : hash.fd, top?.start ?? 0, block)) return undefined;
  const root = new Uint8Array(parameters.digestSize);
  new BlockHasher(blockHash(), top === undefined ? dataRule(usable) : treeRule(usable)).hashInto(
    block,
    root,
    0,
  );
  return root;
}

async function firstFault(
  { data, hash, parameters, layout }: OpenVerity,
  root: Uint8Array,
): Promise<Verification['fault']> {
  const { dataBlocks, dataBlockSize } = parameters;
  if (layout.end > hash.size && layout.levels.length > 0) {
    const shown = displayByteString(hash.path);
    throw verityError('malformed', `Device ${shown} is too small. Need at least ${layout.end} bytes.`);
  }
  const usable = computable(parameters);
  const check = checkTree(blockHash(), usable, layout, makeWindowedReader(hash));
  try {
    await hashBlocks(data.fd, dataBlocks * dataBlockSize, dataRule(usable), check.addLeaves);
  } catch (error) {
    if (error instanceof SealtreeError && error.code === 'io') return { kind: 'unreadable' };
    throw error;
  }
  const found = check.finish();
  if (found.fault !== undefined) return found.fault;
  return found.root.every((byte, i) => byte === root[i]) ? undefined : { kind: 'root' };
}

function countRepairable({ data, hash, parameters, layout }: OpenVerity, fec: FecOptions): number {
  const device = openForReading(fec.path);
  try {
    const place = { device, offset: fec.offset, roots: fec.roots };
    const geometry = fecCoverage(parameters, layout, hash, place);
    return checkFec(geometry, coveredReader(data, hash, parameters, layout), (offset, target) =>
      readFully(device.fd, fec.offset + offset, target),
    );
  } finally {
    closeSync(device.fd);
  }
}

/** Reads block after block in larger pieces; what it gives is valid until the next call. */
function makeWindowedReader({ fd, path }: Device): (offset: number, length: number) => Uint8Array {
  const WINDOW = 128 * 1024;
  let window = new Uint8Array(0);
  let start = 0;
  let filled = 0;
  return (offset, length) => {
    if (offset < start || offset + length > start + filled) {
      if (window.length < length) window = new Uint8Array(Math.max(WINDOW, length));
      start = offset;
      // The end of the device may be within the window, but not within the block: its size was looked at.
      filled = window.length;
      if (!readFully(fd, offset, window)) {
        filled = length;
        if (!readFully(fd, offset, window.subarray(0, length)))
          throw prefixed(displayByteString(path), new SealtreeError('io', 'it became shorter'));
      }
    }
    return window.subarray(offset - start, offset - start + length);
  };
}
