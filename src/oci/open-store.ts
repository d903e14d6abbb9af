/** Images that are in files. @module */
import { statSync } from 'node:fs';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { openArchive } from './archive.ts';
import type { BlobStore } from './blob.ts';
import { openLayout } from './layout.ts';

/**
 * Opens an image: the folder of an OCI layout, or an archive of one or of docker's or podman's kind.
 *
 * @throws SealtreeError `io`, `malformed`
 */
export function openStore(path: ByteString): BlobStore {
  let isFolder: boolean;
  try {
    isFolder = statSync(fsPath(path)).isDirectory();
  } catch (error) {
    throw ioError(`opening ${displayByteString(path)}`, error);
  }
  return isFolder ? openLayout(path) : openArchive(path);
}
