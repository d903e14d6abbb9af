/**
 * The System port: all that the verifier may ask of the machine it runs on. Synchronous, because boot has one
 * thing to do at a time and QuickJS has no other calls. src/node/system.ts and initramfs/ implement it.
 * @module
 */
import type { ByteString } from './bytes/byte-string.ts';
import type { HashName } from './hash.ts';

export interface VerityDigest {
  readonly algorithm: HashName;
  /** 32 bytes for sha256, 64 for sha512. */
  readonly digest: Uint8Array;
}

export interface System {
  /**
   * The whole file, or undefined if there is none.
   *
   * @param limit bytes; a larger file is refused with `malformed`
   * @throws SealtreeError `io` for anything else the operating system says
   */
  readFile(path: ByteString, limit: number): Uint8Array | undefined;
  /** The target of a symlink; undefined if there is nothing or it is no symlink. */
  readLink(path: ByteString): ByteString | undefined;
  /** Names in a directory, sorted by bytes; undefined if there is none. */
  readDirectory(path: ByteString): ByteString[] | undefined;
  /** What the kernel enforces on this file (FS_IOC_MEASURE_VERITY); undefined if verity is off or not to be had here. */
  measureVerity(path: ByteString): VerityDigest | undefined;
}
