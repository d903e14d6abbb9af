/** Changing kernel arguments in the boot entries that are there. @module */
import { type ByteString, byteString, bytesOf } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { writeFileAtomically } from '../node/atomic-file.ts';
import { joinPath } from '../node/fs-path.ts';
import { entriesFolder } from './boot-entries.ts';
import { entryValue, formatEntry, withValues } from './boot-entry.ts';
import { removeFile, syncDirectory } from './files.ts';
import { KernelArguments } from './kernel-arguments.ts';
import { requireNothingStaged, type Sysroot } from './sysroot.ts';
import { entryFile } from './write-deployments.ts';

/** Gives every entry each of the words unless it has one of that key; an entry is changed as a whole. */
export function appendArguments(sysroot: Sysroot, words: readonly ByteString[]): void {
  requireNothingStaged(sysroot);
  const { deployments, boot, layout, current } = sysroot;
  if (deployments.length === 0) throw new SealtreeError('missing', 'Unable to find a deployment in sysroot');
  const folder = entriesFolder(boot, layout, current.bootVersion);
  for (const [index, deployment] of deployments.entries()) {
    const { entry } = deployment;
    const list = KernelArguments.from(entryValue(entry, 'options'));
    for (const word of words) list.appendIfMissing(word);
    const text = formatEntry(withValues(entry, [['options', list.toText()]]));
    const generation = layout === 'files' ? `${current.number}-` : '';
    const name = entryFile(sysroot, `ostree-${generation}${deployments.length - index}`, deployment);
    writeFileAtomically(joinPath(folder, name), bytesOf(text), { mode: 0o644 });
    const { fileName = name } = entry;
    if (fileName !== name) removeFile(joinPath(folder, byteString(fileName)));
  }
  syncDirectory(folder);
}
