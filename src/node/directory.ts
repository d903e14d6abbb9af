/**
 * Walking directories of any depth, the safe way: entries are read and examined relative to an open directory, and
 * a directory that was examined is the one that is opened. Paths longer than PATH_MAX are reached through
 * descriptors that stay open on the way down.
 * @module
 */
import { closeSync, constants } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { bytesAt, checked, foreign } from './foreign.ts';
import { joinPath } from './fs-path.ts';
import { AT_FDCWD, type FileStatus, openAt, statAt } from './syscalls.ts';

export interface Entry {
  readonly name: ByteString;
  /** `DT_*`: the type bits of the mode, shifted right by 12; 0 where the file system does not tell. */
  readonly type: number;
}

export const DT_CHR = 2;
export const DT_DIR = 4;
export const DT_BLK = 6;
export const DT_REG = 8;
export const DT_LNK = 10;

export interface OpenDirectory {
  /** To be closed by whoever opened it. */
  readonly fd: number;
  /** A path that leads here and leaves room for a name; see `DirectoryWalk`. */
  readonly place: ByteString;
}

const PATH_MAX = 4096;
const NAME_MAX = 255;
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;
const DIRECTORY_ITSELF = DIRECTORY | constants.O_NOFOLLOW;
const getdents64 = foreign('getdents64', 'int64', ['int', 'void *', 'uint64']);
let entryBuffer: Buffer | undefined;

/**
 * The entries of an open directory without `.` and `..`, in the order of the file system.
 *
 * @param fd at its beginning; is at its end afterwards
 */
export function readEntries(fd: number): Entry[] {
  entryBuffer ??= Buffer.alloc(64 * 1024);
  const buffer = entryBuffer;
  const entries: Entry[] = [];
  for (;;) {
    const end = checked('getdents64', getdents64(fd, buffer, buffer.length));
    if (end === 0) return entries;
    for (let at = 0; at < end; ) {
      // struct linux_dirent64: inode, offset, record length, type, name and NUL
      const next = at + (buffer[at + 16] as number) + 256 * (buffer[at + 17] as number);
      let nameEnd = at + 19;
      while (nameEnd < next && buffer[nameEnd] !== 0) nameEnd++;
      const name = bytesAt(buffer, at + 19, nameEnd);
      if (name !== '.' && name !== '..') entries.push({ name, type: buffer[at + 18] as number });
      at = next;
    }
  }
}

/**
 * Opens directories on the way down a tree. A place is a path that the kernel takes, whatever the depth: below the
 * limit it is the path itself, deeper it is `/proc/self/fd/N/…` with the rest of the path. Places are good for all
 * threads until `close`. They are for calls; what people read is put together by whoever walks.
 */
export class DirectoryWalk {
  readonly #anchors: number[] = [];

  /** Opens the directory where the walk begins; a symlink is followed only if told to. */
  openRoot(path: ByteString, { follow = false } = {}): OpenDirectory {
    return this.#anchored({ fd: openAt(AT_FDCWD, path, follow ? DIRECTORY : DIRECTORY_ITSELF), place: path });
  }

  /**
   * Opens a directory below.
   *
   * @param place of its name in the directory above: `placeOf`
   * @param status what was found under that name
   * @throws SealtreeError `io` if something else is there by now
   */
  open(place: ByteString, status: FileStatus): OpenDirectory {
    const fd = openAt(AT_FDCWD, place, DIRECTORY_ITSELF);
    const found = statAt(fd, byteString(''));
    if (found.ino !== status.ino || found.dev !== status.dev) {
      closeSync(fd);
      throw directoryReplaced();
    }
    return this.#anchored({ fd, place });
  }

  /**
   * A place that leads to a directory and leaves room for a name: `place`, or another one where that is too long.
   *
   * @param status what was found under that name in the directory above; nothing where the walk begins
   * @throws as `open`
   */
  withRoom(place: ByteString, status: FileStatus | undefined): ByteString {
    if (hasRoom(place)) return place;
    const directory = status === undefined ? this.openRoot(place) : this.open(place, status);
    closeSync(directory.fd);
    return byteString(`${directory.place}/.`);
  }

  /** Closes what deep places lead through. */
  close(): void {
    for (const fd of this.#anchors.splice(0)) closeSync(fd);
  }

  /** Sees to it that a name fits behind the place. */
  #anchored(directory: OpenDirectory): OpenDirectory {
    if (hasRoom(directory.place)) return directory;
    const anchor = openAt(directory.fd, byteString('.'), DIRECTORY);
    this.#anchors.push(anchor);
    return { fd: directory.fd, place: byteString(`/proc/self/fd/${anchor}`) };
  }
}

/** Whether a name fits behind a place. */
function hasRoom(place: ByteString): boolean {
  return place.length + 1 + NAME_MAX < PATH_MAX;
}

/** The failure of a directory that is no longer the one that was examined. */
export function directoryReplaced(): SealtreeError {
  return new SealtreeError('io', 'directory was replaced while it was read');
}

/** The place of an entry of a directory. */
export function placeOf(directory: OpenDirectory, name: ByteString): ByteString {
  return joinPath(directory.place, name);
}
