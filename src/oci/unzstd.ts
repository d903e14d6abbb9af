/**
 * Zstandard read piece by piece, frame after frame. Checksums of frames are not looked at: what is read so has a digest.
 * Defined by RFC 8878.
 * @module
 */
import { Decompress } from 'fzstd';
import { malformed } from '../core/errors.ts';

/** What `zstd` itself decompresses without being told to take more memory. */
const MAX_WINDOW = 128 * 1024 * 1024;
/** Magic number, descriptor and the longest fields behind it. */
const MAX_HEADER = 18;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;
const BLOCK_HEADER = 3;

/**
 * Decompresses Zstandard lazily.
 *
 * @throws SealtreeError `malformed`; `unsupported` for frames that need a dictionary or a window of more than 128 MiB
 */
export function* unzstd(input: Iterable<Uint8Array>): Generator<Uint8Array> {
  const out: Uint8Array[] = [];
  const frames = new Frames();
  const stream = new Decompress((piece) => {
    if (piece.length > 0) out.push(piece);
  });
  for (const piece of input) {
    frames.push(piece);
    // It may keep what it is given.
    attempt(() => stream.push(piece.slice(), false));
    yield* out.splice(0);
  }
  if (!frames.isBetween) throw malformed('zstd: unexpected EOF');
  attempt(() => stream.push(new Uint8Array(0), true));
  yield* out.splice(0);
}

/** Follows where frames and blocks begin and end, and what they ask for, ahead of the decompressor. */
class Frames {
  readonly #header: number[] = [];
  #state: 'frame' | 'block' | 'checksum' = 'frame';
  #skip = 0;
  #hasChecksum = false;
  #isLast = false;

  get isBetween(): boolean {
    return this.#state === 'frame' && this.#header.length === 0 && this.#skip === 0;
  }

  push(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, piece.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      this.#header.push(piece[at++] as number);
      if (this.#state === 'frame') this.#takeFrame();
      else this.#takeBlock();
    }
  }

  #takeFrame(): void {
    const header = this.#header;
    if (header.length < 5) return;
    const magic = littleEndian(header.slice(0, 4));
    if (magic >>> 4 === 0x184d2a5) {
      if (header.length < 8) return;
      this.#skip = littleEndian(header.slice(4, 8));
      header.length = 0;
      return;
    }
    if (magic !== 0xfd2fb528) throw malformed('zstd: no frame where one should begin');
    const descriptor = header[4] as number;
    const isSingle = (descriptor & 0x20) !== 0;
    const sizeLength = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
    const length = 5 + (isSingle ? 0 : 1) + sizeLength;
    if ((descriptor & 3) !== 0) throw malformed('zstd: the frame needs a dictionary');
    if (header.length < length || length > MAX_HEADER) return;
    if (windowOf(header, isSingle, sizeLength) > MAX_WINDOW)
      throw malformed(`zstd: the frame needs more than ${MAX_WINDOW} bytes of memory`);
    this.#hasChecksum = (descriptor & 4) !== 0;
    this.#state = 'block';
    header.length = 0;
  }

  #takeBlock(): void {
    const header = this.#header;
    if (header.length < BLOCK_HEADER) return;
    const bits = littleEndian(header);
    header.length = 0;
    const type = (bits >> 1) & 3;
    if (type === RESERVED_BLOCK) throw malformed('zstd: a block of no kind');
    this.#isLast = (bits & 1) === 1;
    this.#skip = type === RLE_BLOCK ? 1 : bits >> 3;
    if (!this.#isLast) return;
    this.#skip += this.#hasChecksum ? 4 : 0;
    this.#state = 'frame';
  }
}

function windowOf(header: readonly number[], isSingle: boolean, sizeLength: number): number {
  if (isSingle) return littleEndian(header.slice(5, 5 + sizeLength)) + (sizeLength === 2 ? 256 : 0);
  const descriptor = header[5] as number;
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function littleEndian(bytes: readonly number[]): number {
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
}

function attempt(step: () => void): void {
  try {
    step();
  } catch (error) {
    throw malformed(`zstd: ${(error as Error).message}`);
  }
}
