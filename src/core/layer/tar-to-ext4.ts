/**
 * A layer as the file system that a container platform mounts: what hcsshim's tar2ext4 makes of a tar archive, with
 * whiteouts in overlayfs' manner.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { prefixed, SealtreeError } from '../errors.ts';
import { finishCompact } from '../ext4/compact/finish.ts';
import { compactTime } from '../ext4/compact/times.ts';
import { type BlockStream, type CompactFile, CompactWriter, EMPTY_FILE } from '../ext4/compact/writer.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from '../fs/mode.ts';
import { cleanPath } from '../tar/clean-path.ts';
import { type TarEntry, TarReader } from '../tar/reader.ts';

/** The two sizes up to which file systems are made: their begins differ, and so do their hashes. */
export const MAX_LAYER_SIZE = 128 * 1024 ** 3;
export const MAX_CONVERTED_SIZE = 16 * 1024 ** 3;

const WHITEOUT = '.wh.';
const OPAQUE_WHITEOUT = '.wh..wh..opq';
const OPAQUE = [byteString('trusted.overlay.opaque'), byteString('y')] as const;
const HARD_LINK = '1';
/** Any other type is a file. */
const TYPES: Readonly<Record<string, number>> = {
  '2': S_IFLNK,
  '3': S_IFCHR,
  '4': S_IFBLK,
  '5': S_IFDIR,
  '6': S_IFIFO,
};

/**
 * Writes the file system of a layer.
 *
 * @param pieces the uncompressed archive, each piece valid until the next is asked for; all are read, to the end
 * @param out gets the blocks
 * @param maxSize `MAX_LAYER_SIZE` or `MAX_CONVERTED_SIZE`
 * @returns a generator that stops after each piece, so that the caller may wait for `out`; it returns how many blocks of 4096
 *   bytes were written
 * @throws SealtreeError `malformed` in the words of tar2ext4, with `offset` of the entry's header; what `pieces` throws
 */
export function* tarToExt4(
  pieces: Iterable<Uint8Array>,
  out: BlockStream,
  maxSize: number,
): Generator<void, number> {
  const writer = new CompactWriter(out, maxSize);
  let isWanted = false;
  let offset = 0;
  const reader = new TarReader({
    entry(entry) {
      offset = entry.offset;
      isWanted = addEntry(writer, entry);
    },
    data(piece) {
      if (isWanted) writer.write(piece);
    },
    zeros(length) {
      if (isWanted) writer.zeros(length);
    },
    end() {},
  });
  for (const piece of pieces) {
    located(() => reader.push(piece));
    yield;
  }
  located(() => reader.finish());
  return located(() => finishCompact(writer));

  function located<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof SealtreeError) || error.detail.offset !== undefined || error.code === 'io')
        throw error;
      throw new SealtreeError(error.code, `${error.message} (entry at byte ${offset})`, {
        ...error.detail,
        offset,
      });
    }
  }
}

/** @returns whether its content is wanted */
function addEntry(writer: CompactWriter, entry: TarEntry): boolean {
  const { name, type } = entry;
  try {
    writer.makeParents(name);
  } catch (error) {
    throw prefixed(`failed to ensure parent directories for ${displayByteString(name)}`, error);
  }
  const slash = name.lastIndexOf('/') + 1;
  const last = byteString(name.slice(slash));
  if (last.startsWith(WHITEOUT)) {
    addWhiteout(writer, byteString(name.slice(0, slash)), last);
    return false;
  }
  if (type === HARD_LINK) {
    writer.link(entry.linkName, name);
    return false;
  }
  writer.create(name, fileOf(entry));
  return true;
}

function addWhiteout(writer: CompactWriter, directory: ByteString, last: ByteString): void {
  if (last === OPAQUE_WHITEOUT) {
    try {
      writer.setXattr(directory, OPAQUE);
    } catch (error) {
      throw prefixed(`failed to create opaque dir ${displayByteString(last)}`, error);
    }
    return;
  }
  try {
    const name = cleanPath(byteString(directory + last.slice(WHITEOUT.length)));
    writer.create(name, { ...EMPTY_FILE, mode: S_IFCHR });
  } catch (error) {
    throw prefixed(`failed to create whiteout file for ${displayByteString(last)}`, error);
  }
}

function fileOf(entry: TarEntry): CompactFile {
  const { mode, uid, gid, size, linkName, devMajor, devMinor, xattrs } = entry;
  const modified = compactTime(entry.mtime);
  return {
    mode: (TYPES[entry.type] ?? S_IFREG) | mode,
    uid,
    gid,
    accessed: compactTime(entry.atime),
    changed: compactTime(entry.ctime),
    modified,
    created: modified,
    size,
    target: linkName,
    devMajor,
    devMinor,
    xattrs,
  };
}
