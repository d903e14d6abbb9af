/**
 * The native part: src/native, which a C compiler makes where there is one, for processors with instructions for SHA-256.
 * All that it does is done without it too, with the same results. `SEALTREE_NATIVE=0` in the environment leaves it out.
 * @module
 */
import { fileURLToPath } from 'node:url';
import type { ByteString } from '../core/bytes/byte-string.ts';

/** What src/native/addon.c gives to JavaScript. Handles are its own; truth is 1 and 0. */
export interface Native {
  /**
   * Writes the SHA-256 digests of all blocks of `data`, whose size is a multiple of `blockSize`, itself one of 64.
   *
   * @param salt is hashed before every block
   * @throws RangeError if `target` has no room for them
   */
  hashBlocks(data: Uint8Array, blockSize: number, target: Uint8Array, at: number, salt: Uint8Array): void;

  contentHash(): ContentHandle;
  contentBegin(handle: ContentHandle, head: Uint8Array, wantsVerity: number): void;
  contentAdd(handle: ContentHandle, buffer: Uint8Array, start: number, size: number): void;
  /** 64 digits of the checksum, then, if they are wanted, those of the fs-verity digest. */
  contentEnd(handle: ContentHandle): string;

  digester(blockSize: number, salt: Uint8Array, threads: number, follow: number): DigesterHandle;
  addFile(
    handle: DigesterHandle,
    index: number,
    path: ByteString,
    content: number,
    size: number,
    mtimeSec: number,
    mtimeNsec: number,
    ctimeSec: number,
    ctimeNsec: number,
  ): void;
  /**
   * Lists a directory and adds its files, see src/native/scan.h.
   *
   * @returns the text of all entries and their numbers; or the name that failed, empty for the directory, and why: an
   *   error number, or -1 if the directory is another one
   */
  scan(
    handle: DigesterHandle,
    index: number,
    place: ByteString,
    flags: number,
    inodeHigh: number,
    inodeLow: number,
    device: number,
  ): [text: ByteString, numbers: ArrayBuffer | number];
  help(handle: DigesterHandle): number;
  waiting(handle: DigesterHandle): number;
  /** Four numbers for each settled file: index, outcome, value, limit; and the text of each. */
  settled(handle: DigesterHandle): [numbers: ArrayBuffer, ...texts: ByteString[]] | undefined;
  close(handle: DigesterHandle): void;
}

declare const contentHandle: unique symbol;
export interface ContentHandle {
  readonly [contentHandle]: true;
}

declare const digesterHandle: unique symbol;
export interface DigesterHandle {
  readonly [digesterHandle]: true;
}

/** undefined while nobody asked; null if there is none. */
let part: Native | null | undefined;

/** The native part; undefined if it is not there, not wanted or not for this processor. */
export function native(): Native | undefined {
  if (part === undefined) {
    const isWanted = process.env.SEALTREE_NATIVE !== '0';
    part =
      (isWanted ? loadNative(fileURLToPath(new URL('./native.node', import.meta.url))) : undefined) ?? null;
  }
  return part ?? undefined;
}

/** Loads the native part from a file; undefined if that is not there, or not for this system. */
export function loadNative(file: string): Native | undefined {
  const module: { exports: Partial<Native> } = { exports: {} };
  try {
    process.dlopen(module, file);
  } catch {
    return undefined;
  }
  return module.exports.hashBlocks === undefined ? undefined : (module.exports as Native);
}

/** From now on this part is used, or none. */
export function useNative(other: Native | undefined): void {
  part = other ?? null;
}
