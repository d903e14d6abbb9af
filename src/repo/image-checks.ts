/** The checks of an image: its digest, what the kernel says of it, and whether the tree gives it. @module */
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { joinBytes } from '../core/bytes/join-bytes.ts';
import { compareImages } from '../core/erofs/compare-images.ts';
import { memorySource } from '../core/erofs/image-source.ts';
import { readImage } from '../core/erofs/reader.ts';
import { writeImage } from '../core/erofs/writer.ts';
import { compareTrees } from '../core/fs/compare.ts';
import type { Inode } from '../core/fs/file-tree.ts';
import type { Commit } from '../core/ostree/commit.ts';
import { composefsTree } from '../core/ostree/composefs-tree.ts';
import type { System } from '../core/system.ts';
import type { Check } from '../core/verify/report.ts';
import { trustedDigest } from '../core/verify/verity-evidence.ts';
import { verityDigest } from '../core/verity/digest.ts';
import { opensslHash } from '../node/hash.ts';
import { readFileLimited } from '../node/read-file.ts';
import type { ExaminedTree } from './examine-tree.ts';

/** An image is read whole, so that what is measured is what is compared. */
const IMAGE_LIMIT = 1024 * 1024 * 1024;

/** The whole of an image's file; undefined if there is none. */
export function readImageFile(path: ByteString): Uint8Array | undefined {
  return readFileLimited(path, displayByteString(path), IMAGE_LIMIT);
}

/** Whether the image has the digest that it should have. @param whose words between the two digests */
export function checkDigest(image: Uint8Array, expected: string, whose: string): Check {
  const found = digestOf(image);
  const name = 'image digest';
  if (found === expected) return { name, status: 'passed', message: `image has fs-verity digest ${found}` };
  const message = `image has fs-verity digest ${found}, ${whose} ${expected}`;
  return { name, status: 'failed', message, expected, found };
}

/** What counts at boot is what the kernel measures, which cannot be had everywhere. */
export function checkKernel(path: ByteString, expected: string, system: System): Check {
  const name = 'image in the kernel';
  const evidence = system.examineVerity(path);
  const measured = evidence === undefined ? undefined : trustedDigest(evidence);
  if (measured === undefined) {
    const message = 'fs-verity is not on for the image here; where it is mounted by its digest it has to be';
    return { name, status: 'skipped', message };
  }
  const { algorithm, digest } = measured;
  const found = hexOf(digest);
  if (algorithm === 'sha256' && found === expected)
    return { name, status: 'passed', message: 'the kernel measures the same digest' };
  const message = `the kernel measures ${algorithm} ${found}, expected ${expected}`;
  return { name, status: 'failed', message, expected, found };
}

export interface RebuildInput {
  readonly tree: Pick<ExaminedTree, 'reader'>;
  readonly commit: Pick<Commit, 'rootDirtree' | 'rootDirmeta'>;
  /** What the commit names. */
  readonly digest: string | undefined;
  /** What is deployed. */
  readonly image: Uint8Array | undefined;
  /** Whether an image that names no digests of files will do, as ostree deploys it where nothing demands them. */
  readonly withoutDigests: boolean;
}

/**
 * Makes the image of the commit's tree anew and compares it with what the commit names and what is deployed.
 *
 * @returns sentences that say where the deployed image differs, beside the check
 */
export function checkRebuilt(input: RebuildInput): { check: Check; differences: string[] } {
  const { tree, commit, digest, image } = input;
  const name = 'image rebuilt';
  if (digest === undefined && image === undefined) {
    const message = 'there is no image to compare with';
    return { check: { name, status: 'skipped', message }, differences: [] };
  }
  const rebuilt = imageBytes(composefsTree(tree.reader, commit.rootDirtree, commit.rootDirmeta));
  const found = digestOf(rebuilt);
  const gives = `the tree gives image ${found}`;
  const failed = (message: string, expected: string): Check => {
    return { name, status: 'failed', message: `${gives}, ${message}`, expected, found };
  };
  const deployed = image === undefined ? found : digestOf(image);
  if (
    image !== undefined &&
    deployed !== found &&
    !(input.withoutDigests && lacksDigestsOnly(rebuilt, image))
  ) {
    const [right, wrong] = deployed === digest ? [image, rebuilt] : [rebuilt, image];
    const differences = compareImages(memorySource(right), memorySource(wrong));
    return { check: failed(`the deployment has ${deployed}`, deployed), differences };
  }
  if (digest !== undefined && digest !== found)
    return { check: failed(`the commit names ${digest}`, digest), differences: [] };
  const message =
    deployed === found ? gives : `${gives}; the deployment's, ${deployed}, lacks digests of files`;
  return { check: { name, status: 'passed', message }, differences: [] };
}

/** Where fs-verity is not on for an object, ostree deploys an image that names no digest for it. */
function lacksDigestsOnly(expected: Uint8Array, found: Uint8Array): boolean {
  const trees = [expected, found].map((image) => readImage(memorySource(image))) as [Inode, Inode];
  return compareTrees(...trees, { limit: Number.POSITIVE_INFINITY }).every(
    (difference) => difference.field === 'digest' && difference.found === 'none',
  );
}

function imageBytes(root: Inode): Uint8Array {
  const chunks: Uint8Array[] = [];
  writeImage(root, { minVersion: 0, maxVersion: 1 }, (chunk) => chunks.push(chunk));
  return joinBytes(chunks);
}

function digestOf(image: Uint8Array): string {
  return hexOf(verityDigest(opensslHash, image));
}
