/**
 * Raw deflate (RFC 1951) and gzip (RFC 1952) read synchronously and piece by piece, by the zlib that Node has in it.
 *
 * node:zlib streams only asynchronously; its synchronous functions want the whole input and give the whole output.
 * The handle behind a stream can do better, and has had this form since Node 8 (tar and npm stand on it as well).
 * @module
 */
import { constants, createGunzip, createInflateRaw, type InflateRaw } from 'node:zlib';
import { malformed } from '../core/errors.ts';

/** Bytes of a piece of output. */
const OUTPUT_SIZE = 128 * 1024;

interface Handle {
  onerror: (message: string, errno: number, code: string) => void;
  writeSync(
    flush: number,
    input: Uint8Array | null,
    inputAt: number,
    inputLength: number,
    output: Uint8Array,
    outputAt: number,
    outputLength: number,
  ): void;
}

interface Inflater<Stream> {
  readonly stream: Stream;
  readonly handle: Handle;
  /** Output space left, input left; as the last write left them. */
  readonly state: Uint32Array;
  readonly output: Uint8Array;
  failed: boolean;
}

/** Inflaters that no one uses: making one costs more than inflating a small file. */
const idle: Inflater<InflateRaw>[] = [];

/**
 * Inflates `input` lazily.
 *
 * @param input the compressed bytes; each piece is used up before the next is asked for
 * @returns pieces of the content, each valid until the next is asked for; the generator returns how many bytes of
 *   the input the deflate stream has, of which no more is read than the piece in which it ends
 * @throws SealtreeError `malformed`: `Invalid compressed data`, or `Need more input` if the end is missing
 */
export function* inflateRaw(input: Iterable<Uint8Array>): Generator<Uint8Array, number> {
  const inflater = idle.pop() ?? makeInflater(createInflateRaw());
  let clean = false;
  try {
    const length = yield* run(inflater, input);
    clean = true;
    return length;
  } finally {
    if (clean) {
      inflater.stream.reset();
      idle.push(inflater);
    } else {
      inflater.stream.close();
    }
  }
}

function* run(inflater: Inflater<InflateRaw>, input: Iterable<Uint8Array>): Generator<Uint8Array, number> {
  const { handle, state, output } = inflater;
  let length = 0;
  for (const piece of input) {
    let at = 0;
    for (;;) {
      handle.writeSync(constants.Z_NO_FLUSH, piece, at, piece.length - at, output, 0, output.length);
      if (inflater.failed) throw malformed('Invalid compressed data');
      const room = state[0] as number;
      const left = state[1] as number;
      at = piece.length - left;
      if (room < output.length) yield output.subarray(0, output.length - room);
      if (room > 0 && left > 0) return length + at;
      if (room > 0) break;
    }
    length += piece.length;
  }
  // Only a stream that has ended is content with "finish" and no more input.
  handle.writeSync(constants.Z_FINISH, null, 0, 0, output, 0, output.length);
  if (inflater.failed) throw malformed('Need more input');
  const room = state[0] as number;
  if (room < output.length) yield output.subarray(0, output.length - room);
  return length;
}

/**
 * Decompresses gzip lazily: one member or several behind each other, with their checksums and sizes checked. Zeros may
 * follow.
 *
 * @returns pieces of the content, each valid until the next is asked for
 * @throws SealtreeError `malformed`
 */
export function* gunzip(input: Iterable<Uint8Array>): Generator<Uint8Array> {
  const inflater = makeInflater(createGunzip());
  const { stream, handle, state, output } = inflater;
  try {
    for (const piece of input) {
      let left = piece.length;
      let room = 0;
      while (left > 0 || room === 0) {
        handle.writeSync(constants.Z_NO_FLUSH, piece, piece.length - left, left, output, 0, output.length);
        if (inflater.failed) throw malformed('gzip: invalid compressed data');
        room = state[0] as number;
        if (room < output.length) yield output.subarray(0, output.length - room);
        // What is left behind the end are zeros.
        if (room > 0) break;
        left = state[1] as number;
      }
    }
    handle.writeSync(constants.Z_FINISH, null, 0, 0, output, 0, output.length);
    if (inflater.failed) throw malformed('gzip: unexpected EOF');
  } finally {
    stream.close();
  }
}

function makeInflater<Stream>(stream: Stream): Inflater<Stream> {
  const { _handle: handle, _writeState: state } = stream as unknown as {
    _handle: Handle;
    _writeState: Uint32Array;
  };
  const inflater: Inflater<Stream> = {
    stream,
    handle,
    state,
    output: new Uint8Array(OUTPUT_SIZE),
    failed: false,
  };
  handle.onerror = () => {
    inflater.failed = true;
  };
  return inflater;
}
