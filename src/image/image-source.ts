/** Images in files, read where they are looked at. @module */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import type { ImageSource } from '../core/erofs/image-source.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';

export interface OpenImage extends ImageSource {
  close(): void;
}

/**
 * Opens an image.
 *
 * @throws SealtreeError `io` in the words of composefs-info: `Failed to open 'PATH': …`
 */
export function openImageFile(path: ByteString): OpenImage {
  const shown = displayByteString(path);
  let fd: number;
  try {
    fd = openSync(fsPath(path), 'r');
  } catch (error) {
    throw ioError(`Failed to open '${shown}'`, error);
  }
  const status = fstatSync(fd);
  if (!status.isFile()) {
    closeSync(fd);
    throw malformed(`Failed to load '${shown}': not a regular file`);
  }
  return {
    size: status.size,
    read(at, length) {
      const data = Buffer.allocUnsafeSlow(length);
      for (let done = 0; done < length; ) {
        const got = readAt(fd, data, done, at + done);
        if (got === 0)
          throw new SealtreeError('io', `image ends at offset ${at + done}, expected ${status.size} bytes`);
        done += got;
      }
      return data;
    },
    close: () => closeSync(fd),
  };
}

function readAt(fd: number, data: Buffer, from: number, position: number): number {
  try {
    return readSync(fd, data, from, data.length - from, position);
  } catch (error) {
    throw ioError('reading image', error);
  }
}
