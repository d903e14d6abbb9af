/**
 * Checks what the kernel would check of a file with fs-verity on ext4, all at once: descriptor, every block of the
 * Merkle tree, every block of the content. Where a byte was changed it is said in which of them.
 * Defined by Linux: fs/ext4/verity.c, fs/verity/open.c; Documentation/filesystems/fsverity.rst.
 * @module
 */
import { roundUp } from '../bytes/align.ts';
import { hexOf } from '../bytes/hex.ts';
import { DIGEST_SIZE, type Hash, type HashName } from '../hash.ts';
import {
  DESCRIPTOR_SIZE,
  HASH_ALGORITHM_NUMBER,
  type VerityParameters,
  verityParameters,
} from '../verity/descriptor.ts';
import { BlockHasher, blockRule, levelCounts, treeOffsets, treeShape } from '../verity/merkle.ts';
import { VERITY_ALIGNMENT } from './format.ts';
import type { Ext4Inode, Ext4Reader } from './reader.ts';

export interface VerityExamination {
  /** What FS_IOC_MEASURE_VERITY would say; undefined if there is no descriptor that the kernel would take. */
  readonly digest: { readonly algorithm: HashName; readonly digest: Uint8Array } | undefined;
  /** What is wrong, in the order in which it lies; at most one for content and one for each level of the tree. */
  readonly faults: readonly string[];
}

/** What is read at once. */
const PIECE = 1024 * 1024;
const MAX_DESCRIPTOR = 16384;

/**
 * Examines a file.
 *
 * @param take hears the content, in pieces that are valid during the call
 */
export function examineVerity(
  reader: Ext4Reader,
  inode: Ext4Inode,
  hash: Hash,
  take: (piece: Uint8Array) => void = () => {},
): VerityExamination {
  const found = readDescriptor(reader, inode);
  if (typeof found === 'string') {
    eachPiece(reader, inode, take);
    return { digest: undefined, faults: [found] };
  }
  const { parameters, descriptor, at } = found;
  const digest = hash.digest(parameters.algorithm, descriptor);
  const faults: string[] = [];
  const data = new DataView(descriptor.buffer, descriptor.byteOffset, descriptor.byteLength);
  const size = data.getUint32(8, true) + data.getUint32(12, true) * 2 ** 32;
  const expectedAt = treeEnd(inode.size, parameters);
  if (size !== inode.size) faults.push(`descriptor is of ${size} bytes, the file has ${inode.size}`);
  else if (at !== roundUp(expectedAt, reader.blockSize))
    faults.push(`descriptor is at ${at}, the Merkle tree ends at ${expectedAt}`);
  if (faults.length > 0) {
    eachPiece(reader, inode, take);
    return { digest: { algorithm: parameters.algorithm, digest }, faults };
  }
  const root = descriptor.subarray(16, 16 + DIGEST_SIZE[parameters.algorithm]);
  faults.push(...checkTree(reader, inode, hash, parameters, root, take));
  return { digest: { algorithm: parameters.algorithm, digest }, faults };
}

/**
 * Only what FS_IOC_MEASURE_VERITY would say: the hash of the descriptor.
 *
 * @returns `off` if the file has no fs-verity; undefined if what stands behind its end is no descriptor
 */
export function measureVerity(
  reader: Ext4Reader,
  inode: Ext4Inode,
  hash: Hash,
): VerityExamination['digest'] | 'off' {
  if (!inode.verity || !reader.hasVerity) return 'off';
  const found = readDescriptor(reader, inode);
  if (typeof found === 'string') return undefined;
  const { algorithm } = found.parameters;
  return { algorithm, digest: hash.digest(algorithm, found.descriptor) };
}

/** The descriptor ends where the blocks of the file end: its size is in their last four bytes. @returns or what is wrong */
function readDescriptor(
  reader: Ext4Reader,
  inode: Ext4Inode,
): { parameters: VerityParameters; descriptor: Uint8Array; at: number } | string {
  const last = reader.extents(inode).at(-1);
  if (last === undefined || last.unwritten) return 'no descriptor behind the end of the file';
  const end = (last.logical + last.length) * reader.blockSize;
  const start = roundUp(inode.size, VERITY_ALIGNMENT);
  const sizeAt = end - 4;
  if (sizeAt < start) return 'no descriptor behind the end of the file';
  const tail = reader.read(inode, sizeAt, 4);
  const size = new DataView(tail.buffer).getUint32(0, true);
  const at = Math.floor((sizeAt - size) / reader.blockSize) * reader.blockSize;
  if (size < DESCRIPTOR_SIZE || size > MAX_DESCRIPTOR || at < start)
    return `descriptor of ${size} bytes, expected ${DESCRIPTOR_SIZE}`;
  const data = reader.read(inode, at, end - at);
  const descriptor = data.slice(0, DESCRIPTOR_SIZE);
  const problem = descriptorProblem(descriptor, data);
  if (problem !== undefined) return problem;
  const algorithm = descriptor[1] === HASH_ALGORITHM_NUMBER.sha512 ? 'sha512' : 'sha256';
  const salt = descriptor.slice(80, 80 + (descriptor[3] as number));
  return {
    parameters: verityParameters({ algorithm, blockSize: 2 ** (descriptor[2] as number), salt }),
    descriptor,
    at,
  };
}

/** The rules of fs/verity/open.c; and that nothing but zeros stands around the descriptor. */
function descriptorProblem(descriptor: Uint8Array, block: Uint8Array): string | undefined {
  const [version, algorithm, logBlockSize, saltSize] = descriptor as unknown as [
    number,
    number,
    number,
    number,
  ];
  if (version !== 1) return `descriptor has version ${version}, expected 1`;
  if (!Object.values(HASH_ALGORITHM_NUMBER).includes(algorithm))
    return `descriptor has unknown hash algorithm ${algorithm}`;
  if (logBlockSize < 10 || logBlockSize > 16) return `descriptor has block size 2^${logBlockSize}`;
  if (saltSize > 32) return `descriptor has a salt of ${saltSize} bytes`;
  const isZero = (data: Uint8Array) => data.every((byte) => byte === 0);
  if (!isZero(descriptor.subarray(4, 8))) return 'descriptor has a signature';
  if (!isZero(descriptor.subarray(112))) return 'descriptor has something in its reserved bytes';
  if (!isZero(block.subarray(DESCRIPTOR_SIZE, block.length - 4)))
    return 'something stands behind the descriptor';
  return undefined;
}

/** Where the Merkle tree of a file ends. */
function treeEnd(size: number, parameters: VerityParameters): number {
  const offsets = treeOffsets(size, parameters);
  const leaves = levelBlocks(size, parameters)[0] ?? 0;
  return roundUp(size, VERITY_ALIGNMENT) + (offsets[0] ?? 0) + leaves * parameters.blockSize;
}

/** Blocks of each level, the lowest first; none if there is at most one block of data. */
function levelBlocks(size: number, parameters: VerityParameters): number[] {
  const { blockSize, fanOut } = treeShape(parameters);
  return levelCounts(Math.ceil(size / blockSize), fanOut);
}

/**
 * Holds every block against the hash that the block above has of it, from the root down. So a changed block is named
 * itself, and not everything that hangs on it.
 */
function checkTree(
  reader: Ext4Reader,
  inode: Ext4Inode,
  hash: Hash,
  parameters: VerityParameters,
  root: Uint8Array,
  take: (piece: Uint8Array) => void,
): string[] {
  const { blockSize, algorithm } = parameters;
  const digestSize = DIGEST_SIZE[algorithm];
  const hasher = new BlockHasher(hash, blockRule(parameters));
  const start = roundUp(inode.size, VERITY_ALIGNMENT);
  const offsets = treeOffsets(inode.size, parameters);
  const counts = levelBlocks(inode.size, parameters);
  const faults: string[] = [];
  const found = new Uint8Array(digestSize);
  // What hangs on a changed block cannot be judged, and is not what was changed.
  let doubtfulAbove: ReadonlySet<number> = new Set();
  // The hashes that the blocks of a level must have stand in the level above it, one behind the other.
  const hashesAbove = (level: number) => {
    const offset = offsets[level + 1];
    if (offset === undefined) return () => root;
    let pieceAt = -1;
    let piece = root;
    const perPiece = Math.floor(PIECE / digestSize);
    const length = (counts[level + 1] as number) * blockSize;
    return (index: number) => {
      const at = Math.floor(index / perPiece) * perPiece;
      if (at !== pieceAt) {
        piece = reader.read(
          inode,
          start + offset + at * digestSize,
          Math.min(PIECE, length - at * digestSize),
        );
        pieceAt = at;
      }
      return piece.subarray((index - at) * digestSize, (index - at + 1) * digestSize);
    };
  };
  const checkLevel = (level: number, first: number, length: number, padTo: number, name: string) => {
    const expected = hashesAbove(level);
    const damaged: number[] = [];
    const doubtful = new Set<number>();
    const perBlock = blockSize / digestSize;
    const total = roundUp(length, padTo);
    for (let at = 0; at < total; at += PIECE) {
      // Read with what lies between the end of the file and the end of its last block: the kernel hashes that, too.
      const piece = reader.read(inode, first + at, Math.min(PIECE, total - at));
      if (level < 0) take(piece.subarray(0, Math.min(piece.length, length - at)));
      for (let block = 0; block * blockSize < piece.length; block++) {
        hasher.hashInto(piece.subarray(block * blockSize, (block + 1) * blockSize), found, 0);
        const index = at / blockSize + block;
        if (doubtfulAbove.has(Math.floor(index / perBlock))) {
          doubtful.add(index);
          continue;
        }
        const wanted = expected(index);
        if (found.every((byte, i) => byte === wanted[i])) continue;
        damaged.push(index);
        doubtful.add(index);
      }
    }
    if (damaged.length > 0) faults.push(describe(name, damaged, hexOf(expected(damaged[0] as number))));
    doubtfulAbove = doubtful;
  };
  for (let level = offsets.length - 1; level >= 0; level--) {
    const length = (counts[level] as number) * blockSize;
    checkLevel(level, start + (offsets[level] as number), length, blockSize, `Merkle tree, level ${level}`);
  }
  checkLevel(-1, 0, inode.size, blockSize, 'content');
  return faults;
}

function describe(name: string, damaged: readonly number[], expected: string): string {
  const [first] = damaged;
  const more = damaged.length > 1 ? ` and ${damaged.length - 1} more` : '';
  return `${name}: block ${first}${more}: hash is not ${expected}`;
}

function eachPiece(reader: Ext4Reader, inode: Ext4Inode, take: (piece: Uint8Array) => void): void {
  for (let at = 0; at < inode.size; at += PIECE)
    take(reader.read(inode, at, Math.min(PIECE, inode.size - at)));
}
