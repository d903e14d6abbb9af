/**
 * An initramfs of three things: the boot program as /init, its policy, and the kernel modules on the way to the disk.
 * There is no shell in it, no udev and no library.
 * @module
 */
import { gzipSync } from 'node:zlib';
import { type ByteString, byteString, byteStringFrom, bytesOf } from '../core/bytes/byte-string.ts';
import { type CpioMember, encodeCpio } from '../core/cpio/newc.ts';
import { SealtreeError } from '../core/errors.ts';
import { S_IFLNK, S_IFREG } from '../core/fs/mode.ts';
import { PROGRAM_IN_ROOT } from '../initramfs/install-plan.ts';
import { PROGRAM_PATH } from '../initramfs/startup.ts';
import type { RootTree } from '../node/root-tree.ts';
import type { KernelModule } from './kernel-modules.ts';

/** What an install says that belongs into every initramfs, one path a line; with a dash in front if it may be missing. */
const FILE_LIST = byteString('/usr/lib/sealtree/initramfs.files');
/** Read by the program: modules in the order in which they are loaded. */
const MODULE_LIST = byteString('usr/lib/sealtree/modules');
const MODULES = 'usr/lib/modules';
const FILE_LIMIT = 64 * 1024 * 1024;

/**
 * The archive, compressed by gzip, which every kernel takes.
 *
 * @param tree into which `initramfs install` has installed
 */
export function minimalInitramfs(
  tree: RootTree,
  version: ByteString,
  modules: readonly KernelModule[],
): Uint8Array {
  const placed = modules.map(({ path, data }) => ({
    path: byteString(`${MODULES}/${version}/${path}`),
    data,
  }));
  const list = placed.map(({ path }) => `/${path}\n`).join('');
  const members: CpioMember[] = [
    ...policyMembers(tree),
    { path: byteString('init'), mode: S_IFLNK | 0o777, data: bytesOf(PROGRAM_PATH) },
    ...placed.map(({ path, data }) => ({ path, mode: S_IFREG | 0o644, data })),
    { path: MODULE_LIST, mode: S_IFREG | 0o644, data: bytesOf(byteString(list)) },
  ];
  return gzipSync(encodeCpio(members), { level: 9 });
}

/** The program where initramfses have it, and the files by which it decides. */
export function policyMembers(tree: RootTree): CpioMember[] {
  const member = (path: ByteString, from: ByteString, optional: boolean): CpioMember[] => {
    const found = tree.read(from, FILE_LIMIT);
    if (found !== undefined)
      return [{ path: byteString(path.slice(1)), mode: S_IFREG | found.mode, data: found.data }];
    if (optional) return [];
    throw new SealtreeError('missing', `${tree.show(from)}: No such file or directory`);
  };
  const list = tree.read(FILE_LIST, FILE_LIMIT);
  const lines = list === undefined ? [] : byteStringFrom(list.data).split('\n');
  return [
    ...member(PROGRAM_PATH, PROGRAM_IN_ROOT, false),
    ...lines
      .filter((line) => line !== '')
      .flatMap((line) => {
        const path = byteString(line.replace(/^-/, ''));
        return member(path, path, line.startsWith('-'));
      }),
  ];
}
