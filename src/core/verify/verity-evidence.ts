/**
 * Whose word on fs-verity counts. FUSE and virtiofs hand FS_IOC_MEASURE_VERITY to a server that may answer what it
 * likes; ext4, btrfs and f2fs answer themselves and check every read. The magic numbers are those of linux/magic.h.
 * @module
 */
import { hexOf } from '../bytes/hex.ts';
import type { VerityDigest, VerityEvidence } from '../system.ts';
import type { Fault } from './fault.ts';

const VERITY_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0x9123683e, 'btrfs'],
  [0xf2f52010, 'f2fs'],
]);

const OTHER_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x65735546, 'fuse'],
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
  [0x794c7630, 'overlay'],
  [0x58465342, 'xfs'],
  [0x6969, 'nfs'],
  [0x01021997, '9p'],
  [0x4d44, 'fat'],
  [0x9660, 'iso9660'],
  [0x73717368, 'squashfs'],
  [0xe0f5e1e2, 'erofs'],
]);

const EXPECTED = 'ext4, btrfs or f2fs';

/** Whether the kernel itself answers for fs-verity on a file system. */
function answersForVerity(fileSystem: number): boolean {
  return VERITY_FILE_SYSTEMS.has(fileSystem >>> 0);
}

/** The digest that the kernel itself enforces; undefined if there is none, or it is another's word. */
export function trustedDigest(evidence: VerityEvidence): VerityDigest | undefined {
  const answer = kernelAnswer(evidence);
  return answer === 'off' ? undefined : answer;
}

/** What the kernel itself answers: the digest that it enforces, or that there is none; undefined if it does not tell. */
export function kernelAnswer({ fileSystem, enforced, digest }: VerityEvidence): VerityEvidence['digest'] {
  if (digest === undefined || !answersForVerity(fileSystem)) return undefined;
  return enforced ? digest : 'off';
}

/**
 * What is wrong with the image that is to be mounted; undefined if nothing is. Made of the descriptor that is
 * then mounted, in ostree's words where ostree makes the same check.
 *
 * @param expected the digest that the signed commit names
 */
export function imageFault(evidence: VerityEvidence, expected: string): Fault | undefined {
  const name = 'image in the kernel';
  const failed = 'Failed to mount composefs: composefs: failed to mount';
  const place = fileSystemFault('the image', evidence.fileSystem);
  if (place !== undefined) return { ...place, name };
  const { digest, enforced } = evidence;
  if (digest === undefined || digest === 'off' || !enforced)
    return { name, message: `${failed}: fsverity not enabled on composefs image`, expected, found: 'none' };
  const found = hexOf(digest.digest);
  if (digest.algorithm !== 'sha256' || found !== expected)
    return {
      name,
      message: `${failed}: Wrong fsverity digest in composefs image`,
      expected,
      found: digest.algorithm === 'sha256' ? found : `${digest.algorithm}:${found}`,
      advice: 'deploy the commit again',
    };
  return undefined;
}

/** What is wrong with the file system that something lies on. @param what `the image` or `objects` */
export function fileSystemFault(what: string, fileSystem: number): Fault | undefined {
  if (answersForVerity(fileSystem)) return undefined;
  const found = nameOf(fileSystem);
  const verb = what.endsWith('s') ? 'lie' : 'lies';
  return {
    name: 'objects',
    message: `${what} ${verb} on ${found}, whose fs-verity the kernel does not enforce: expected ${EXPECTED}`,
    expected: EXPECTED,
    found,
  };
}

function nameOf(fileSystem: number): string {
  const magic = fileSystem >>> 0;
  const name = VERITY_FILE_SYSTEMS.get(magic) ?? OTHER_FILE_SYSTEMS.get(magic);
  return name ?? `a file system with magic number 0x${magic.toString(16)}`;
}
