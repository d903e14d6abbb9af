/** Images as folders: the OCI image layout. Defined by the OCI Image Format Specification, image-layout.md. @module */
import { lstatSync, realpathSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import type { BlobRange, BlobStore } from './blob.ts';

/** Opens a folder. @throws SealtreeError `io` if it is none */
export function openLayout(path: ByteString): BlobStore {
  const name = displayByteString(path);
  let root: ByteString;
  try {
    root = byteString(realpathSync(fsPath(path), 'latin1'));
  } catch (error) {
    throw ioError(`opening ${name}`, error);
  }
  return { name, find: async (wanted) => findFile(root, wanted, name), close: () => {} };
}

/** Symlinks may lead to other files of the folder, not out of it. */
function findFile(root: ByteString, wanted: ByteString, name: string): BlobRange | undefined {
  try {
    const file = byteString(realpathSync(fsPath(joinPath(root, wanted)), 'latin1'));
    if (!file.startsWith(root === '/' ? '/' : `${root}/`))
      throw malformed(`${name}: ${displayByteString(wanted)} leads outside`, { path: wanted });
    const status = lstatSync(fsPath(file));
    return status.isFile() ? { file, offset: 0, size: status.size } : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    if (error instanceof SealtreeError) throw error;
    throw ioError(`opening ${name}: ${displayByteString(wanted)}`, error);
  }
}
