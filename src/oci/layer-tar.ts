/** The content of a layer: an uncompressed tar archive, checked against the image's digests while it is read. @module */
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import { blobPieces, filePieces } from './blob.ts';
import { decompress } from './decompress.ts';
import { checkedPieces, digestText } from './digest.ts';
import type { ImageLayer } from './image.ts';

/**
 * Reads a layer as `docker`, `podman` and OCI tools unpack it.
 *
 * @returns pieces of the tar archive, each valid until the next is asked for. Only when there are no more is it known
 *   that they are the layer's: what was made of them has to be dropped if this throws.
 * @throws SealtreeError `mismatch` if blob or content have another digest than manifest and configuration say,
 *   `malformed` if it cannot be decompressed, `io`
 */
export function* layerTar({ name, blob, digest, diffId }: ImageLayer): Generator<Uint8Array> {
  const pieces = blobPieces(blob);
  const content = decompress(digest === undefined ? pieces : checkedPieces(pieces, digest, 'blob'));
  const isPlain = digest !== undefined && digestText(digest) === digestText(diffId);
  try {
    yield* isPlain ? content : checkedPieces(content, diffId, 'content');
  } catch (error) {
    throw prefixed(name, error);
  }
}

/**
 * Reads a tar archive in a file or a pipe, plain or compressed, of which nothing is known.
 *
 * @returns pieces, each valid until the next is asked for
 * @throws SealtreeError `malformed`, `io`
 */
export function* tarFile(path: ByteString): Generator<Uint8Array> {
  try {
    yield* decompress(filePieces(path));
  } catch (error) {
    // The system's refusals name the file themselves.
    if (error instanceof SealtreeError && error.code === 'io') throw error;
    throw prefixed(displayByteString(path), error);
  }
}
