/** The System port of the core on Node. @module */
import { closeSync, constants, openSync, readdirSync, readlinkSync, statfsSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import type { System } from '../core/system.ts';
import { fsPath } from './fs-path.ts';
import { ioError, isErrno } from './io-error.ts';
import { readFileLimited } from './read-file.ts';
import { measureVerity } from './syscalls.ts';

/**
 * File systems whose FS_IOC_MEASURE_VERITY the kernel itself answers: ext4, btrfs, f2fs. FUSE hands the question
 * to its server, which may answer what it likes.
 */
const VERITY_FILE_SYSTEMS: readonly number[] = [0xef53, 0x9123683e, 0xf2f52010];

export const nodeSystem: System = {
  readFile: (path, limit) => readFileLimited(path, displayByteString(path), limit),

  readLink(path) {
    try {
      return byteString(readlinkSync(fsPath(path), 'latin1'));
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'EINVAL', 'ENOTDIR')) return undefined;
      throw ioError(`reading link ${displayByteString(path)}`, error);
    }
  },

  readDirectory(path) {
    try {
      const names = readdirSync(fsPath(path), 'latin1').sort();
      return names.map((name) => byteString(name));
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw ioError(`reading directory ${displayByteString(path)}`, error);
    }
  },

  measureVerity(path: ByteString) {
    let fd: number;
    try {
      fd = openSync(fsPath(path), constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw ioError(`opening ${displayByteString(path)}`, error);
    }
    try {
      return answersForVerity(fd) ? measureVerity(fd) : undefined;
    } finally {
      closeSync(fd);
    }
  },
};

/** Whether the kernel, and nobody else, says what the fs-verity digest of an open file is. */
export function answersForVerity(fd: number): boolean {
  return VERITY_FILE_SYSTEMS.includes(statfsSync(`/proc/self/fd/${fd}`).type);
}
