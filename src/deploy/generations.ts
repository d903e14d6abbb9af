/** Generations of boot entries on a /boot without symlinks: see src/deploy/boot-entries.ts. @module */
import type { ByteString } from '../core/bytes/byte-string.ts';
import { joinPath } from '../node/fs-path.ts';
import type { Generation } from './boot-entries.ts';
import type { BootEntry } from './boot-entry.ts';
import { removeFile, syncDirectory } from './files.ts';
import type { Sysroot } from './sysroot.ts';

/** The generation whose entry the running system was booted with. */
export function runningGeneration({ running, current, others }: Sysroot): Generation | undefined {
  const version = /^\/ostree\/boot\.([01])\//.exec(running?.argument ?? '')?.[1];
  if (version === undefined) return undefined;
  return [current, ...others].find(({ bootVersion }) => bootVersion === Number(version));
}

/** Removes entries from a /boot without symlinks, for good. */
export function removeEntries(folder: ByteString, entries: readonly BootEntry[]): void {
  if (entries.length === 0) return;
  for (const { fileName } of entries) {
    if (fileName !== undefined) removeFile(joinPath(folder, fileName));
  }
  syncDirectory(folder);
}
