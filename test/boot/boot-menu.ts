/**
 * What a boot loader sees on a disk: the entries of the boot partition in its order, and the files that they name.
 * Order: Boot Loader Specification, "Sorting" (names of files by version, the newest first).
 * @module
 */
import {
  type ByteString,
  byteString,
  byteStringFrom,
  displayByteString,
} from '../../src/core/bytes/byte-string.ts';
import { crc32c } from '../../src/core/bytes/crc.ts';
import type { ImageSource } from '../../src/core/erofs/image-source.ts';
import { INCOMPAT, SUPERBLOCK_OFFSET } from '../../src/core/ext4/format.ts';
import { Ext4Reader } from '../../src/core/ext4/reader.ts';
import { isDirectory, isRegular, isSymlink } from '../../src/core/fs/mode.ts';
import { type Partition, readGpt } from '../../src/core/gpt/gpt.ts';
import { entryValue, parseEntry } from '../../src/deploy/boot-entry.ts';
import { type FatReader, readFat } from './fat-reader.ts';

/** Where the boot entries are: on a file system with symlinks and a journal, or on FAT, which has neither. */
export type BootKind = 'ext4' | 'esp';

export interface MenuEntry {
  readonly fileName: string;
  readonly title: string;
  readonly options: ByteString;
  readonly kernel: Uint8Array;
  readonly initramfs: Uint8Array;
}

/** The partitions of a disk that `image` made, each as a file of its own, or as where they are on the disk. */
export interface Parts<T = string> {
  readonly boot: T;
  readonly root: T;
}

/** Where the partitions of a disk are, in bytes. */
export function partsOf(disk: ImageSource): Parts<Partition> {
  const [boot, root] = readGpt(disk) ?? [];
  if (boot === undefined || root === undefined) throw new Error('the disk has not two partitions');
  return { boot, root };
}

/**
 * Reads the menu from what lies on the disk: boot loaders replay no journal.
 *
 * @returns the entry first that boots by default
 * @throws Error if an entry cannot be read or names what is not there
 */
export function readMenu(boot: ImageSource, kind: BootKind): MenuEntry[] {
  const files = kind === 'esp' ? readFat(boot) : readExt4(boot);
  const names = files.names('/loader/entries')?.filter((name) => name.endsWith('.conf')) ?? [];
  const file = (path: string | undefined) => {
    const data = path === undefined ? undefined : files.read(path);
    if (data === undefined) throw new Error(`the boot partition has no ${path}`);
    return data;
  };
  return names.sort(newestFirst).map((fileName) => {
    const text = byteStringFrom(file(`/loader/entries/${fileName}`));
    const entry = parseEntry(text, byteString(fileName));
    const value = (key: string) => displayByteString(entryValue(entry, key) ?? byteString(''));
    if (!text.endsWith('\n')) throw new Error(`${fileName} is not whole: ${JSON.stringify(text)}`);
    return {
      fileName,
      title: value('title'),
      options: entryValue(entry, 'options') ?? byteString(''),
      kernel: file(value('linux')),
      initramfs: file(value('initrd')),
    };
  });
}

function newestFirst(a: string, b: string): number {
  const [x, y] = [a, b].map((name) => (name.match(/\d+/g) ?? []).map(Number)) as [number[], number[]];
  const at = x.findIndex((number, index) => number !== y[index]);
  return at < 0 ? y.length - x.length : (y[at] ?? -1) - (x[at] ?? -1);
}

function readExt4(source: ImageSource): FatReader {
  const reader = new Ext4Reader(withoutJournal(source));
  /** Symlinks lead to names beside them, here. */
  const find = (path: string) => {
    const names = path.split('/').filter((name) => name !== '');
    for (let at = 1; at <= names.length; at++) {
      const inode = reader.lookUp(byteString(names.slice(0, at).join('/')));
      if (inode === undefined) return undefined;
      if (isSymlink(inode.mode)) names[at - 1] = displayByteString(reader.readLink(inode));
    }
    return reader.lookUp(byteString(names.join('/')));
  };
  return {
    names(path) {
      const inode = find(path);
      return inode && isDirectory(inode.mode)
        ? [...reader.readDirectory(inode).keys()].map(displayByteString)
        : undefined;
    },
    read(path) {
      const inode = find(path);
      return inode && isRegular(inode.mode) ? reader.read(inode, 0, inode.size) : undefined;
    },
  };
}

/** The file system with a superblock that says that nothing is left in the journal. */
function withoutJournal(source: ImageSource): ImageSource {
  const superblock = Buffer.from(source.read(SUPERBLOCK_OFFSET, 1024));
  superblock.writeUInt32LE(superblock.readUInt32LE(0x60) & ~INCOMPAT.recover, 0x60);
  superblock.writeUInt32LE(crc32c(0xffffffff, superblock.subarray(0, 0x3fc)), 0x3fc);
  return {
    size: source.size,
    read: (at, length) =>
      at === SUPERBLOCK_OFFSET ? superblock.subarray(0, length) : source.read(at, length),
  };
}
