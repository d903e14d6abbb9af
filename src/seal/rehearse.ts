/**
 * The boot of a sealed commit, rehearsed: the decision that the program in its initramfs will make, by that initramfs'
 * own policy, on a disk that the commit has been deployed to and whose kernel measures what the image is.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { bytesFromHex } from '../core/bytes/hex.ts';
import { SealtreeError } from '../core/errors.ts';
import { SUPERBLOCK_MAGIC } from '../core/ext4/format.ts';
import { parseObjectPath } from '../core/ostree/objects.ts';
import type { FileKind, System } from '../core/system.ts';
import { decideBoot } from '../core/verify/boot.ts';
import type { BootDecision } from '../core/verify/boot-decision.ts';
import { unpack } from '../initramfs/archives.ts';
import { decompress } from '../initramfs/decompress.ts';
import { inspectImage } from '../initramfs/inspect.ts';
import { systemOf } from '../initramfs/root-file-system.ts';
import { opensslHash } from '../node/hash.ts';
import type { Repo } from '../repo/repo.ts';
import type { CommittedTree } from './commit-tree.ts';

const SYSROOT = '/sysroot';
const STATEROOT = 'sealed';
const OBJECTS = `${SYSROOT}/ostree/repo/objects/`;

/**
 * @param initramfs as it stands in the commit
 * @param cmdline kernel arguments of the boot, without `ostree=`
 * @throws SealtreeError `mismatch` if it would be refused, or if the initramfs is not one that asks
 */
export function rehearseBoot(
  repo: Repo,
  commit: CommittedTree,
  initramfs: Uint8Array,
  cmdline: ByteString,
): BootDecision {
  requireAsking(initramfs, cmdline);
  const { root } = unpack(initramfs, decompress);
  const deployment = byteString(`${SYSROOT}/ostree/deploy/${STATEROOT}/deploy/${commit.checksum}.0`);
  const system = deployedSystem(systemOf(root), repo, deployment, commit.digest);
  const decision = decideBoot(system, opensslHash, {
    cmdline,
    sysroot: byteString(SYSROOT),
    root: byteString(''),
    initramfs: true,
    sysrootWritable: true,
    kernel: undefined,
    deployment,
  });
  if (decision.refusal !== undefined)
    throw new SealtreeError('mismatch', `the sealed system would not boot: ${decision.refusal.message}`, {
      check: decision.refusal.check,
    });
  return decision;
}

/** An initramfs in which nothing starts the program boots whatever there is. */
function requireAsking(initramfs: Uint8Array, cmdline: ByteString): void {
  for (const { program, starts, sealed, refusesAll } of inspectImage(initramfs, decompress, cmdline)) {
    const refuse = (why: string) => new SealtreeError('mismatch', `the initramfs ${why}`);
    if (program === undefined) throw refuse('has no boot program');
    if (!starts.some(({ enabled, masked }) => enabled && !masked))
      throw refuse('has nothing that starts the boot program');
    if (!sealed) throw refuse('is not sealed');
    if (refusesAll !== undefined) throw refuse(`refuses every boot: ${refusesAll}`);
  }
}

/** The files of the initramfs, and at /sysroot what the decision reads of a disk. */
function deployedSystem(initramfs: System, repo: Repo, deployment: ByteString, digest: string): System {
  const image = byteString(`${deployment}/.ostree.cfs`);
  const isOnDisk = (path: ByteString) => path === SYSROOT || path.startsWith(`${SYSROOT}/`);
  const readObject = (path: ByteString): Uint8Array | undefined => {
    if (!path.startsWith(OBJECTS)) return undefined;
    const [folder = '', name = ''] = path.slice(OBJECTS.length).split('/');
    const object = parseObjectPath(byteString(folder), byteString(name), { archive: false });
    return object === undefined || object.type === 'file'
      ? undefined
      : repo.rawObject(object.type, object.checksum);
  };
  const kindOf = (path: ByteString): FileKind | undefined => {
    if (path === image) return 'file';
    if (`${deployment}/`.startsWith(`${path}/`) || OBJECTS.startsWith(`${path}/`)) return 'directory';
    if (path.startsWith(OBJECTS) && path.length === OBJECTS.length + 2) return 'directory';
    return readObject(path) === undefined ? undefined : 'file';
  };
  return {
    readFile(path, limit) {
      if (!isOnDisk(path)) return initramfs.readFile(path, limit);
      const data = readObject(path);
      if (data !== undefined && data.length > limit)
        throw new SealtreeError('malformed', `${displayByteString(path)}: more than ${limit} bytes`);
      return data;
    },
    readLink: (path) => (isOnDisk(path) ? undefined : initramfs.readLink(path)),
    readDirectory: (path) => (isOnDisk(path) ? undefined : initramfs.readDirectory(path)),
    kindOf: (path) => (isOnDisk(path) ? kindOf(path) : initramfs.kindOf(path)),
    examineVerity: (path) =>
      path === image
        ? {
            fileSystem: SUPERBLOCK_MAGIC,
            enforced: true,
            digest: { algorithm: 'sha256', digest: bytesFromHex(digest) },
          }
        : undefined,
    fileSystemOf: (path) => (kindOf(path) === undefined ? undefined : SUPERBLOCK_MAGIC),
  };
}
