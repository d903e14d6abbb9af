/** A dump file on disk or on standard input as the tree it describes. @module */
import { closeSync, openSync, readSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { type ReadDumpOptions, readDump } from '../core/dumpfile/read.ts';
import { SealtreeError } from '../core/errors.ts';
import type { Inode } from '../core/fs/file-tree.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';

/** Bytes that are read at a time. Strings of this size lie outside V8's heap and are never copied by it. */
const CHUNK_SIZE = 4 << 20;

const NEWLINE = 0x0a;

/**
 * Reads the dump file `path`, or standard input for `-`.
 *
 * @throws SealtreeError `io` in the words of mkcomposefs, `malformed` from {@link readDump}
 */
export function readDumpFile(path: ByteString, options?: ReadDumpOptions): Inode {
  if (path === '-') return readDump(chunksOf(0), options);
  let fd: number;
  try {
    fd = openSync(fsPath(path), 'r');
  } catch (error) {
    throw ioError(`open \`${displayByteString(path)}\``, error);
  }
  try {
    return readDump(chunksOf(fd), options);
  } finally {
    closeSync(fd);
  }
}

/** The text in chunks that end with a line, so that the parser never has to join them. */
function* chunksOf(fd: number): Generator<ByteString> {
  let buffer = Buffer.allocUnsafe(CHUNK_SIZE);
  /** Bytes in the buffer, the start of a line that has not ended yet. */
  let pending = 0;
  for (;;) {
    if (pending === buffer.length) buffer = Buffer.concat([buffer], 2 * buffer.length);
    const length = readSome(fd, buffer, pending);
    if (length === 0) break;
    const end = pending + length;
    const lines = buffer.subarray(0, end).lastIndexOf(NEWLINE) + 1;
    if (lines === 0 || (lines < end / 2 && end < buffer.length)) {
      pending = end;
      continue;
    }
    yield byteString(buffer.toString('latin1', 0, lines));
    buffer.copyWithin(0, lines, end);
    pending = end - lines;
  }
  if (pending > 0) yield byteString(buffer.toString('latin1', 0, pending));
}

function readSome(fd: number, buffer: Buffer, at: number): number {
  for (;;) {
    try {
      return readSync(fd, buffer, at, buffer.length - at, null);
    } catch (error) {
      if (isErrno(error, 'EOF')) return 0;
      if (!isErrno(error, 'EAGAIN'))
        throw new SealtreeError('io', 'Error reading from file', {}, { cause: error });
      // Standard input that somebody made non-blocking.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
