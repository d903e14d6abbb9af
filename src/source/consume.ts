/** Removing a directory that was committed (`ostree commit --consume`). @module */
import { closeSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { isDirectory } from '../core/fs/mode.ts';
import { DirectoryWalk, type OpenDirectory, placeOf, readEntries } from '../node/directory.ts';
import { ioError } from '../node/io-error.ts';
import { AT_FDCWD, statAt, unlinkAt } from '../node/syscalls.ts';
import { hardLinkKey } from './link-cache.ts';

/**
 * Removes a directory and all below it, whatever the depth; of the current directory (`.`) only the content.
 * A name that has come since the directory was read stays, and so do the directories above it.
 *
 * @param visited the names that were read, by the inode of their directory; one that was passed over goes as it is
 * @throws SealtreeError `io` with the name of what cannot be removed
 */
export function consumeDirectory(
  path: ByteString,
  visited: ReadonlyMap<string, ReadonlySet<ByteString>>,
): void {
  const walk = new DirectoryWalk();
  const emptied: ByteString[] = [];
  try {
    const pending = [path];
    let directory: OpenDirectory | undefined = walk.openRoot(path);
    for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
      directory ??= walk.open(place, statAt(AT_FDCWD, place));
      if (place !== '.') emptied.push(place);
      pending.push(...emptyDirectory(directory, visited));
      closeSync(directory.fd);
      directory = undefined;
    }
    for (const place of emptied.reverse()) remove(AT_FDCWD, place, true);
  } finally {
    walk.close();
  }
}

/** Removes the files in a directory; returns the places of the directories in it. */
function emptyDirectory(
  directory: OpenDirectory,
  visited: ReadonlyMap<string, ReadonlySet<ByteString>>,
): ByteString[] {
  const directories: ByteString[] = [];
  const known = visited.get(hardLinkKey(statAt(directory.fd, byteString(''))));
  for (const { name } of readEntries(directory.fd)) {
    if (known !== undefined && !known.has(name)) continue;
    if (isDirectory(statAt(directory.fd, name).mode)) directories.push(placeOf(directory, name));
    else remove(directory.fd, name, false);
  }
  return directories;
}

function remove(directory: number, name: ByteString, isDirectory: boolean): void {
  try {
    unlinkAt(directory, name, { directory: isDirectory });
  } catch (error) {
    throw ioError(`unlinkat(${displayByteString(byteString(name))})`, error);
  }
}
