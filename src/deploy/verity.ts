/**
 * fs-verity for a deployment: what its initramfs will demand is provided for, or refused, when it is deployed and not
 * when it is booted.
 * @module
 */
import { closeSync, constants, openSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import type { PrepareRoot } from '../core/conf/prepare-root.ts';
import { SealtreeError } from '../core/errors.ts';
import { signatures } from '../core/ostree/commitmeta.ts';
import { composefsDigest } from '../core/ostree/metadata.ts';
import { trustedDigest } from '../core/verify/verity-evidence.ts';
import { verityParameters } from '../core/verity/descriptor.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { enableVerity, measureVerity } from '../node/syscalls.ts';
import { examineDescriptor } from '../node/system.ts';
import { reachableObjects, repositoryLinks } from '../repo/reachable.ts';
import type { Repo } from '../repo/repo.ts';
import { writeSettings } from '../repo/write-settings.ts';
import type { Sysroot } from './sysroot.ts';

/**
 * `policy`: where the tree's configuration demands verity, image and objects must have it, and a commit that is to be
 * `signed` a signature and a digest; where only the
 * repository's does, they get it if they can. `later`: the same, but whoever makes a disk of the sysroot turns it on
 * where it is not. `repository`: as ostree does, the image alone, by the repository's configuration.
 */
export type VerityDemand = 'policy' | 'later' | 'repository';

const SIGNATURES = byteString('ostree.sign.ed25519');

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
  if (demanded && config.composefs.signed) requireSignature(repo, checksum);
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

/** Whether it is a good one only the initramfs knows, which has the key; that of a container image may be its parent's. */
function requireSignature(repo: Repo, checksum: string): void {
  const commit = repo.commit(checksum);
  if (commit.metadata.some(([key]) => key === 'ostree.container.image-config')) return;
  const signed = signatures(repo.commitmeta(checksum) ?? [], SIGNATURES).length > 0;
  const missing = signed
    ? composefsDigest(commit) === undefined && 'names no composefs digest'
    : 'has no signature';
  if (missing === false) return;
  throw new SealtreeError(
    'mismatch',
    `the tree says composefs.enabled=signed, and its commit ${missing}: it would not boot`,
  );
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
