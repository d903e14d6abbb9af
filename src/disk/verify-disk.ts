/**
 * Verifies a disk without mounting it: every object and image has fs-verity on and is, block by block, what its
 * descriptor says; every object is what its name says; every image names the digests that its objects have; every
 * deployment is what a boot would take.
 * @module
 */
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { parseKeyfile } from '../core/conf/keyfile.ts';
import { readImage } from '../core/erofs/reader.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import type { Ext4Inode, Ext4Reader } from '../core/ext4/reader.ts';
import { examineVerity } from '../core/ext4/verity.ts';
import { isHardLink } from '../core/fs/file-tree.ts';
import { isDirectory, isRegular, isSymlink } from '../core/fs/mode.ts';
import { walkTree } from '../core/fs/walk.ts';
import { encodeFileHeader } from '../core/ostree/file-header.ts';
import { parseObjectPath } from '../core/ostree/objects.ts';
import type { System } from '../core/system.ts';
import { type BootFacts, decideBoot } from '../core/verify/boot.ts';
import { type Check, type Damage, isValid, type Verification } from '../core/verify/report.ts';
import { unpack } from '../initramfs/archives.ts';
import { decompress } from '../initramfs/decompress.ts';
import { systemOf } from '../initramfs/root-file-system.ts';
import { opensslHash } from '../node/hash.ts';
import { diskSystem } from './disk-system.ts';

export interface DiskVerification {
  /** Objects that were examined: files with content, which need fs-verity, and all others. */
  readonly counts: { readonly files: number; readonly others: number };
  /** Of objects that no deployment's image uses, and of what is no object. */
  readonly damage: readonly Damage[];
  readonly deployments: readonly Verification[];
}

export interface VerifyDiskOptions {
  /** Answers for paths that are not on the disk. */
  readonly system: System;
  /** What stands for the disk in paths. */
  readonly name: ByteString;
  readonly facts: Pick<BootFacts, 'cmdline' | 'root' | 'given'>;
  /** Whether each deployment is judged by configuration, keys and sealed file of its own initramfs; `facts` has none then. */
  readonly ownPolicy: boolean;
  readonly onProgress: (objects: number, bytes: number) => void;
}

/** What an object turned out to be. */
interface Examined {
  readonly path: ByteString;
  readonly size: number;
  /** Of a regular file; undefined without fs-verity. */
  readonly digest: string | undefined;
  readonly faults: readonly string[];
}

const REPOSITORY = 'ostree/repo';
const DEPLOY = 'ostree/deploy';
/** A repository's configuration, and a composefs image, which is decoded as a whole. */
const CONFIG_LIMIT = 1024 * 1024;
const IMAGE_LIMIT = 1024 * 1024 * 1024;
/** Apparent bytes of all objects, as a multiple of what the file system has. */
const HOLES_ALLOWED = 4;
/** A boot menu has a handful. */
const MAX_DEPLOYMENTS = 256;

/** Whether everything on the disk is as it should be, and there is something to boot. */
export function isDiskValid({ damage, deployments }: DiskVerification): boolean {
  return damage.length === 0 && deployments.length > 0 && deployments.every(isValid);
}

/** @throws SealtreeError if the file system cannot be read at all */
export function verifyDisk(reader: Ext4Reader, options: VerifyDiskOptions): DiskVerification {
  const damage: Damage[] = [];
  const objects = examineObjects(reader, options, damage);
  const used = new Set<string>();
  const deployments = deploymentPaths(reader).map((path) =>
    verifyDeployment(reader, path, objects, used, options),
  );
  for (const [name, { path, faults }] of objects) {
    if (used.has(name)) continue;
    damage.push(...faults.map((fault) => ({ object: path, fault, paths: [] })));
  }
  const files = [...objects.values()].filter(({ digest }) => digest !== undefined).length;
  return { counts: { files, others: objects.size - files }, damage, deployments };
}

/** All objects, by their path below `objects`. */
function examineObjects(
  reader: Ext4Reader,
  { onProgress }: VerifyDiskOptions,
  damage: Damage[],
): Map<string, Examined> {
  const mode = repositoryMode(reader);
  const objects = new Map<string, Examined>();
  const inodes = new Map<number, ByteString>();
  // Files that share their blocks would have us read them for ever; holes are allowed for.
  let budget = HOLES_ALLOWED * reader.size;
  const folder = byteString(`${REPOSITORY}/objects`);
  for (const [first, number] of entriesOf(reader, reader.lookUp(folder))) {
    if (!/^[0-9a-f]{2}$/.test(first)) continue;
    const place = byteString(`${folder}/${first}`);
    const entries = guarded(damage, place, () => entriesOf(reader, reader.inode(number)));
    for (const [name, inodeNumber] of entries ?? []) {
      const object = parseObjectPath(byteString(first), name, { archive: mode === 'archive' });
      if (object === undefined) continue;
      const path = byteString(`${place}/${name}`);
      const twin = inodes.get(inodeNumber);
      inodes.set(inodeNumber, path);
      const examined =
        twin === undefined
          ? examineObject(reader, path, inodeNumber, object, mode)
          : { path, size: 0, digest: undefined, faults: [`is the same file as ${displayByteString(twin)}`] };
      budget -= examined.size;
      if (budget < 0)
        throw new SealtreeError(
          'malformed',
          'the objects together are larger than the file system they are on',
        );
      objects.set(`${first}/${name}`, examined);
      onProgress(1, examined.size);
    }
  }
  return objects;
}

function examineObject(
  reader: Ext4Reader,
  path: ByteString,
  number: number,
  { checksum, type }: { checksum: string; type: string },
  mode: string,
): Examined {
  const faults: string[] = [];
  try {
    const inode = reader.inode(number);
    const hash = opensslHash.create('sha256');
    const named =
      type === 'commit' || type === 'dirtree' || type === 'dirmeta' || (type === 'file' && mode === 'bare');
    let digest: string | undefined;
    if (type === 'file' && isSymlink(inode.mode)) {
      hash.update(headerOf(reader, inode));
    } else if (!isRegular(inode.mode)) {
      faults.push('not a regular file');
    } else if (type === 'file') {
      hash.update(headerOf(reader, inode));
      digest = examineContent(reader, inode, faults, (piece) => hash.update(piece));
    } else if (named) {
      eachPiece(reader, inode, (piece) => hash.update(piece));
    }
    const found = hexOf(hash.digest());
    if (named && faults.length === 0 && found !== checksum)
      faults.push(`Corrupted ${type} object; checksum expected='${checksum}' actual='${found}'`);
    return { path, size: inode.size, digest, faults };
  } catch (error) {
    return { path, size: 0, digest: undefined, faults: [...faults, messageOf(error)] };
  }
}

/** Content that must have fs-verity on. @returns the digest that the kernel would measure */
function examineContent(
  reader: Ext4Reader,
  inode: Ext4Inode,
  faults: string[],
  take: (piece: Uint8Array) => void,
): string | undefined {
  if (!inode.verity || !reader.hasVerity) {
    faults.push('fs-verity is not on');
    eachPiece(reader, inode, take);
    return undefined;
  }
  const { digest, faults: found } = examineVerity(reader, inode, opensslHash, take);
  faults.push(...found);
  return digest === undefined || digest.algorithm !== 'sha256' ? undefined : hexOf(digest.digest);
}

function headerOf(reader: Ext4Reader, inode: Ext4Inode): Uint8Array {
  return encodeFileHeader({
    uid: inode.uid,
    gid: inode.gid,
    mode: inode.mode,
    rdev: 0,
    symlinkTarget: isSymlink(inode.mode) ? reader.readLink(inode) : byteString(''),
    xattrs: reader.readXattrs(inode),
  });
}

function verifyDeployment(
  reader: Ext4Reader,
  path: ByteString,
  objects: ReadonlyMap<string, Examined>,
  used: Set<string>,
  { system, name, facts, ownPolicy }: VerifyDiskOptions,
): Verification {
  const target = {
    kind: 'deployment',
    name: byteString(`/${path}`),
    repo: byteString(`/${REPOSITORY}`),
  } as const;
  const rest = { differences: [], notMountable: undefined };
  let elsewhere = system;
  try {
    if (ownPolicy) elsewhere = ownInitramfs(reader, path);
  } catch (error) {
    // A deployment that a power cut left unfinished says nothing about the others.
    const check = { name: 'configuration', status: 'failed', message: messageOf(error) } as const;
    const none = { protectedBy: undefined, plan: undefined, boot: undefined };
    return { target: { ...target, commit: undefined }, checks: [check], damage: [], ...rest, ...none };
  }
  const boot = decideBoot(diskSystem(reader, name, opensslHash, elsewhere), opensslHash, {
    ...facts,
    sysroot: name,
    initramfs: true,
    sysrootWritable: true,
    kernel: undefined,
    deployment: byteString(`${name}/${path}`),
    bootedAt: byteString('/sysroot'),
  });
  const checks: Check[] = [...boot.checks];
  const damage: Damage[] = [];
  const image = examineImage(reader, byteString(`${path}/.ostree.cfs`), damage);
  if (image !== undefined) {
    const count = examineBacking(image, objects, used, damage);
    const faulty = damage.length;
    checks.push({
      name: 'backing files',
      status: faulty === 0 ? 'passed' : 'failed',
      message:
        faulty === 0
          ? `all ${count} have fs-verity on, with the digests that the image names`
          : `${faulty} of ${count} are missing or damaged`,
    });
  }
  const found = { checks, damage };
  return {
    target: { ...target, commit: boot.target?.commit },
    ...found,
    ...rest,
    protectedBy: boot.signer === undefined ? undefined : `key ${boot.signer.hex} (${boot.signer.source})`,
    plan: isValid(found) ? boot.plan : undefined,
    boot,
  };
}

/** The files of the initramfs that belongs to the kernel of a deployment. */
function ownInitramfs(reader: Ext4Reader, deployment: ByteString): System {
  const modules = byteString(`${deployment}/usr/lib/modules`);
  for (const version of entriesOf(reader, reader.lookUp(modules)).keys()) {
    const path = byteString(`${modules}/${version}/initramfs.img`);
    const inode = reader.lookUp(path);
    if (inode === undefined || !isRegular(inode.mode)) continue;
    try {
      if (inode.size > IMAGE_LIMIT) throw new SealtreeError('malformed', `${inode.size} bytes are too many`);
      return systemOf(unpack(reader.read(inode, 0, inode.size), decompress).root);
    } catch (error) {
      throw error instanceof SealtreeError ? prefixed(displayByteString(path), error) : error;
    }
  }
  throw new SealtreeError('missing', `${displayByteString(modules)}: no initramfs`);
}

/** The image's bytes, if there is an image; whether it is the right one the boot decision has said. */
function examineImage(reader: Ext4Reader, path: ByteString, damage: Damage[]): Uint8Array | undefined {
  return guarded(damage, path, () => {
    const inode = reader.lookUp(path);
    if (inode === undefined) return undefined;
    if (!isRegular(inode.mode)) throw new SealtreeError('malformed', 'not a regular file');
    if (inode.size > IMAGE_LIMIT) throw new SealtreeError('malformed', `${inode.size} bytes are too many`);
    const faults: string[] = [];
    examineContent(reader, inode, faults, () => {});
    damage.push(...faults.map((fault) => ({ object: path, fault, paths: [byteString('/')] })));
    return faults.length > 0 ? undefined : reader.read(inode, 0, inode.size);
  });
}

/** Holds every file of an image against the object behind it. @returns how many objects the image uses */
function examineBacking(
  image: Uint8Array,
  objects: ReadonlyMap<string, Examined>,
  used: Set<string>,
  damage: Damage[],
): number {
  const paths = new Map<string, { digest: string | undefined; size: number; paths: ByteString[] }>();
  try {
    walkTree(
      readImage({ size: image.length, read: (at, length) => image.subarray(at, at + length) }),
      (path, entry) => {
        if (isHardLink(entry) || !isRegular(entry.mode) || entry.payload === undefined) return;
        const { digest, payload } = entry;
        const known = paths.get(payload);
        if (known === undefined) paths.set(payload, { digest, size: Number(entry.size), paths: [path] });
        else known.paths.push(path);
      },
    );
  } catch (error) {
    damage.push({ object: byteString('.ostree.cfs'), fault: messageOf(error), paths: [byteString('/')] });
    return 0;
  }
  for (const [payload, { digest, size, paths: users }] of paths) {
    const name = payload.replace(/^\/+/, '');
    const object = objects.get(name);
    used.add(name);
    const place = object?.path ?? byteString(`${REPOSITORY}/objects/${name}`);
    const faults = [...(object?.faults ?? ['No such file or directory'])];
    if (object !== undefined && faults.length === 0) {
      if (digest === undefined) faults.push('the image names no digest for it: any content would do');
      else if (object.digest !== digest)
        faults.push(`fs-verity digest is ${object.digest ?? 'none'}, the image names ${digest}`);
      else if (object.size !== size) faults.push(`size is ${object.size}, the image names ${size}`);
    }
    damage.push(...faults.map((fault) => ({ object: place, fault, paths: users })));
  }
  return paths.size;
}

/** `ostree/deploy/STATEROOT/deploy/CHECKSUM.SERIAL`, sorted. */
function deploymentPaths(reader: Ext4Reader): ByteString[] {
  const found: ByteString[] = [];
  for (const [stateroot, number] of entriesOf(reader, reader.lookUp(byteString(DEPLOY)))) {
    const inode = reader.inode(number);
    const folder = isDirectory(inode.mode) ? entriesOf(reader, inode).get(byteString('deploy')) : undefined;
    if (folder === undefined) continue;
    for (const [name, inner] of entriesOf(reader, reader.inode(folder))) {
      if (/^[0-9a-f]{64}\.[0-9]+$/.test(name) && isDirectory(reader.inode(inner).mode))
        found.push(byteString(`${DEPLOY}/${stateroot}/deploy/${name}`));
      if (found.length > MAX_DEPLOYMENTS)
        throw new SealtreeError('malformed', `more than ${MAX_DEPLOYMENTS} deployments`);
    }
  }
  return found.sort();
}

/** Entries of a directory in byte order; none if it is not there. */
function entriesOf(reader: Ext4Reader, inode: Ext4Inode | undefined): Map<ByteString, number> {
  if (inode === undefined || !isDirectory(inode.mode)) return new Map();
  return new Map([...reader.readDirectory(inode)].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function repositoryMode(reader: Ext4Reader): string {
  const inode = reader.lookUp(byteString(`${REPOSITORY}/config`));
  if (inode === undefined || inode.size > CONFIG_LIMIT)
    throw new SealtreeError('missing', `${REPOSITORY}/config: No such file or directory`);
  const config = parseKeyfile(byteStringFrom(reader.read(inode, 0, inode.size)), `${REPOSITORY}/config`);
  return config.get('core', 'mode') ?? 'bare';
}

function eachPiece(reader: Ext4Reader, inode: Ext4Inode, take: (piece: Uint8Array) => void): void {
  const piece = 1024 * 1024;
  for (let at = 0; at < inode.size; at += piece)
    take(reader.read(inode, at, Math.min(piece, inode.size - at)));
}

/** What is wrong with one thing on the disk does not end the examination of the others. */
function guarded<T>(damage: Damage[], path: ByteString, step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    damage.push({ object: path, fault: messageOf(error), paths: [] });
    return undefined;
  }
}

function messageOf(error: unknown): string {
  if (error instanceof SealtreeError) return error.message;
  throw error;
}

/** For people, one line each; a deployment's own report goes before. */
export function explainDisk({ counts, damage, deployments }: DiskVerification): string[] {
  const lines = damage.map(
    ({ object, fault }) => `damaged: ${displayByteString(object)}: ${fault}\n  no deployment uses it`,
  );
  if (deployments.length === 0) lines.push('no deployment');
  lines.push(`${counts.files} files with fs-verity and ${counts.others} other objects were examined`);
  return lines;
}
