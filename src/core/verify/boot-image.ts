/** The image of the deployment that is booted: whether there is one, and who says that it is the right one. @module */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import type { System } from '../system.ts';
import type { BootPolicy } from './boot-policy.ts';
import type { BootTarget } from './boot-target.ts';
import { faultError, type Judge } from './fault.ts';
import { fileSystemFault, imageFault, kernelAnswer } from './verity-evidence.ts';

/**
 * Whether composefs is used.
 *
 * @throws SealtreeError with the fault: there is no image where there must be one, or it is no file
 */
export function findImage(
  system: System,
  { sysroot, deployment }: BootTarget,
  { config, signed }: Pick<BootPolicy, 'config' | 'signed'>,
): boolean {
  const { enabled } = config.composefs;
  if (enabled === 'no') return false;
  const kind = system.kindOf(imagePath(sysroot, deployment));
  const failed = 'Failed to mount composefs: composefs: failed to mount';
  const name = 'image';
  if (kind === undefined) {
    if (enabled === 'maybe') return false;
    const message = `${failed}: No such file or directory`;
    throw faultError({ name, message, expected: '.ostree.cfs', found: 'nothing' });
  }
  if (signed && kind !== 'file')
    throw faultError({
      name,
      message: `${failed}: .ostree.cfs is no regular file`,
      expected: 'file',
      found: kind,
    });
  return true;
}

/**
 * Holds the image against the digest that a signed commit names, on the kernel's word alone. What mounts it has to
 * do so again with the descriptor that it mounts.
 *
 * @param thisKernel whether it is this machine that boots; otherwise what cannot be told here is no fault
 * @throws SealtreeError with the fault
 */
export function judgeImage(
  system: System,
  { sysroot, deployment }: BootTarget,
  digest: string | undefined,
  thisKernel: boolean,
  judge: Judge,
): void {
  const name = 'image in the kernel';
  if (digest === undefined) {
    judge.skipped(name, 'any image will do');
    return;
  }
  const path = imagePath(sysroot, deployment);
  const evidence = system.examineVerity(path);
  if (evidence === undefined) throw malformed(`${displayByteString(path)}: No such file or directory`);
  const objects = system.fileSystemOf(byteString(`${sysroot}/ostree/repo/objects`));
  const fault =
    imageFault(evidence, digest) ?? (objects === undefined ? undefined : fileSystemFault('objects', objects));
  if (fault === undefined) {
    judge.passed(name, `the kernel measures ${digest}`);
    return;
  }
  if (thisKernel || kernelAnswer(evidence) !== undefined) throw faultError(fault);
  judge.skipped(
    name,
    'it cannot be told here whether fs-verity is on; where the image is booted it has to be',
  );
}

function imagePath(sysroot: ByteString, deployment: ByteString): ByteString {
  return byteString(`${sysroot}${deployment}/.ostree.cfs`);
}
