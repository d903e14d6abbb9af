/**
 * A physical root (`ostree/`, `boot/`) as a disk: partition table, boot partition, ext4 with fs-verity on for every
 * object and image. The same root gives the same bytes, whenever and wherever.
 * @module
 */
import { statSync } from 'node:fs';
import { roundUp } from '../core/bytes/align.ts';
import { type ByteString, byteString, bytesOf } from '../core/bytes/byte-string.ts';
import { formatUuid, uuidFrom } from '../core/bytes/uuid.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import { layOut } from '../core/ext4/layout.ts';
import { writeExt4 } from '../core/ext4/writer.ts';
import { MIN_FAT_SIZE, writeFat } from '../core/fat/writer.ts';
import type { DiskNode, ReadContent, Sink } from '../core/fs/disk-node.ts';
import {
  BACKUP_SIZE,
  PARTITION_ALIGNMENT,
  PARTITION_TYPE,
  type Partition,
  writeGpt,
} from '../core/gpt/gpt.ts';
import { fsPath } from '../node/fs-path.ts';
import { opensslHash } from '../node/hash.ts';
import { findFile, REMOVABLE_MEDIA_NAMES, withFile, withoutSymlinks } from './boot-files.ts';
import { type ScannedTree, scanTree } from './scan.ts';
import { writeSparseFile } from './sparse-file.ts';

export interface DiskOptions {
  /** Directory that is to be the physical root. */
  readonly sysroot: ByteString;
  readonly output: ByteString;
  /** Deployments in it, absolute: where a boot loader may be found. */
  readonly deployments: readonly ByteString[];
  /** What all identifiers of the disk are derived from: the same text gives the same ones. */
  readonly identity: string;
  /** Seconds since 1970: when everything was made that is younger. */
  readonly timestamp: number;
  /** File system and kind of the boot partition: the EFI system partition, or one for a boot loader that reads ext4. */
  readonly boot: 'esp' | 'ext4';
  /** Bytes of the disk; undefined for what is needed and `free` more. */
  readonly size: number | undefined;
  readonly free: number;
  /** Bytes of the boot partition. */
  readonly bootSize: number | undefined;
  /** Type of the root partition, and the name of what firmware starts, undefined where that is not known. */
  readonly rootType: string;
  readonly architecture: string;
  /** Files for the boot partition beside those of /boot: path there, path here. */
  readonly bootFiles: readonly (readonly [path: ByteString, file: ByteString])[];
}

export interface DiskFacts {
  readonly size: number;
  readonly partitions: readonly Partition[];
  readonly rootUuid: string;
  /** Files with fs-verity on. */
  readonly verityFiles: number;
  /** What firmware starts that knows nothing of the disk; undefined if there is no such file. */
  readonly startedBy: string | undefined;
}

const OBJECT = /^ostree\/repo\/objects\/[0-9a-f]{2}\/[0-9a-f]{62}\.file$/;
const IMAGE = /^ostree\/deploy\/[^/]+\/deploy\/[0-9a-f]{64}\.[0-9]+\/\.ostree\.cfs$/;
const DEPLOYMENT = /^ostree\/deploy\/[^/]+\/deploy\/[0-9a-f]{64}\.[0-9]+$/;
/** Of these only the folder itself is taken. */
const EMPTY = /^(boot|ostree\/repo\/tmp)$/;
const BOOT = byteString('boot');
const DEFAULT_BOOT_SIZE = 512 * 1024 * 1024;

/** The UUID of the root file system of a disk of that identity: what `root=UUID=…` names. */
export function rootUuid(identity: string): string {
  return formatUuid(derive(identity, 'root file system'));
}

/**
 * Writes the disk.
 *
 * @throws SealtreeError `unsupported` if something does not fit, `io`
 */
export function writeDisk(options: DiskOptions): DiskFacts {
  const { sysroot, output, identity, timestamp } = options;
  const rules = { verity, immutable: (path: ByteString) => DEPLOYMENT.test(path), timestamp };
  const root = scanTree(sysroot, { ...rules, empty: (path) => EMPTY.test(path) });
  const opened: ScannedTree[] = [root];
  try {
    const boot = scanBoot(options, rules, opened);
    const content = new Map<DiskNode, ReadContent>();
    let bootRoot = boot.tree;
    for (const { path, scanned } of boot.files) {
      content.set(scanned.root, scanned.read);
      bootRoot = withFile(bootRoot, path, scanned.root);
    }
    const read: ReadContent = (node, take) => (content.get(node) ?? boot.read)(node, take);
    const start = startPath(options);
    if (start !== undefined && findFile(bootRoot, start) === undefined) {
      const loader = findBootLoader(options);
      const image = onlyImage(bootRoot);
      if (image !== undefined) bootRoot = withFile(bootRoot, start, image);
      else if (loader !== undefined) {
        const scanned = scanTree(loader, { ...rules, verity: () => false, empty: () => false });
        opened.push(scanned);
        content.set(scanned.root, scanned.read);
        bootRoot = withFile(bootRoot, start, scanned.root);
      }
    }
    const startedBy = start === undefined || findFile(bootRoot, start) === undefined ? undefined : start;
    const bootSize = roundUp(options.bootSize ?? defaultBootSize(bootRoot), PARTITION_ALIGNMENT);
    const rootStart = PARTITION_ALIGNMENT + bootSize;
    const room =
      options.size === undefined
        ? undefined
        : Math.floor((options.size - BACKUP_SIZE - rootStart) / PARTITION_ALIGNMENT) * PARTITION_ALIGNMENT;
    const layout = inPartition('root', () => layOut(root.root, { size: room, free: options.free }));
    const size = options.size ?? roundUp(rootStart + layout.size + BACKUP_SIZE, PARTITION_ALIGNMENT);
    const partitions: Partition[] = [
      {
        type: options.boot === 'esp' ? PARTITION_TYPE.esp : PARTITION_TYPE.linux,
        id: formatUuid(derive(identity, 'boot partition')),
        name: options.boot === 'esp' ? 'esp' : 'boot',
        start: PARTITION_ALIGNMENT,
        size: bootSize,
      },
      {
        type: options.rootType,
        id: formatUuid(derive(identity, 'root partition')),
        name: 'root',
        start: rootStart,
        size: roundUp(layout.size, PARTITION_ALIGNMENT),
      },
    ];
    writeSparseFile(output, size, (sink) => {
      writeGpt(size, formatUuid(derive(identity, 'disk')), partitions, sink);
      inPartition('boot', () => writeBoot(options, bootRoot, bootSize, read, at(sink, PARTITION_ALIGNMENT)));
      const ext4 = {
        uuid: derive(identity, 'root file system'),
        hashSeed: derive(identity, 'root hash seed'),
        label: byteString('root'),
        timestamp,
      };
      writeExt4(layout, ext4, opensslHash, root.read, at(sink, rootStart));
    });
    const verityFiles = layout.nodes.filter(({ node }) => node.verity).length;
    return { size, partitions, rootUuid: rootUuid(identity), verityFiles, startedBy };
  } finally {
    for (const tree of opened) tree.close();
  }
}

function verity(path: ByteString): boolean {
  return OBJECT.test(path) || IMAGE.test(path);
}

interface Boot {
  readonly tree: DiskNode;
  readonly read: ReadContent;
  readonly files: { path: ByteString; scanned: ScannedTree }[];
}

/** What the physical root has in /boot, and what was named beside it. */
function scanBoot(
  { sysroot, boot, bootFiles }: DiskOptions,
  rules: {
    verity: (path: ByteString) => boolean;
    immutable: (path: ByteString) => boolean;
    timestamp: number;
  },
  opened: ScannedTree[],
): Boot {
  const plain = { ...rules, verity: () => false, immutable: () => false, empty: () => false };
  const scan = (path: ByteString) => {
    const scanned = scanTree(path, plain);
    opened.push(scanned);
    return scanned;
  };
  const tree = scan(byteString(`${sysroot}/${BOOT}`));
  const files = bootFiles.map(([path, file]) => ({ path, scanned: scan(file) }));
  return { tree: boot === 'esp' ? withoutSymlinks(tree.root) : tree.root, read: tree.read, files };
}

/** Where firmware that knows nothing of the disk finds what it starts. */
function startPath({ boot, architecture }: DiskOptions): ByteString | undefined {
  const name = REMOVABLE_MEDIA_NAMES[architecture];
  return boot === 'esp' && name !== undefined ? byteString(`EFI/BOOT/${name}`) : undefined;
}

/** A unified kernel image, where there is just one, is itself what is to be started. */
function onlyImage(root: DiskNode): DiskNode | undefined {
  const images = [...(findFile(root, byteString('EFI/Linux'))?.entries?.values() ?? [])];
  return images.length === 1 ? images[0] : undefined;
}

/** systemd-boot of a deployment, which reads the boot entries; a signed one first. */
function findBootLoader({ deployments, architecture }: DiskOptions): ByteString | undefined {
  const suffix = REMOVABLE_MEDIA_NAMES[architecture]?.replace(/^BOOT/, '').toLowerCase();
  return ['.signed', '']
    .flatMap((signed) =>
      deployments.map((path) => `${path}/usr/lib/systemd/boot/efi/systemd-boot${suffix}${signed}`),
    )
    .map((path) => byteString(path))
    .find((path) => statSync(fsPath(path), { throwIfNoEntry: false })?.isFile());
}

function writeBoot(
  { boot, identity, timestamp }: DiskOptions,
  root: DiskNode,
  size: number,
  read: ReadContent,
  sink: Sink,
): void {
  if (boot === 'esp') {
    const [a = 0, b = 0, c = 0, d = 0] = derive(identity, 'boot file system');
    const id = (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
    writeFat(root, { id, label: 'ESP', size, start: PARTITION_ALIGNMENT, timestamp }, read, sink);
    return;
  }
  const layout = layOut(root, { size, free: 0 });
  const ext4 = {
    uuid: derive(identity, 'boot file system'),
    hashSeed: derive(identity, 'boot hash seed'),
    label: BOOT,
    timestamp,
  };
  writeExt4(layout, ext4, opensslHash, read, sink);
}

/** Room for what is there and two updates more. */
function defaultBootSize(root: DiskNode): number {
  let used = 0;
  const pending = [root];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    used += node.size + 4096;
    for (const below of node.entries?.values() ?? []) pending.push(below);
  }
  return Math.max(DEFAULT_BOOT_SIZE, MIN_FAT_SIZE, 3 * used);
}

function derive(identity: string, purpose: string): Uint8Array {
  return uuidFrom(
    opensslHash.digest('sha256', bytesOf(byteString(`sealtree disk\n${identity}\n${purpose}`))),
  );
}

function at(sink: Sink, start: number): Sink {
  return (offset, data) => sink(start + offset, data);
}

function inPartition<T>(name: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof SealtreeError) throw prefixed(`${name} partition`, error);
    throw error;
  }
}
