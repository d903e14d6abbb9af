/**
 * Images in one file, as `docker save`, `podman save` and `skopeo copy` to an archive write them: a tar archive whose
 * entries are the blobs.
 * @module
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, prefixed, SealtreeError } from '../core/errors.ts';
import { cleanPath } from '../core/tar/clean-path.ts';
import { type TarEntry, TarReader } from '../core/tar/reader.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import type { BlobRange, BlobStore } from './blob.ts';

/** What an archive has under a name. */
type Found = BlobRange | { readonly linkTo: ByteString };

/** Entries of an archive: each costs memory. */
const MAX_ENTRIES = 100_000;

/** Links behind each other. */
const MAX_LINKS = 16;

const HEADER_SIZE = 512;
/** Bytes read at once where headers are. */
const PIECE = 64 * 1024;

/**
 * Opens an archive: finds out where its entries are, without reading their content.
 *
 * @throws SealtreeError `io`, `malformed` if it is no tar archive
 */
export function openArchive(path: ByteString): BlobStore {
  const name = displayByteString(path);
  const entries = new Map<ByteString, Found>();
  const reader = new TarReader({
    entry: (entry) => {
      if (entries.size === MAX_ENTRIES) throw malformed(`${name}: more than ${MAX_ENTRIES} entries`);
      const found = findIn(path, entry);
      if (found !== undefined) entries.set(cleanPath(entry.name), found);
    },
    data: () => {},
    zeros: () => {},
    end: () => {},
  });
  readHeaders(path, reader);
  return {
    name,
    find: async (wanted) => resolve(entries, wanted, name),
    close: () => {},
  };
}

function findIn(file: ByteString, entry: TarEntry): Found | undefined {
  const { name, type, linkName, offset, size, records } = entry;
  switch (type) {
    case '1':
      return { linkTo: cleanPath(linkName) };
    case '2': {
      const folder = name.slice(0, name.lastIndexOf('/') + 1);
      return { linkTo: cleanPath(linkName.startsWith('/') ? linkName : byteString(folder + linkName)) };
    }
    case '0':
    case '7':
      // The content of a sparse file is not in one piece.
      return [...records.keys()].some((key) => key.startsWith('GNU.sparse.'))
        ? undefined
        : { file, offset: offset + HEADER_SIZE, size };
    default:
      return undefined;
  }
}

function resolve(
  entries: ReadonlyMap<ByteString, Found>,
  wanted: ByteString,
  name: string,
): BlobRange | undefined {
  let found = entries.get(wanted);
  for (let links = 0; found !== undefined && 'linkTo' in found; links++) {
    if (links === MAX_LINKS)
      throw malformed(`${name}: ${displayByteString(wanted)}: links lead in a circle`, { path: wanted });
    found = entries.get(found.linkTo);
  }
  return found;
}

function readHeaders(path: ByteString, reader: TarReader): void {
  const shown = displayByteString(path);
  const buffer = new Uint8Array(PIECE);
  let fd: number | undefined;
  try {
    fd = openSync(fsPath(path), 'r');
    const { size } = fstatSync(fd);
    for (let at = 0; !reader.isAtEnd; ) {
      const length = readSync(fd, buffer, 0, buffer.length, at);
      if (length === 0) break;
      reader.push(buffer.subarray(0, length));
      at += length;
      const left = Math.min(reader.contentLeft, Math.max(size - at, 0));
      if (left > 0) reader.skipContent(left);
      at += left;
    }
    reader.finish();
  } catch (error) {
    throw error instanceof SealtreeError ? prefixed(shown, error) : ioError(`opening ${shown}`, error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
