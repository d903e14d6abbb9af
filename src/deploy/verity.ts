/**
 * fs-verity for a deployment: what its initramfs will demand is provided for, or refused, when it is deployed and not
 * when it is booted.
 * @module
 */
import { closeSync, constants, openSync } from 'node:fs';
import type { ByteString } from '../core/bytes/byte-string.ts';
import type { PrepareRoot } from '../core/conf/prepare-root.ts';
import { SealtreeError } from '../core/errors.ts';
import { trustedDigest } from '../core/verify/verity-evidence.ts';
import { verityParameters } from '../core/verity/descriptor.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { enableVerity, measureVerity } from '../node/syscalls.ts';
import { examineDescriptor } from '../node/system.ts';
import { reachableObjects, repositoryLinks } from '../repo/reachable.ts';
import { writeSettings } from '../repo/write-settings.ts';
import type { Sysroot } from './sysroot.ts';

/**
 * `policy`: where the tree's configuration demands verity, image and objects must have it; where only the
 * repository's does, they get it if they can. `later`: the same, but whoever makes a disk of the sysroot turns it on
 * where it is not. `repository`: as ostree does, the image alone, by the repository's configuration.
 */
export type VerityDemand = 'policy' | 'later' | 'repository';

export interface Sealing {
  readonly checksum: string;
  /** The composefs image, in which verity is on if it could be. */
  readonly image: ByteString;
  readonly config: PrepareRoot;
  readonly verity: VerityDemand;
}

/**
 * Turns fs-verity on for the image and all file objects of the commit, as far as it is demanded.
 *
 * @throws SealtreeError `unsupported` if it is demanded and not to be had
 */
export async function sealDeployment(
  { repo }: Sysroot,
  { checksum, image, config, verity }: Sealing,
): Promise<void> {
  if (verity === 'repository') return;
  const demanded = config.composefs.verity && verity === 'policy';
  const wanted = writeSettings(repo.config).verity;
  if (!demanded && wanted === 'no') return;
  const mode = config.composefs.signed ? 'signed' : 'verity';
  if (!seal(image, demanded)) {
    if (demanded) throw refusal(mode);
    return;
  }
  for (const { type, checksum: name } of reachableObjects(repositoryLinks(repo), [checksum])) {
    if (type !== 'file') continue;
    const { contentFile, size } = repo.file(name);
    if (contentFile === undefined || size === 0) continue;
    if (!seal(contentFile, demanded) && demanded) throw refusal(mode);
  }
}

function refusal(mode: string): SealtreeError {
  return new SealtreeError(
    'unsupported',
    `the tree says composefs.enabled=${mode}, and this file system has no fs-verity: it would not boot`,
  );
}

/** @returns false if the file system cannot, or if it is not the kernel that vouches for it */
function seal(path: ByteString, demanded: boolean): boolean {
  const fd = openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    if (measureVerity(fd) === undefined) enableVerity(fd, verityParameters());
    return !demanded || trustedDigest(examineDescriptor(fd)) !== undefined;
  } catch (error) {
    if (isErrno(error, 'ENOTTY', 'EOPNOTSUPP')) return false;
    throw ioError('fsverity: ioctl(FS_IOC_ENABLE_VERITY)', error);
  } finally {
    closeSync(fd);
  }
}
