/** Byte strings as the paths that node:fs takes. @module */
import { type ByteString, byteString, isAscii } from '../core/bytes/byte-string.ts';

/** A path for node:fs: a string while it is ASCII, which is cheaper, and else a Buffer, so that no byte is lost. */
export function fsPath(path: ByteString): string | Buffer {
  return isAscii(path) ? path : Buffer.from(path, 'latin1');
}

/** `directory/name`; the name alone in the current directory (`''`), and no second slash behind the root. */
export function joinPath(directory: ByteString, name: ByteString): ByteString {
  if (directory === '') return name;
  return byteString(directory.endsWith('/') ? directory + name : `${directory}/${name}`);
}
