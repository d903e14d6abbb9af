/** Telling other programs that deployments have changed. @module */
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { touch } from '../node/syscalls.ts';

/** They watch the time of `ostree/deploy`. */
export function touchDeployments(sysroot: ByteString): void {
  try {
    touch(joinPath(sysroot, byteString('ostree/deploy')));
  } catch (error) {
    throw ioError('futimens', error);
  }
}
