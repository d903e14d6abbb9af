/**
 * What `ostree commit` does to owner, mode and extended attributes on the way from a source into objects:
 * `--owner-uid`, `--mode-ro-executables`, `--statoverride`, `--canonical-permissions` and `--no-xattrs`, in the
 * order in which ostree applies them.
 * @module
 */
import { malformed } from '../core/errors.ts';
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
    return checked(found, { uid: modifier.uid ?? found.uid, gid: modifier.gid ?? found.gid, mode });
  const squashed = isRegular(found.mode) || isDirectory(found.mode);
  return checked(found, { uid: 0, gid: 0, mode: squashed ? mode & ((found.mode & S_IFMT) | 0o755) : mode });
}

/** A statoverride may not make another kind of file of something, or set bits that no mode has. */
function checked(found: Ownership, result: Ownership): Ownership {
  if ((result.mode & S_IFMT) !== (found.mode & S_IFMT)) {
    if (isDirectory(found.mode))
      throw malformed(`Invalid directory metadata mode ${result.mode}; not a directory`);
    throw malformed(`Invalid mode ${result.mode}; it is that of another type of file`);
  }
  if (result.mode > 0o177777) throw malformed(`Invalid mode ${result.mode}; invalid bits in mode`);
  return result;
}
