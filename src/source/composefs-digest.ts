/** The composefs digest of a tree that is being committed: its image is hashed while it is made, and not kept. @module */
import { hexOf } from '../core/bytes/hex.ts';
import { writeImage } from '../core/erofs/writer.ts';
import { type ComposefsReader, composefsTree } from '../core/ostree/composefs-tree.ts';
import { VerityHash } from '../core/verity/digest.ts';
import { opensslHash } from '../node/hash.ts';

/** The fs-verity digest of the composefs image of a commit with this root, 64 hexadecimal digits. */
export function composefsDigestOf(reader: ComposefsReader, dirtree: string, dirmeta: string): string {
  const hash = new VerityHash(opensslHash);
  writeImage(composefsTree(reader, dirtree, dirmeta), undefined, (chunk) => hash.update(chunk));
  return hexOf(hash.digest());
}
