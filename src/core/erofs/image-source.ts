/** Random access to the bytes of an image, whatever holds them: the port through which the reader reads. @module */
import { malformed } from '../errors.ts';

export interface ImageSource {
  readonly size: number;
  /**
   * @param at,length lie within the size
   * @returns exactly `length` bytes
   */
  read(at: number, length: number): Uint8Array;
}

/** An image that is in memory. */
export function memorySource(image: Uint8Array): ImageSource {
  return { size: image.length, read: (at, length) => image.subarray(at, at + length) };
}

/** An image up to this size is read at once. */
const WHOLE_MAX = 1 << 28;
const WINDOW_SIZE = 1 << 20;
const MAX_WINDOWS = 64;

/** Reads in windows that are kept for a while, and never beyond the end. */
export class ImageBytes {
  readonly size: number;
  readonly #source: ImageSource;
  readonly #windowSize: number;
  /** By index of the window, the one that was used last at the end. */
  readonly #windows = new Map<number, DataView>();
  /** The window that holds what was last asked for. */
  view: DataView;
  bytes: Uint8Array;
  #start = 0;

  constructor(source: ImageSource) {
    this.#source = source;
    this.size = source.size;
    this.#windowSize = source.size <= WHOLE_MAX ? source.size : WINDOW_SIZE;
    this.bytes = new Uint8Array(0);
    this.view = new DataView(this.bytes.buffer);
  }

  /**
   * Makes `length` bytes at `offset` readable.
   *
   * @param what names them in the error
   * @returns where they are in `view` and `bytes`, until the next call
   * @throws SealtreeError `malformed` if they are not all within the image
   */
  locate(offset: number, length: number, what: string): number {
    const at = offset - this.#start;
    if (at >= 0 && at + length <= this.bytes.length) return at;
    if (offset < 0 || offset + length > this.size) {
      throw malformed(
        `${what}: ${length} bytes at offset ${offset} are outside the image, which has ${this.size} bytes`,
        { offset, length, size: this.size },
      );
    }
    const index = Math.floor(offset / this.#windowSize);
    const start = index * this.#windowSize;
    const end = Math.min(start + this.#windowSize, this.size);
    if (offset + length > end) {
      this.#use(this.#source.read(offset, length), offset);
      return 0;
    }
    let view = this.#windows.get(index);
    this.#windows.delete(index);
    if (view === undefined) {
      const bytes = this.#source.read(start, end - start);
      view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      if (this.#windows.size >= MAX_WINDOWS) {
        this.#windows.delete(this.#windows.keys().next().value as number);
      }
    }
    this.#windows.set(index, view);
    this.view = view;
    this.bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    this.#start = start;
    return offset - start;
  }

  #use(bytes: Uint8Array, start: number): void {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#start = start;
  }
}
