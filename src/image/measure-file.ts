/** The fs-verity digest of a file as libcomposefs measures it: the kernel's if it has one, else computed. @module */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import type { SealtreeError } from '../core/errors.ts';
import { libcomposefsEmptyDigest, VerityHash } from '../core/verity/digest.ts';
import { fsPath } from '../node/fs-path.ts';
import { opensslHash } from '../node/hash.ts';
import { ioError, plainError } from '../node/io-error.ts';
import { measureVerity } from '../node/syscalls.ts';

const BUFFER_SIZE = 1 << 20;

/**
 * Measures a file.
 *
 * @returns the digest, 64 hexadecimal digits, or why the file, though open, could not be read
 * @throws SealtreeError `io` if it cannot be opened, in the words of composefs-info
 */
export function measureFile(path: ByteString): string | SealtreeError {
  let fd: number;
  try {
    fd = openSync(fsPath(path), 'r');
  } catch (error) {
    throw ioError(`Failed to open '${displayByteString(path)}'`, error);
  }
  try {
    const known = fstatSync(fd).isFile() ? measureVerity(fd) : undefined;
    return known?.algorithm === 'sha256' ? hexOf(known.digest) : computeDigest(fd);
  } catch (error) {
    return plainError(error) as SealtreeError;
  } finally {
    closeSync(fd);
  }
}

function computeDigest(fd: number): string {
  const verity = new VerityHash(opensslHash);
  const buffer = Buffer.allocUnsafe(BUFFER_SIZE);
  let size = 0;
  for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) {
    verity.update(buffer.subarray(0, length));
    size += length;
  }
  return hexOf(size === 0 ? libcomposefsEmptyDigest(opensslHash) : verity.digest());
}
