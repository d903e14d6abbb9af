/**
 * Which objects a repository has. Asking for a few is a call each; for many files the folders are listed, which takes
 * less than a call for each. Good as long as the repository's lock is held: without it objects may be deleted.
 * @module
 */
import { closeSync, constants } from 'node:fs';
import { RecordIndex } from '../cache/record-index.ts';
import { byteString } from '../core/bytes/byte-string.ts';
import { isChecksum, readHex } from '../core/bytes/hex.ts';
import { objectPath } from '../core/ostree/objects.ts';
import { type Entry, readEntries } from '../node/directory.ts';
import { isErrno } from '../node/io-error.ts';
import { existsAt, openAt } from '../node/syscalls.ts';
import type { ObjectStore } from './object-store.ts';

/** An object's name in a listing costs about a tenth of a call. */
const LISTED_PER_CALL = 8;

const FOLDERS = 256;

/** Numbers of 32 bits in a checksum. */
const WORDS = 8;

interface Listing {
  readonly checksums: Uint32Array;
  readonly index: RecordIndex;
}

export class ObjectIndex {
  readonly #store: Pick<ObjectStore, 'objects' | 'mode'>;
  readonly #extension: string;
  readonly #listings = new Array<Listing | undefined>(FOLDERS);
  readonly #dirmetas = new Map<string, boolean>();
  readonly #worthListing: number;
  #isListed: boolean;

  /** @param expected how many files will be asked for, more or less */
  constructor(store: Pick<ObjectStore, 'objects' | 'mode'>, expected: number) {
    this.#store = store;
    this.#extension = store.mode === 'archive' ? '.filez' : '.file';
    this.#worthListing = (expected / FOLDERS) * LISTED_PER_CALL;
    this.#isListed = expected >= 4 * FOLDERS;
  }

  /**
   * Whether the repository itself has a content object; what is staged does not count.
   *
   * @param checksum 32 bytes
   */
  hasFile(checksum: Buffer): boolean {
    if (!this.#isListed) return this.#exists(checksum.toString('hex'), 'file');
    const { checksums, index } = this.#listing(checksum[0] as number);
    // In pieces as Uint32Array has them; the checksum may lie at any address.
    return (
      index.find(checksum.readUint32LE(28), (record) => {
        for (let i = 0; i < WORDS; i++)
          if (checksums[record * WORDS + i] !== checksum.readUint32LE(4 * i)) return false;
        return true;
      }) >= 0
    );
  }

  /** Whether the repository itself has a dirmeta object; there are few of them. */
  hasDirmeta(checksum: string): boolean {
    let known = this.#dirmetas.get(checksum);
    if (known === undefined) {
      known = this.#exists(checksum, 'dirmeta');
      this.#dirmetas.set(checksum, known);
    }
    return known;
  }

  #exists(checksum: string, type: 'file' | 'dirmeta'): boolean {
    const path = objectPath(checksum, type, { archive: this.#store.mode === 'archive' });
    return existsAt(this.#store.objects, path);
  }

  #listing(first: number): Listing {
    const known = this.#listings[first];
    if (known !== undefined) return known;
    const folder = first.toString(16).padStart(2, '0');
    const names = namesIn(this.#store.objects, folder);
    // The others are about as long.
    if (names.length > this.#worthListing) this.#isListed = false;
    const listing = this.#read(folder, names);
    this.#listings[first] = listing;
    return listing;
  }

  #read(folder: string, entries: readonly Entry[]): Listing {
    const checksums = new Uint32Array(entries.length * WORDS);
    const index = new RecordIndex(entries.length);
    let count = 0;
    for (const { name } of entries) {
      if (!name.endsWith(this.#extension)) continue;
      const checksum = folder + name.slice(0, -this.#extension.length);
      if (!isChecksum(checksum)) continue;
      readHex(checksum, new Uint8Array(checksums.buffer, 4 * WORDS * count, 4 * WORDS));
      index.add(checksums[count * WORDS + WORDS - 1] as number, count++);
    }
    return { checksums, index };
  }
}

function namesIn(objects: number, folder: string): readonly Entry[] {
  let fd: number;
  try {
    fd = openAt(objects, byteString(folder), constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
  try {
    return readEntries(fd);
  } finally {
    closeSync(fd);
  }
}
