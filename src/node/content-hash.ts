/**
 * The checksum of a content object and the fs-verity digest of its content, by one reading of it. Where the native part
 * is there the two are computed side by side, each while the other waits, which takes half the time.
 * @module
 */
import { hexOf } from '../core/bytes/hex.ts';
import type { StreamingHash } from '../core/hash.ts';
import { DEFAULT_BLOCK_SIZE } from '../core/verity/descriptor.ts';
import { VerityHash } from '../core/verity/digest.ts';
import { opensslHash } from './hash.ts';
import { native } from './native.ts';

export interface ContentDigests {
  /** SHA-256 of header and content, 64 hexadecimal digits. */
  readonly checksum: string;
  /** fs-verity digest of the content, 64 hexadecimal digits; undefined if it was not wanted. */
  readonly verity: string | undefined;
}

/** One object after another. `add` any number of times between `begin` and `end`. */
export interface ContentHash {
  /** @param head the encoded file header, which is hashed before the content */
  begin(head: Uint8Array, wantsVerity: boolean): void;
  /**
   * Adds `size` bytes of `buffer` at `start`: whole blocks of 4096 bytes but at the end of the content, where `buffer`
   * has to have room for the rest of a block, which is overwritten.
   */
  add(buffer: Uint8Array, start: number, size: number): void;
  end(): ContentDigests;
}

/** As {@link ContentHash}, for content that comes in pieces of any size. */
export interface PieceHash extends Pick<ContentHash, 'begin' | 'end'> {
  update(piece: Uint8Array): void;
}

/** Bytes that content of this size takes in a buffer given to `add`. */
export function paddedSize(size: number): number {
  return Math.ceil(size / DEFAULT_BLOCK_SIZE) * DEFAULT_BLOCK_SIZE;
}

export function makeContentHash(): ContentHash {
  return nativeContentHash() ?? portableContentHash();
}

export function makePieceHash(): PieceHash {
  const hash = makeContentHash();
  const block = new Uint8Array(DEFAULT_BLOCK_SIZE);
  let pending = 0;
  return {
    begin(head, wantsVerity) {
      hash.begin(head, wantsVerity);
      pending = 0;
    },
    update(piece) {
      let at = 0;
      if (pending > 0) {
        at = Math.min(piece.length, block.length - pending);
        block.set(piece.subarray(0, at), pending);
        pending += at;
        if (pending < block.length) return;
        hash.add(block, 0, block.length);
        pending = 0;
      }
      const whole = piece.length - ((piece.length - at) % block.length);
      if (whole > at) hash.add(piece, at, whole - at);
      block.set(piece.subarray(whole));
      pending = piece.length - whole;
    },
    end() {
      if (pending > 0) hash.add(block, 0, pending);
      return hash.end();
    },
  };
}

function nativeContentHash(): ContentHash | undefined {
  const part = native();
  if (part === undefined) return undefined;
  const handle = part.contentHash();
  return {
    begin: (head, wantsVerity) => part.contentBegin(handle, head, wantsVerity ? 1 : 0),
    add: (buffer, start, size) => part.contentAdd(handle, buffer, start, size),
    end() {
      const digits = part.contentEnd(handle);
      return { checksum: digits.slice(0, 64), verity: digits.slice(64) || undefined };
    },
  };
}

function portableContentHash(): ContentHash {
  const verity = new VerityHash(opensslHash);
  let checksum: StreamingHash;
  let isWanted = false;
  return {
    begin(head, wantsVerity) {
      checksum = opensslHash.create('sha256');
      checksum.update(head);
      isWanted = wantsVerity;
      verity.reset();
    },
    add(buffer, start, size) {
      const content = buffer.subarray(start, start + size);
      checksum.update(content);
      if (isWanted) verity.update(content);
    },
    end: () => ({
      checksum: hexOf(checksum.digest()),
      verity: isWanted ? hexOf(verity.digest()) : undefined,
    }),
  };
}
