/** Changing kernel arguments in the boot entries that are there. @module */
import type { ByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { joinPath } from '../node/fs-path.ts';
import { entriesFolder } from './boot-entries.ts';
import { entryValue, withValues } from './boot-entry.ts';
import { writeEntry } from './generations.ts';
import { KernelArguments } from './kernel-arguments.ts';
import { requireNothingStaged, type Sysroot } from './sysroot.ts';

/** Gives every entry each of the words unless it has one of that key; an entry is changed as a whole. */
export function appendArguments(sysroot: Sysroot, words: readonly ByteString[]): void {
  requireNothingStaged(sysroot);
  const { deployments, boot, layout, current } = sysroot;
  if (deployments.length === 0) throw new SealtreeError('missing', 'Unable to find a deployment in sysroot');
  const folder = entriesFolder(boot, layout, current.bootVersion);
  for (const { entry } of deployments) {
    const list = KernelArguments.from(entryValue(entry, 'options'));
    for (const word of words) list.appendIfMissing(word);
    if (entry.fileName === undefined) continue;
    writeEntry(joinPath(folder, entry.fileName), withValues(entry, [['options', list.toText()]]));
  }
}
