/**
 * An initramfs image as the kernel unpacks it: archives one after the other, each compressed or not, with zero bytes
 * between them. Every archive of an image is unpacked over the ones before it.
 * Source: Documentation/driver-api/early-userspace/buffer-format.rst and unpack_to_rootfs of Linux.
 * @module
 */
import { malformed, prefixed, SealtreeError } from '../core/errors.ts';
import { readMember } from './cpio.ts';
import { RootFileSystem } from './root-file-system.ts';

/** The compressions that are read here. */
export type Compression = 'gzip' | 'zstd' | 'xz';

/**
 * Decompresses what begins at `at`.
 *
 * @param limit bytes of content; more is refused before they are there
 * @returns the content, and how many bytes of `image` it was made of
 */
export type Decompress = (
  compression: Compression,
  image: Uint8Array,
  at: number,
  limit: number,
) => { content: Uint8Array; length: number };

export interface Archive {
  /** Offset in the image. */
  readonly offset: number;
  readonly compression: Compression | 'none';
  /** Bytes in the image. */
  readonly length: number;
  /** Bytes of its content. */
  readonly size: number;
  readonly members: number;
}

export interface Unpacked {
  readonly archives: readonly Archive[];
  readonly root: RootFileSystem;
}

/** Bytes of all archives of an image together, decompressed. */
const CONTENT_LIMIT = 1024 * 1024 * 1024;

const DIGIT_ZERO = 0x30;

/** What the kernel recognises by the first bytes (lib/decompress.c); those without a name here are refused. */
const MAGICS: readonly { magic: readonly number[]; name: string; compression?: Compression }[] = [
  { magic: [0x1f, 0x8b], name: 'gzip', compression: 'gzip' },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], name: 'zstd', compression: 'zstd' },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], name: 'xz', compression: 'xz' },
  { magic: [0x1f, 0x9e], name: 'old gzip' },
  { magic: [0x42, 0x5a], name: 'bzip2' },
  { magic: [0x5d, 0x00], name: 'lzma' },
  { magic: [0x89, 0x4c], name: 'lzo' },
  { magic: [0x02, 0x21], name: 'lz4' },
];

/**
 * Unpacks an image.
 *
 * @throws SealtreeError `malformed` where the kernel would stop unpacking, or beyond the limits of size and number;
 *   `unsupported` for a compression that is not read here
 */
export function unpack(image: Uint8Array, decompress: Decompress): Unpacked {
  const root = new RootFileSystem();
  const archives: Archive[] = [];
  let budget = CONTENT_LIMIT;
  for (let at = 0; ; ) {
    while (at < image.length && image[at] === 0) at++;
    if (at >= image.length) break;
    const before = root.members;
    if (image[at] === DIGIT_ZERO) {
      if (at % 4 !== 0) throw malformed(`at ${at}: an archive that does not begin at a multiple of four`);
      const end = readArchive(image, at, root, 'archive', false);
      archives.push({
        offset: at,
        compression: 'none',
        length: end - at,
        size: end - at,
        members: root.members - before,
      });
      at = end;
      continue;
    }
    const compression = compressionAt(image, at);
    const { content, length } = decompressed(decompress, compression, image, at, budget);
    budget -= content.length;
    readArchive(content, 0, root, `${compression} archive at ${at}`, true);
    const members = root.members - before;
    archives.push({ offset: at, compression, length, size: content.length, members });
    at += length;
  }
  if (archives.length === 0) throw malformed('no archive in it');
  return { archives, root };
}

/**
 * Puts the members from `at` on into `root`.
 *
 * @param whole whether nothing else may follow but zero bytes and further members
 * @returns the offset behind the last member
 */
function readArchive(
  archive: Uint8Array,
  at: number,
  root: RootFileSystem,
  what: string,
  whole: boolean,
): number {
  let end = at;
  for (let next = at; ; ) {
    const from = next;
    while (whole && next < archive.length && archive[next] === 0) next++;
    if (next >= archive.length) return Math.min(next, archive.length);
    if (archive[next] !== DIGIT_ZERO) {
      if (whole) throw malformed(`${what}: at ${next}: neither a member nor zero bytes`, { offset: next });
      return end;
    }
    if (next % 4 !== 0) throw malformed(`${what}: at ${from}: padding that is not a multiple of four`);
    const member = readMember(archive, next, what);
    root.add(member);
    next = member.end;
    end = Math.min(next, archive.length);
  }
}

function compressionAt(image: Uint8Array, at: number): Compression {
  const found = MAGICS.find(({ magic }) => magic.every((byte, i) => image[at + i] === byte));
  if (found === undefined)
    throw malformed(`at ${at}: neither a cpio archive nor a compression that the kernel knows`, {
      offset: at,
    });
  if (found.compression !== undefined) return found.compression;
  const read = MAGICS.flatMap(({ compression }) => compression ?? []).join(', ');
  throw new SealtreeError(
    'unsupported',
    `at ${at}: compressed with ${found.name}, of which only ${read} are read here`,
    { offset: at },
  );
}

function decompressed(
  decompress: Decompress,
  compression: Compression,
  image: Uint8Array,
  at: number,
  limit: number,
): { content: Uint8Array; length: number } {
  try {
    return decompress(compression, image, at, limit);
  } catch (error) {
    throw prefixed(`${compression} archive at ${at}`, error);
  }
}
