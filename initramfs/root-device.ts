/**
 * The disk that `root=` names, found without udev and mounted: by path, by number, by what the kernel says of
 * partitions, or by the superblock of a file system that can have fs-verity.
 * @module
 */
import {
  type ByteString,
  byteString,
  byteStringFrom,
  displayByteString,
} from '../src/core/bytes/byte-string.ts';
import { hexOf } from '../src/core/bytes/hex.ts';
import { kernelArgument } from '../src/core/conf/cmdline.ts';
import { failedWith, worded } from '../src/core/errno.ts';
import { SealtreeError } from '../src/core/errors.ts';
import { MS } from '../src/core/mount/calls.ts';
import { bootSystem, bootMountCalls as calls, openForReading, sleep, using } from './system.ts';

const TYPES = ['ext4', 'btrfs', 'f2fs', 'xfs'];
const TRIES_A_SECOND = 20;
const DEFAULT_SECONDS = 30;
const BLOCK_CLASS = byteString('/sys/class/block');

/** @throws SealtreeError `missing` if the disk does not appear in time, `io` if it cannot be mounted */
export function mountRoot(cmdline: ByteString, target: ByteString): void {
  const root = kernelArgument(cmdline, 'root');
  if (root === undefined) throw new SealtreeError('missing', 'no root= on the kernel command line');
  const device = waitFor(root, cmdline);
  const { flags, options } = mountOptions(cmdline);
  const type = kernelArgument(cmdline, 'rootfstype');
  const shown = `mounting ${displayByteString(device)}`;
  for (const candidate of type === undefined ? TYPES : type.split(',')) {
    try {
      calls.mount(device, target, byteString(candidate), flags, options);
      return;
    } catch (error) {
      // Not this one, or a kernel without it.
      if (!failedWith(error, 'EINVAL', 'ENODEV')) throw worded(shown, error);
    }
  }
  throw new SealtreeError('io', `${shown}: none of the known file systems`);
}

/** Options that are flags of mount(2) and no matter of the file system. */
const FLAGS: ReadonlyMap<string, number> = new Map([
  ['ro', MS.rdonly],
  ['nosuid', MS.nosuid],
  ['nodev', MS.nodev],
  ['noexec', MS.noexec],
  ['noatime', 0x400],
  ['nodiratime', 0x800],
  ['relatime', 0x200000],
  ['strictatime', 0x1000000],
  ['lazytime', 0x2000000],
]);

/** `ro` and `rw`, of which the last one counts, and `rootflags=`. Without a word the disk is mounted read-only. */
function mountOptions(cmdline: ByteString): { readonly flags: number; readonly options: ByteString | null } {
  const words = [...cmdline.split(' '), ...(kernelArgument(cmdline, 'rootflags') ?? '').split(',')];
  const last = words.filter((word) => word === 'ro' || word === 'rw').at(-1);
  const given = (kernelArgument(cmdline, 'rootflags') ?? '').split(',');
  let flags = MS.silent | (last === 'rw' ? 0 : MS.rdonly);
  for (const option of given) if (option !== 'ro') flags |= FLAGS.get(option) ?? 0;
  const rest = given.filter((option) => option !== '' && option !== 'rw' && !FLAGS.has(option));
  return { flags, options: rest.length === 0 ? null : byteString(rest.join(',')) };
}

function waitFor(root: ByteString, cmdline: ByteString): ByteString {
  const seconds = Number(kernelArgument(cmdline, 'rootdelay') ?? DEFAULT_SECONDS) || DEFAULT_SECONDS;
  for (let tries = 0; tries < seconds * TRIES_A_SECOND; tries++) {
    const device = findDevice(root);
    if (device !== undefined) return device;
    sleep(1 / TRIES_A_SECOND);
  }
  throw new SealtreeError('missing', `root=${displayByteString(root)} did not appear in ${seconds} s`);
}

function findDevice(root: ByteString): ByteString | undefined {
  const [, tag, quoted] = /^(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)$/.exec(root) ?? [];
  if (tag === undefined || quoted === undefined)
    return bootSystem.kindOf(root) === undefined ? undefined : root;
  const value = quoted.replace(/^"(.*)"$/, '$1');
  const key = { PARTUUID: 'PARTUUID', PARTLABEL: 'PARTNAME', UUID: 'uuid', LABEL: 'label' }[tag] as string;
  for (const name of bootSystem.readDirectory(BLOCK_CLASS) ?? []) {
    const device = byteString(`/dev/${name}`);
    const facts = tag.startsWith('PART') ? readEvent(name) : readSuperblock(device);
    const found = facts.get(key);
    if (
      found !== undefined &&
      (key.endsWith('uuid') || key === 'PARTUUID' ? sameId(found, value) : found === value)
    )
      return device;
  }
  return undefined;
}

function sameId(a: string, b: string): boolean {
  return a.toLowerCase().replaceAll('-', '') === b.toLowerCase().replaceAll('-', '');
}

/** What the kernel knows of a partition, by its names in uevent. */
function readEvent(name: string): Map<string, string> {
  const facts = new Map<string, string>();
  const data = bootSystem.readFile(byteString(`${BLOCK_CLASS}/${name}/uevent`), 65536);
  for (const line of data === undefined ? [] : byteStringFrom(data).split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) facts.set(line.slice(0, equals), line.slice(equals + 1));
  }
  return facts;
}

interface Superblock {
  readonly magicAt: number;
  readonly magic: string;
  readonly uuidAt: number;
  readonly labelAt: number;
  readonly labelSize: number;
}

/** Offsets on the disk: ext4, f2fs, btrfs, XFS. f2fs has its label in UTF-16, by which it is not found. */
const SUPERBLOCKS: readonly Superblock[] = [
  { magicAt: 1024 + 0x38, magic: '53ef', uuidAt: 1024 + 0x68, labelAt: 1024 + 0x78, labelSize: 16 },
  { magicAt: 1024, magic: '1020f5f2', uuidAt: 1024 + 108, labelAt: 0, labelSize: 0 },
  {
    magicAt: 65536 + 0x40,
    magic: '5f42485266535f4d',
    uuidAt: 65536 + 0x20,
    labelAt: 65536 + 0x12b,
    labelSize: 256,
  },
  { magicAt: 0, magic: '58465342', uuidAt: 32, labelAt: 108, labelSize: 12 },
];

function readSuperblock(device: ByteString): Map<string, string> {
  const facts = new Map<string, string>();
  let start: Uint8Array;
  try {
    start = using(openForReading(device), (fd) => calls.readStart(fd, 65536 + 4096));
  } catch {
    return facts;
  }
  for (const { magicAt, magic, uuidAt, labelAt, labelSize } of SUPERBLOCKS) {
    if (hexOf(start.subarray(magicAt, magicAt + magic.length / 2)) !== magic) continue;
    facts.set('uuid', hexOf(start.subarray(uuidAt, uuidAt + 16)));
    const label = byteStringFrom(start, labelAt, labelAt + labelSize);
    if (labelSize > 0) facts.set('label', label.replace(/\0.*$/s, ''));
    return facts;
  }
  return facts;
}
