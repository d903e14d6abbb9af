/** The System port for a tree that is not the running one: its symlinks lead to places in the tree. @module */
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import type { System } from '../core/system.ts';
import { nodeSystem } from '../node/system.ts';
import { resolveInside } from './inside.ts';

/** What the core may read of a tree that nobody vouches for. */
export function treeSystem(root: ByteString): Pick<System, 'readFile'> {
  return {
    readFile(path, limit) {
      const place = resolveInside(root, byteString(path));
      return place === undefined ? undefined : nodeSystem.readFile(place, limit);
    },
  };
}
