/** A large file of which most is never written, there as a whole or not at all. @module */
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import type { Sink } from '../core/fs/disk-node.ts';
import { temporaryName } from '../node/atomic-file.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';

/**
 * Writes a file of `size` bytes, of which holes are what `write` leaves out.
 *
 * @throws SealtreeError `io`: `writing PATH: …`; nothing is left then
 */
export function writeSparseFile(path: ByteString, size: number, write: (sink: Sink) => void): void {
  const temporary = temporaryName(path);
  registerTemporary(temporary);
  let fd: number | undefined;
  try {
    const file = writing(path, () => openSync(fsPath(temporary), 'wx', 0o600));
    fd = file;
    writing(path, () => ftruncateSync(file, size));
    write((at, data) =>
      writing(path, () => {
        for (let done = 0; done < data.length; )
          done += writeSync(file, data, done, data.length - done, at + done);
      }),
    );
    writing(path, () => {
      fchmodSync(file, 0o644);
      fsyncSync(file);
      renameSync(fsPath(temporary), fsPath(path));
    });
  } catch (error) {
    if (fd !== undefined) removeQuietly(temporary);
    throw error;
  } finally {
    if (fd !== undefined) closeSync(fd);
    forgetTemporary(temporary);
  }
}

function writing<T>(path: ByteString, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw ioError(`writing ${displayByteString(path)}`, error);
  }
}

function removeQuietly(path: ByteString): void {
  try {
    unlinkSync(fsPath(path));
  } catch {
    // The failure that led here is the one to tell.
  }
}
