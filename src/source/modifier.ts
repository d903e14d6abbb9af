/**
 * What `ostree commit` does to owner, mode and extended attributes on the way from a source into objects:
 * `--owner-uid`, `--mode-ro-executables`, `--statoverride`, `--canonical-permissions` and `--no-xattrs`, in the
 * order in which ostree applies them.
 * @module
 */
import { isDirectory, isRegular, S_IFMT } from '../core/fs/mode.ts';

export interface Modifier {
  /** Owner for every file; undefined keeps the source's. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** Whether executable files lose their write bits. */
  readonly readOnlyExecutables: boolean;
  /** Whether owner and group become 0 and modes lose all but 0755. */
  readonly canonicalPermissions: boolean;
  /** Whether extended attributes of the source are left behind. */
  readonly skipXattrs: boolean;
}

/** What a statoverride line does to the mode of one path. */
export type ModeChange = { readonly add: number } | { readonly permissions: number };

export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  /** With the type bits. */
  readonly mode: number;
}

/** Owner and mode of an object made from a file with `found`. */
export function modified(modifier: Modifier, found: Ownership, change: ModeChange | undefined): Ownership {
  const executable = isRegular(found.mode) && (found.mode & 0o111) !== 0;
  let mode = modifier.readOnlyExecutables && executable ? found.mode & ~0o222 : found.mode;
  if (change !== undefined) {
    mode = ('add' in change ? mode | change.add : (mode & S_IFMT) | change.permissions) >>> 0;
  }
  if (!modifier.canonicalPermissions)
    return { uid: modifier.uid ?? found.uid, gid: modifier.gid ?? found.gid, mode };
  const squashed = isRegular(found.mode) || isDirectory(found.mode);
  return { uid: 0, gid: 0, mode: squashed ? mode & (S_IFMT | 0o755) : mode };
}
