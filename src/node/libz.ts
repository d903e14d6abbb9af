/**
 * The system's zlib. Node's own is faster but compresses differently, and `--generate-sizes` promises the lengths
 * that ostree's would have. Defined by zlib.h; raw deflate, as ostree has it in `.filez` objects.
 * @module
 */
import { SealtreeError } from '../core/errors.ts';
import { addressOf, foreign } from './foreign.ts';

const LIBRARY = 'libz.so.1';
const call = {
  deflateInit2: foreign(
    'deflateInit2_',
    'int',
    ['void *', 'int', 'int', 'int', 'int', 'int', 'str', 'int'],
    LIBRARY,
  ),
  deflate: foreign('deflate', 'int', ['void *', 'int'], LIBRARY),
  deflateReset: foreign('deflateReset', 'int', ['void *'], LIBRARY),
};

/** `z_stream` on 64-bit machines: its size and the offsets of what is used of it. */
const STREAM = { size: 112, nextIn: 0, availIn: 8, nextOut: 24, availOut: 32 };

const Z_OK = 0;
const Z_STREAM_END = 1;
const Z_BUF_ERROR = -5;
const Z_NO_FLUSH = 0;
const Z_FINISH = 4;
const Z_DEFLATED = 8;
const RAW_WINDOW_BITS = -15;
const MEMORY_LEVEL = 8;
const DEFAULT_STRATEGY = 0;

/** Bytes that deflate hands out at once. */
const OUTPUT_SIZE = 256 * 1024;

/** Compresses one piece of content after another; `reset` before each. */
export class LibzDeflate {
  readonly #stream = Buffer.alloc(STREAM.size);
  readonly #output = Buffer.allocUnsafeSlow(OUTPUT_SIZE);
  #length = 0;

  /** @param level 1 to 9 */
  constructor(level: number) {
    const version = '1.2.11';
    checkResult(
      call.deflateInit2(
        this.#stream,
        level,
        Z_DEFLATED,
        RAW_WINDOW_BITS,
        MEMORY_LEVEL,
        DEFAULT_STRATEGY,
        version,
        STREAM.size,
      ),
    );
  }

  /** Bytes that came out since the last reset. */
  get length(): number {
    return this.#length;
  }

  reset(): void {
    this.#length = 0;
    checkResult(call.deflateReset(this.#stream));
  }

  /** @param emit gets what comes out, valid during the call */
  push(data: Uint8Array, emit: (output: Uint8Array) => void): void {
    if (data.length > 0) this.#run(data, Z_NO_FLUSH, emit);
  }

  end(emit: (output: Uint8Array) => void): void {
    this.#run(new Uint8Array(1).subarray(0, 0), Z_FINISH, emit);
  }

  /** All of a content at once. */
  deflate(data: Uint8Array): Uint8Array {
    const pieces: Buffer[] = [];
    const emit = (output: Uint8Array) => pieces.push(Buffer.from(output));
    this.reset();
    this.push(data, emit);
    this.end(emit);
    return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
  }

  #run(data: Uint8Array, flush: number, emit: (output: Uint8Array) => void): void {
    const stream = this.#stream;
    stream.writeBigUInt64LE(data.length === 0 ? 0n : addressOf(data), STREAM.nextIn);
    stream.writeUInt32LE(data.length, STREAM.availIn);
    for (;;) {
      stream.writeBigUInt64LE(addressOf(this.#output), STREAM.nextOut);
      stream.writeUInt32LE(OUTPUT_SIZE, STREAM.availOut);
      const result = call.deflate(stream, flush);
      if (result !== Z_STREAM_END && result !== Z_BUF_ERROR) checkResult(result);
      const left = stream.readUInt32LE(STREAM.availOut);
      if (left < OUTPUT_SIZE) {
        this.#length += OUTPUT_SIZE - left;
        emit(this.#output.subarray(0, OUTPUT_SIZE - left));
      }
      if (flush === Z_FINISH ? result === Z_STREAM_END : left > 0) return;
    }
  }
}

function checkResult(result: number): void {
  if (result !== Z_OK) throw new SealtreeError('internal', `zlib: error ${result}`);
}
