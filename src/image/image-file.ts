/**
 * Writes images to files and digests them on the way: one pass, nothing of the image is kept.
 * @module
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
} from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import type { FormatVersions } from '../core/erofs/order.ts';
import { type WrittenImage, writeImage } from '../core/erofs/writer.ts';
import type { Inode } from '../core/fs/file-tree.ts';
import type { Hash } from '../core/hash.ts';
import { VerityHash } from '../core/verity/digest.ts';
import { temporaryName, writeAll } from '../node/atomic-file.ts';
import { fsPath } from '../node/fs-path.ts';
import { opensslHash } from '../node/hash.ts';
import { ioError } from '../node/io-error.ts';
import { onExit } from '../node/on-exit.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';

export interface DigestedImage extends WrittenImage {
  /** fs-verity digest of the image, 64 lower-case hexadecimal digits. */
  readonly digest: string;
}

/**
 * Writes the image of a tree and returns its fs-verity digest.
 *
 * @param emit gets the image in chunks, if it is wanted
 * @param hash what hashes the blocks of the image
 */
export function digestImage(
  root: Inode,
  versions?: FormatVersions,
  emit: (chunk: Uint8Array) => void = () => {},
  hash: Hash = opensslHash,
): DigestedImage {
  const verity = new VerityHash(hash);
  const image = writeImage(root, versions, (chunk) => {
    verity.update(chunk);
    emit(chunk);
  });
  return { ...image, digest: hexOf(verity.digest()) };
}

/** A file in the making. Until `finish` its name is free or still that of the file it replaces. */
export interface PendingFile {
  write(data: Uint8Array): void;
  /** Gives the file its name. */
  finish(): void;
  /** Leaves no trace; does nothing after `finish`. */
  discard(): void;
}

/**
 * Opens a file that replaces `path` when it is complete and on disk, with the owner and mode of the one that is there.
 * What cannot be replaced is written directly: a device, a pipe, and a file in a directory one may not write to. Such a
 * file is as it was until the first write, and empty if there is none to finish it.
 *
 * @throws SealtreeError `io` with `what` before the system's words
 */
export function openPendingFile(path: ByteString, what: string): PendingFile {
  try {
    const { target, status } = targetOf(path);
    if (status === undefined || status.isFile()) {
      const temporary = openTemporary(target, status);
      if (temporary !== undefined) return replacing(target, temporary);
    }
    return status?.isFile() ? inPlace(target) : direct(openSync(fsPath(path), 'w'));
  } catch (error) {
    throw ioError(what, error);
  }
}

/** The file behind symlinks, which stay what they are. */
function targetOf(path: ByteString): { target: ByteString; status: Stats | undefined } {
  const link = lstatSync(fsPath(path), { throwIfNoEntry: false });
  if (link === undefined) return { target: path, status: undefined };
  if (!link.isSymbolicLink()) return { target: path, status: link };
  const status = statSync(fsPath(path), { throwIfNoEntry: false });
  // A symlink to nothing: opening it makes the file, wherever that is.
  if (status === undefined) return { target: path, status: link };
  const target = byteString(realpathSync(fsPath(path), 'buffer').toString('latin1'));
  return { target, status };
}

interface Temporary {
  readonly path: ByteString;
  readonly fd: number;
}

/** undefined if the directory does not let us, but the file may. */
function openTemporary(target: ByteString, status: Stats | undefined): Temporary | undefined {
  const path = temporaryName(target);
  let fd: number;
  try {
    fd = openSync(fsPath(path), 'wx', 0o666);
  } catch (error) {
    if (status === undefined) throw error;
    return undefined;
  }
  registerTemporary(path);
  if (status !== undefined) keepOwner(fd, status);
  return { path, fd };
}

function keepOwner(fd: number, status: Stats): void {
  try {
    fchownSync(fd, status.uid, status.gid);
    fchmodSync(fd, status.mode & 0o7777);
  } catch {
    // Only root can give files away; the new file is then the caller's own, with the usual mode.
  }
}

function replacing(target: ByteString, { path, fd }: Temporary): PendingFile {
  let open = true;
  const discard = () => {
    if (!open) return;
    open = false;
    closeSync(fd);
    unlinkSync(fsPath(path));
    forgetTemporary(path);
  };
  return {
    write: (data) => writeAll(fd, data),
    finish() {
      fsyncSync(fd);
      renameSync(fsPath(path), fsPath(target));
      open = false;
      forgetTemporary(path);
      closeSync(fd);
    },
    discard,
  };
}

function inPlace(target: ByteString): PendingFile {
  const fd = openSync(fsPath(target), constants.O_WRONLY);
  const file = direct(fd);
  const empty = () => ftruncateSync(fd);
  let settled: (() => void) | undefined;
  const discard = () => {
    if (settled !== undefined) empty();
    settled?.();
    settled = undefined;
    file.discard();
  };
  return {
    write(data) {
      if (settled === undefined) {
        empty();
        settled = onExit(empty);
      }
      file.write(data);
    },
    finish() {
      fsyncSync(fd);
      settled?.();
      settled = undefined;
      file.finish();
    },
    discard,
  };
}

function direct(fd: number): PendingFile {
  let open = true;
  const close = () => {
    if (!open) return;
    open = false;
    closeSync(fd);
  };
  return { write: (data) => writeAll(fd, data), finish: close, discard: close };
}
