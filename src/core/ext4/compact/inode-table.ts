/**
 * The inodes of a file system that is being written, encoded as they will stand on the disk: 256 bytes for each, outside
 * of what a JavaScript engine collects.
 * @module
 */
import { INODE, INODE_SIZE } from '../format.ts';
import type { InodeTime } from '../inode.ts';

/** Inodes in a piece of memory. */
const IN_CHUNK = 4096;

export class InodeTable {
  readonly #chunks: Uint8Array[] = [];
  readonly #views: DataView[] = [];
  #last = 0;

  /** The highest number in use. */
  get last(): number {
    return this.#last;
  }

  /** Where an inode is to be encoded: 256 zeros. */
  place(number: number): Uint8Array {
    const chunk = Math.floor((number - 1) / IN_CHUNK);
    while (this.#chunks.length <= chunk) {
      const bytes = new Uint8Array(IN_CHUNK * INODE_SIZE);
      this.#chunks.push(bytes);
      this.#views.push(new DataView(bytes.buffer));
    }
    this.#last = Math.max(this.#last, number);
    return this.bytes(number, 0, INODE_SIZE).fill(0);
  }

  mode(number: number): number {
    return this.#view(number).getUint16(this.#at(number) + INODE.mode, true);
  }

  links(number: number): number {
    return this.#view(number).getUint16(this.#at(number) + INODE.links, true);
  }

  setLinks(number: number, links: number): void {
    this.#view(number).setUint16(this.#at(number) + INODE.links, links, true);
  }

  flags(number: number): number {
    return this.#view(number).getUint32(this.#at(number) + INODE.flags, true);
  }

  blocks(number: number): number {
    return this.#view(number).getUint32(this.#at(number) + INODE.blocks, true);
  }

  xattrBlock(number: number): number {
    return this.#view(number).getUint32(this.#at(number) + INODE.xattrBlock, true);
  }

  size(number: number): number {
    const view = this.#view(number);
    const at = this.#at(number);
    return view.getUint32(at + INODE.sizeLow, true) + view.getUint32(at + INODE.sizeHigh, true) * 2 ** 32;
  }

  time(number: number, { low, extra }: { low: number; extra: number }): InodeTime {
    const view = this.#view(number);
    const at = this.#at(number);
    return { low: view.getUint32(at + low, true), extra: view.getUint32(at + extra, true) };
  }

  /** The owner, in the two words that user and group have each. */
  owner(number: number): { uid: number; gid: number } {
    const view = this.#view(number);
    const at = this.#at(number);
    const word = (low: number, high: number) =>
      view.getUint16(at + low, true) + view.getUint16(at + high, true) * 2 ** 16;
    return { uid: word(INODE.uidLow, INODE.uidHigh), gid: word(INODE.gidLow, INODE.gidHigh) };
  }

  /** Says what a file has on the disk, once that is known. */
  setContent(
    number: number,
    { size, blocks, flags, body }: { size: number; blocks: number; flags: number; body: Uint8Array },
  ): void {
    const view = this.#view(number);
    const at = this.#at(number);
    view.setUint32(at + INODE.sizeLow, size % 2 ** 32, true);
    view.setUint32(at + INODE.sizeHigh, Math.floor(size / 2 ** 32), true);
    view.setUint32(at + INODE.blocks, blocks, true);
    view.setUint32(at + INODE.flags, flags, true);
    (this.#chunks[Math.floor((number - 1) / IN_CHUNK)] as Uint8Array).set(body, at + INODE.block);
  }

  /** A part of an inode, valid until it changes. */
  bytes(number: number, start: number, end: number): Uint8Array {
    const at = this.#at(number);
    return (this.#chunks[Math.floor((number - 1) / IN_CHUNK)] as Uint8Array).subarray(at + start, at + end);
  }

  /** All inodes up to the last, in pieces. */
  *pieces(): Generator<Uint8Array> {
    for (const [i, chunk] of this.#chunks.entries()) {
      yield chunk.subarray(0, Math.min(IN_CHUNK, this.#last - i * IN_CHUNK) * INODE_SIZE);
    }
  }

  #view(number: number): DataView {
    return this.#views[Math.floor((number - 1) / IN_CHUNK)] as DataView;
  }

  #at(number: number): number {
    return ((number - 1) % IN_CHUNK) * INODE_SIZE;
  }
}
