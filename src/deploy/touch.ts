/** Telling other programs that deployments have changed. @module */
import { utimesSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';

/** They watch the time of `ostree/deploy`. */
export function touchDeployments(sysroot: ByteString): void {
  const now = new Date();
  try {
    utimesSync(fsPath(joinPath(sysroot, byteString('ostree/deploy'))), now, now);
  } catch (error) {
    throw ioError('futimens', error);
  }
}
