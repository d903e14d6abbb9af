/** Generations of boot entries on a /boot without symlinks: see src/deploy/boot-entries.ts. @module */
import { closeSync, constants, openSync } from 'node:fs';
import { type ByteString, byteString, bytesOf, displayByteString } from '../core/bytes/byte-string.ts';
import { writeFileAtomically } from '../node/atomic-file.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import type { Generation } from './boot-entries.ts';
import { type BootEntry, formatEntry } from './boot-entry.ts';
import { isThere, removeFile, syncDirectory, syncFile } from './files.ts';
import type { Sysroot } from './sysroot.ts';

/** The generation whose entry the running system was booted with. */
export function runningGeneration({ running, current, others }: Sysroot): Generation | undefined {
  const version = /^\/ostree\/boot\.([01])\//.exec(running?.argument ?? '')?.[1];
  if (version === undefined) return undefined;
  return [current, ...others].find(({ bootVersion }) => bootVersion === Number(version));
}

/**
 * Writes an entry, in place of one of that name, so that it is on the disk. FAT keeps place and size of a file beside
 * its name, and a new name has neither on the disk until the file is synchronised under it.
 */
export function writeEntry(path: ByteString, entry: BootEntry): void {
  keepingOpen(isThere(path) ? [path] : [], () => {
    writeFileAtomically(path, bytesOf(formatEntry(entry)), { mode: 0o644 });
    syncFile(path);
    syncDirectory(byteString(path.slice(0, path.lastIndexOf('/'))));
  });
}

/** Removes entries from a /boot without symlinks, for good. */
export function removeEntries(folder: ByteString, entries: readonly BootEntry[]): void {
  const paths = entries.flatMap(({ fileName }) => (fileName === undefined ? [] : joinPath(folder, fileName)));
  if (paths.length === 0) return;
  keepingOpen(paths, () => {
    for (const path of paths) removeFile(path);
    syncDirectory(folder);
  });
}

/**
 * FAT gives the clusters of a file back when nobody has it open any more: here not before its name is gone from the
 * disk, or leads elsewhere there. A power cut would leave a name of what is not there.
 */
function keepingOpen(paths: readonly ByteString[], change: () => void): void {
  const open: number[] = [];
  try {
    for (const path of paths) open.push(openFile(path));
    change();
  } finally {
    for (const fd of open) closeSync(fd);
  }
}

function openFile(path: ByteString): number {
  try {
    return openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    throw ioError(`openat(${displayByteString(path)})`, error);
  }
}
