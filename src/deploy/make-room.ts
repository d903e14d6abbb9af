/**
 * Room for kernels on a /boot of its own: where a new one does not fit beside the old ones of the running system, but
 * would without those that are to go anyway, the list is first written without them. As ostree does.
 * @module
 */
import { statfsSync, statSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { isDirectory, isRegular } from '../core/fs/mode.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { cleanBoot } from './cleanup.ts';
import { type Deployment, deploymentPath, kernelFolder } from './deployment.ts';
import { entriesOf, statusOf } from './files.ts';
import { findKernel } from './kernel-layout.ts';
import { inSysroot, type Sysroot } from './sysroot.ts';

/** Bytes that have to be left for boot entries and the like. */
const MARGIN = 1 << 20;

/**
 * @param write writes a list that deployments were taken from, and returns the sysroot as it is then
 * @returns the sysroot to write the whole list into
 */
export async function makeRoom(
  sysroot: Sysroot,
  deployments: readonly Deployment[],
  write: (common: readonly Deployment[]) => Promise<Sysroot>,
): Promise<Sysroot> {
  const { booted, boot, layout } = sysroot;
  if (booted === undefined || layout !== 'links' || !isApart(boot, sysroot.repo.path)) return sysroot;
  cleanBoot(sysroot);
  const there = byChecksum(sysroot.deployments);
  const wanted = byChecksum(deployments);
  const { bsize, bfree } = statfsSync(fsPath(boot));
  const fits = (size: number) => size === 0 || size + MARGIN <= bfree * bsize;
  const added = [...wanted].filter(([checksum]) => !there.has(checksum));
  const needed = sum(added.map(([, deployment]) => newSize(sysroot, deployment, bsize)));
  if (fits(needed)) return sysroot;
  const going = [...there].filter(([checksum]) => !wanted.has(checksum));
  const freed = sum(going.map(([, deployment]) => treeSize(joinPath(boot, kernelFolder(deployment)), bsize)));
  // What does not fit even then is for the system to say, in its own words.
  if (going.length === 0 || !fits(Math.max(0, needed - freed))) return sysroot;
  const written = await write(sysroot.deployments.filter(({ bootChecksum }) => wanted.has(bootChecksum)));
  cleanBoot(written);
  return written;
}

function isApart(a: ByteString, b: ByteString): boolean {
  try {
    return statSync(fsPath(a)).dev !== statSync(fsPath(b)).dev;
  } catch (error) {
    throw ioError('Checking if bootfs has sufficient space', error);
  }
}

/** One deployment for each kernel. */
function byChecksum(deployments: readonly Deployment[]): Map<string, Deployment> {
  return new Map(deployments.map((deployment) => [deployment.bootChecksum, deployment]));
}

/** What the kernel of a deployment will take. */
function newSize(sysroot: Sysroot, deployment: Deployment, blockSize: number): number {
  const layout = findKernel(inSysroot(sysroot, deploymentPath(deployment)));
  const files = [layout.kernel, layout.initramfs, layout.devicetree, layout.hmac, layout.aboot];
  const names = [...files.map((file) => file?.source), layout.devicetrees].filter(
    (name) => name !== undefined,
  );
  return sum(names.map((name) => treeSize(joinPath(layout.directory, name), blockSize)));
}

/** Bytes of all files in whole blocks. */
function treeSize(root: ByteString, blockSize: number): number {
  let size = 0;
  const waiting = [root];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const status = statusOf(path);
    if (status === undefined) continue;
    if (isRegular(status.mode)) size += Math.ceil(status.size / blockSize) * blockSize;
    else if (isDirectory(status.mode)) {
      for (const { name } of entriesOf(path) ?? []) waiting.push(byteString(`${path}/${name}`));
    }
  }
  return size;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
