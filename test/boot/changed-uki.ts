/**
 * Unified kernel images that somebody changed after they were signed, each on a boot partition of its own as firmware
 * starts it from a disk that it knows nothing of.
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { writeFat } from '../../src/core/fat/writer.ts';
import { DiskTree, memoryDisk } from '../memory-disk.ts';
import { expectSuccess, run } from '../run.ts';
import { bootCommand } from './root.ts';

const MEBIBYTE = 1024 * 1024;

/** What the sections of a unified kernel image hold. */
export interface UkiParts {
  readonly kernel: Uint8Array;
  readonly initramfs: Uint8Array;
  readonly cmdline: string;
}

/** The image with one bit of a part changed. */
export function withChangedPart(image: Buffer, parts: UkiParts, part: keyof UkiParts): Buffer {
  const given = parts[part];
  const data = typeof given === 'string' ? Buffer.from(given, 'latin1') : Buffer.from(given);
  // Of a kernel the header is the same in many; its middle is its own.
  const from = data.length > MEBIBYTE ? Math.floor(data.length / 2) : 0;
  const at = image.indexOf(data.subarray(from, from + 4096));
  if (at < 0) throw new Error(`the image does not hold the ${part}`);
  const changed = Buffer.from(image);
  changed[at] = (changed[at] as number) ^ 1;
  return changed;
}

/** The image with its signature taken away. @param path for a copy of it */
export function withoutSignature(image: Buffer, path: string): Buffer {
  writeFileSync(path, image);
  const command = bootCommand('sbattach', ['--remove', path]);
  expectSuccess(run(command), command);
  const unsigned = readFileSync(path);
  if (unsigned.equals(image)) throw new Error('the image had no signature');
  return unsigned;
}

/** A disk that is a boot partition from its first sector on. */
export function writeBootPartition(path: string, image: Uint8Array): void {
  const size = Math.ceil((image.length * 1.1) / MEBIBYTE + 40) * MEBIBYTE;
  const tree = new DiskTree();
  const root = tree.directory({
    EFI: tree.directory({ BOOT: tree.directory({ 'BOOTX64.EFI': tree.file(image) }) }),
  });
  const disk = memoryDisk(size);
  writeFat(
    root,
    { id: 0x5ea17ee5, label: 'ESP', size, start: 0, timestamp: 1700000000 },
    tree.read,
    disk.sink,
  );
  writeFileSync(path, disk.bytes);
}
