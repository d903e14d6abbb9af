/** How a commit is checked out. @module */
import type { ByteString } from '../core/bytes/byte-string.ts';

export interface CheckoutOptions {
  /** `user`: owners and xattrs are left alone, and no file is made setuid. */
  readonly mode: 'none' | 'user';
  /** What becomes of names that are there: nothing may be, the new file wins, the old one, or both must be the same. */
  readonly overwrite: 'none' | 'union' | 'add' | 'identical';
  /** `.wh.NAME` removes NAME, `.wh..wh..opq` all that was in its directory. */
  readonly whiteouts: boolean;
  /** `.ostree-wh.NAME` becomes an overlayfs whiteout NAME. */
  readonly passthroughWhiteouts: boolean;
  /** Every file has to be a hard link, as far as that can be. */
  readonly requireHardlinks: boolean;
  readonly forceCopy: boolean;
  /** Directories get no mode bits outside of 0775. */
  readonly canonicalDirectories: boolean;
  /** Objects of an archive repository are kept uncompressed for the next checkout. */
  readonly cache: boolean;
  /** Whether what is kept there is synchronised. */
  readonly fsync: boolean;
  /** Paths that are left out; those of directories end in a slash. */
  readonly skip: ReadonlySet<ByteString> | undefined;
}
