/**
 * Where a Zstandard frame ends, found without decompressing it: blocks say how long they are.
 * Source: RFC 8878, 3.1.1.
 * @module
 */
import { malformed } from '../core/errors.ts';

/** `28 b5 2f fd`, little endian. */
const MAGIC = 0xfd2fb528;
const RESERVED_BLOCK = 3;
const RLE_BLOCK = 1;

/**
 * The length of the frame that begins at `at`.
 *
 * @throws SealtreeError `malformed` if it does not end within `data`
 */
export function zstdFrameLength(data: Uint8Array, at: number): number {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const cut = () => malformed(`zstd: the frame at ${at} does not end`, { offset: at });
  if (at + 6 > data.length || view.getUint32(at, true) !== MAGIC) throw cut();
  const descriptor = view.getUint8(at + 4);
  const single = (descriptor & 0x20) !== 0;
  const checksum = (descriptor & 0x04) !== 0;
  const dictionarySize = [0, 1, 2, 4][descriptor & 3] as number;
  const contentSize = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
  let next = at + 5 + (single ? 0 : 1) + dictionarySize + contentSize;
  for (let last = false; !last; ) {
    if (next + 3 > data.length) throw cut();
    const header = view.getUint16(next, true) | (view.getUint8(next + 2) << 16);
    last = (header & 1) === 1;
    const type = (header >> 1) & 3;
    if (type === RESERVED_BLOCK) throw malformed(`zstd: no block at ${next}`, { offset: next });
    next += 3 + (type === RLE_BLOCK ? 1 : header >> 3);
  }
  next += checksum ? 4 : 0;
  if (next > data.length) throw cut();
  return next - at;
}
