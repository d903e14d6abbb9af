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
import { Patches } from '../core/dm-verity/patches.ts';
import { decodeSuperblock, type Superblock } from '../core/dm-verity/superblock.ts';
import { checkTree, type TreeFault } from '../core/dm-verity/tree.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import { BlockHasher } from '../core/verity/merkle.ts';
import { hashBlocks } from '../node/block-hashes.ts';
import { type Device, readFully } from '../node/device.ts';
import { blockHash } from '../node/hash.ts';
import { coveredReader, openForReading } from './devices.ts';
import { verityError } from './errors.ts';
import { type FecPlace, fecCoverage } from './fec.ts';
import {
  checkGeometry,
  computable,
  digestSizeOf,
  type FecOptions,
  noHash,
  overlap,
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
  /** How many bytes error correction would repair so that all is right; undefined if it was not asked or cannot. */
  readonly repairable: number | undefined;
  /** Why error correction cannot. */
  readonly unrepairable: SealtreeError | undefined;
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
      const isSame = data.identity === hash.identity;
      if (isSame && parameters.dataBlocks * parameters.dataBlockSize > geometry.hashOffset)
        throw overlap('Data', 'hash');
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
  const parity = fec && openParity(fec.path, device.hash);
  try {
    const fault = await firstFault(device, root);
    const nothing = { fault, repairable: undefined, unrepairable: undefined };
    if (fec === undefined || fault === undefined || fault.kind === 'unreadable') return nothing;
    try {
      return {
        ...nothing,
        repairable: await countRepairable(device, root, { ...fec, device: parity as Device }, fault),
      };
    } catch (error) {
      if (!(error instanceof SealtreeError)) throw error;
      return { ...nothing, unrepairable: error };
    }
  } finally {
    if (parity !== undefined) closeSync(parity.fd);
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

/** A device of parity, of which veritysetup says that the hash device is wrong where it is not to be had. */
export function openParity(path: ByteString, hash: Device): Device {
  try {
    return openForReading(path);
  } catch (error) {
    const message = (error as Error).message;
    const shown = displayByteString(hash.path);
    throw verityError('missing', `${message}\nDevice ${shown} is not a valid VERITY device.`, 'device');
  }
}

/** @param patches by offset in what error correction covers */
async function firstFault(
  { data, hash, parameters, layout }: OpenVerity,
  root: Uint8Array,
  patches = new Patches(),
): Promise<Verification['fault']> {
  const { dataBlocks, dataBlockSize } = parameters;
  if (layout.end > hash.size && layout.levels.length > 0) {
    const shown = displayByteString(hash.path);
    throw verityError('malformed', `Device ${shown} is too small. Need at least ${layout.end} bytes.`);
  }
  const usable = computable(parameters);
  const dataSize = dataBlocks * dataBlockSize;
  const there = Math.min(dataSize, Math.floor(data.size / dataBlockSize) * dataBlockSize);
  const readStored = makeWindowedReader(hash);
  const check = checkTree(blockHash(), usable, layout, (offset, length) => {
    const block = readStored(offset, length);
    patches.apply(dataSize + offset - layout.start, block);
    return block;
  });
  const hasher = new BlockHasher(blockHash(), dataRule(usable));
  const block = new Uint8Array(dataBlockSize);
  let position = 0;
  let isRight = true;
  try {
    await hashBlocks(data.fd, there, dataRule(usable), (leaves) => {
      const start = position;
      position += (leaves.length / usable.digestSize) * dataBlockSize;
      for (const at of patches.blocks(start, position, dataBlockSize)) {
        readFully(data.fd, at, block);
        patches.apply(at, block);
        hasher.hashInto(block, leaves, ((at - start) / dataBlockSize) * usable.digestSize);
      }
      isRight = check.addLeaves(leaves);
      return isRight;
    });
  } catch (error) {
    if (error instanceof SealtreeError && error.code === 'io') return { kind: 'unreadable' };
    throw error;
  }
  if (there < dataSize && isRight) return { kind: 'unreadable' };
  const found = check.finish();
  if (found.fault !== undefined) return found.fault;
  return found.root.every((byte, i) => byte === root[i]) ? undefined : { kind: 'root' };
}

/**
 * How many bytes error correction would put right. Nothing guards parity: who can change data can make it agree, so what
 * would be repaired is held against the root hash as well.
 *
 * @throws SealtreeError if it cannot be repaired, or would still not be right
 */
async function countRepairable(
  verity: OpenVerity,
  root: Uint8Array,
  fec: FecPlace,
  fault: NonNullable<Verification['fault']>,
): Promise<number> {
  const { data, hash, parameters, layout } = verity;
  const geometry = fecCoverage(parameters, layout, hash, fec);
  const patches = new Patches();
  let isAll = true;
  const count = checkFec(
    geometry,
    coveredReader(data, hash, parameters, layout),
    (offset, target) => readFully(fec.device.fd, fec.offset + offset, target),
    (offset, value) => {
      isAll = patches.add(offset, value) && isAll;
    },
  );
  if (count === 0 && fault.kind === 'root') return 0;
  if (count === 0) throw verityError('mismatch', 'Parity agrees with what is wrong.');
  if (!isAll)
    throw verityError('mismatch', `${count} bytes are wrong, too many to be looked at as repaired.`);
  if ((await firstFault(verity, root, patches)) !== undefined)
    throw verityError('mismatch', 'Repaired data is not that of the root hash either.');
  return count;
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
