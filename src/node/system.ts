/** The System port of the core on Node. @module */
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, statfsSync } from 'node:fs';
import { byteString, displayByteString } from '../core/bytes/byte-string.ts';
import type { FileKind, System, VerityEvidence } from '../core/system.ts';
import { fsPath } from './fs-path.ts';
import { ioError, isErrno } from './io-error.ts';
import { readFileLimited } from './read-file.ts';
import { hasVerity, verityState } from './syscalls.ts';

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

  kindOf(path): FileKind | undefined {
    try {
      const status = lstatSync(fsPath(path), { throwIfNoEntry: false });
      if (status === undefined) return undefined;
      if (status.isFile()) return 'file';
      if (status.isDirectory()) return 'directory';
      return status.isSymbolicLink() ? 'symlink' : 'other';
    } catch (error) {
      if (isErrno(error, 'ENOTDIR')) return undefined;
      throw ioError(`lstat(${displayByteString(path)})`, error);
    }
  },

  examineVerity(path) {
    let fd: number;
    try {
      fd = openSync(fsPath(path), constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw ioError(`opening ${displayByteString(path)}`, error);
    }
    try {
      return examineDescriptor(fd);
    } finally {
      closeSync(fd);
    }
  },

  fileSystemOf(path) {
    try {
      return statfsSync(fsPath(path)).type >>> 0;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw ioError(`statfs(${displayByteString(path)})`, error);
    }
  },
};

/** What the kernel says of an open file. */
export function examineDescriptor(fd: number): VerityEvidence {
  return {
    fileSystem: statfsSync(`/proc/self/fd/${fd}`).type >>> 0,
    enforced: hasVerity(fd),
    digest: verityState(fd),
  };
}
