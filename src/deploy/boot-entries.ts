/**
 * The boot entries of a sysroot, and which of them hold.
 *
 * Where /boot has symlinks `loader` leads to `loader.0` or `loader.1`, and one rename changes all entries: ostree's
 * layout. On FAT there are none. There every change makes a new generation of files `ostree-G-N.conf` in one folder,
 * the default's last; boot loaders sort them by name, the newest generation first. The generation before stays until
 * the new one has booted, and the parity of G says whose links below `ostree/boot.0` and `boot.1` it uses.
 * @module
 */
import { readlinkSync, statfsSync } from 'node:fs';
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { isRegular, isSymlink } from '../core/fs/mode.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { readFileLimited } from '../node/read-file.ts';
import { type BootEntry, compareEntries, ENTRY_LIMIT, parseEntry } from './boot-entry.ts';
import { entriesOf, statusOf } from './files.ts';

/** Whether /boot has symlinks. */
export type BootLayout = 'links' | 'files';

export type BootVersion = 0 | 1;

/** Entries that were written together. */
export interface Generation {
  /** Counts up where there are no symlinks; else the boot version. */
  readonly number: number;
  /** Which `ostree/boot.V` their `ostree=` arguments name. */
  readonly bootVersion: BootVersion;
  /** The default first. */
  readonly entries: readonly BootEntry[];
}

/** More entries than a menu could show. */
const COUNT_LIMIT = 1000;

const MSDOS_SUPER_MAGIC = 0x4d44;

/** What the file system of /boot allows; undefined if there is no /boot. */
export function bootLayoutOf(boot: ByteString): BootLayout | undefined {
  try {
    return statfsSync(fsPath(boot)).type === MSDOS_SUPER_MAGIC ? 'files' : 'links';
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw ioError('Opening boot/', error);
  }
}

/** The folder that entries of a generation are in. */
export function entriesFolder(boot: ByteString, layout: BootLayout, bootVersion: BootVersion): ByteString {
  return byteString(layout === 'files' ? `${boot}/loader/entries` : `${boot}/loader.${bootVersion}/entries`);
}

/**
 * The entries that hold where /boot has symlinks.
 *
 * @throws SealtreeError `malformed` in ostree's words if `loader` is not what it should be
 */
export function readLinkedEntries(boot: ByteString): Generation {
  const bootVersion = readBootVersion(boot);
  const entries = readEntryFiles(entriesFolder(boot, 'links', bootVersion), (name) =>
    name.startsWith('ostree-'),
  );
  return { number: bootVersion, bootVersion, entries: entries.sort(compareEntries) };
}

function readBootVersion(boot: ByteString): BootVersion {
  const path = byteString(`${boot}/loader`);
  const status = statusOf(path);
  if (status === undefined) return 0;
  if (!isSymlink(status.mode)) throw malformed('Not a symbolic link: boot/loader');
  const target = readlinkSync(fsPath(path), 'latin1');
  if (target === 'loader.0') return 0;
  if (target === 'loader.1') return 1;
  throw malformed(`Invalid target '${displayByteString(byteString(target))}' in boot/loader`);
}

/** All generations where /boot has no symlinks, the newest first. */
export function readGenerations(boot: ByteString): Generation[] {
  const byNumber = new Map<number, BootEntry[]>();
  for (const entry of readEntryFiles(entriesFolder(boot, 'files', 0), (name) => generationOf(name) >= 0)) {
    const number = generationOf(entry.fileName ?? '');
    byNumber.set(number, [...(byNumber.get(number) ?? []), entry]);
  }
  return [...byNumber]
    .sort(([a], [b]) => b - a)
    .map(([number, entries]) => ({
      number,
      bootVersion: number % 2 === 0 ? 0 : 1,
      entries: entries.sort(compareEntries),
    }));
}

/** Number of the generation that a file belongs to; -1 if it is none of ours. */
function generationOf(name: string): number {
  return Number(/^ostree-([0-9]{1,9})-[0-9]{1,4}(?:\+[-0-9]+)?\.conf$/.exec(name)?.[1] ?? -1);
}

function readEntryFiles(folder: ByteString, wanted: (name: string) => boolean): BootEntry[] {
  const entries: BootEntry[] = [];
  for (const { name } of entriesOf(folder) ?? []) {
    if (!name.endsWith('.conf') || !wanted(name)) continue;
    const path = byteString(`${folder}/${name}`);
    const status = statusOf(path);
    if (status === undefined || !isRegular(status.mode)) continue;
    if (entries.length >= COUNT_LIMIT) throw malformed(`boot has more than ${COUNT_LIMIT} entries`);
    entries.push(readEntry(path, name));
  }
  return entries;
}

function readEntry(path: ByteString, name: ByteString): BootEntry {
  try {
    const data = readFileLimited(path, displayByteString(name), ENTRY_LIMIT);
    if (data === undefined) throw new SealtreeError('missing', 'No such file or directory');
    return parseEntry(byteStringFrom(data), name);
  } catch (error) {
    throw ioError(`Parsing ${displayByteString(name)}`, error);
  }
}
