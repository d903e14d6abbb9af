/**
 * Carries a mount plan out, step by step, and fails at the first step that fails, in the words of ostree-prepare-root
 * 2026.4 for the same failure.
 * @module
 */
import {
  type ByteString,
  byteString,
  byteStringFrom,
  bytesOf,
  displayByteString,
} from '../src/core/bytes/byte-string.ts';
import { failedWith, worded } from '../src/core/errno.ts';
import { SealtreeError } from '../src/core/errors.ts';
import { S_IFBLK, S_IFMT } from '../src/core/fs/mode.ts';
import { encodeVariant } from '../src/core/gvariant/encode.ts';
import type { Value } from '../src/core/gvariant/value.ts';
import { MNT_DETACH, MS } from '../src/core/mount/calls.ts';
import { digestFault, mountComposefsOverlay, mountImage } from '../src/core/mount/composefs.ts';
import type { KernelFacts } from '../src/core/verify/kernel.ts';
import type { BootedEntry, MountPlan, MountStep } from '../src/core/verify/plan.ts';
import { explainLack } from './kernel-lack.ts';
import { kernel } from './sys.ts';
import {
  bootMountCalls as calls,
  changeDirectory,
  deviceNumber,
  fileSystemStatus,
  makeDirectory,
  makeSymlink,
  openForReading,
  randomName,
  removeDirectory,
  replaceFile,
  statusIfThere,
  using,
} from './system.ts';

/**
 * @param kernelFacts of the kernel that carries it out
 * @param warn told of what went wrong and does not matter
 * @param done gets every step once it is done
 * @throws SealtreeError `io` or `mismatch`: `what: No such file or directory`
 */
export function carryOut(
  { steps }: MountPlan,
  kernelFacts: KernelFacts,
  warn: (message: string) => void,
  done: MountStep[],
): void {
  const state: State = { warn, inodes: inodesOf(steps), renamed: new Map() };
  for (const step of steps) {
    if (step.onlyIf !== undefined && statusIfThere(step.onlyIf) === undefined) continue;
    try {
      carryOutStep(step, state);
      done.push(step);
      if (step.step === 'mount image') requireErofs(step.at);
    } catch (error) {
      throw explainLack(step, error, describeFailure(step, error), kernelFacts);
    }
  }
}

const EROFS_MAGIC = 0xe0f5e1e2;

/** An image that cannot be mounted is at fault itself, as far as nothing else is known. */
function describeFailure(step: MountStep, error: unknown): SealtreeError {
  const { code, message, detail } = worded(failureOf(step), error);
  const check = step.step === 'mount image' ? { check: 'image' } : {};
  return new SealtreeError(code, message, { ...check, ...detail });
}

interface State {
  readonly warn: (message: string) => void;
  /** Device and inode of directories that cannot be reached any more when they are written down. */
  readonly inodes: ReadonlyMap<ByteString, readonly [device: bigint, inode: bigint]>;
  /** Templates of temporary directories and their names. */
  readonly renamed: Map<string, string>;
}

function inodesOf(steps: readonly MountStep[]): State['inodes'] {
  const inodes = new Map<ByteString, readonly [bigint, bigint]>();
  for (const step of steps) {
    for (const entry of step.step === 'write dictionary' ? step.entries : []) {
      if (entry.type !== '(tt)') continue;
      const status = statusIfThere(entry.inodeOf);
      if (status === undefined)
        throw new SealtreeError(
          'missing',
          `lstat(${displayByteString(entry.inodeOf)}): No such file or directory`,
        );
      inodes.set(entry.inodeOf, [deviceNumber(status.major, status.minor), status.inode]);
    }
  }
  return inodes;
}

function carryOutStep(step: MountStep, state: State): void {
  const place = (path: ByteString) => renamed(path, state);
  switch (step.step) {
    case 'create directory':
      if (step.existing) makeDirectories(place(step.path), step.mode);
      else makeDirectory(place(step.path), step.mode);
      return;
    case 'create temporary directory': {
      const path = byteString(step.path.replace(/X{6}$/, randomName()));
      makeDirectory(path, step.mode);
      state.renamed.set(step.path, path);
      return;
    }
    case 'change directory':
      changeDirectory(place(step.path));
      return;
    case 'set propagation': {
      const flags = MS[step.propagation] | (step.recursive ? MS.recursive : 0) | MS.silent;
      calls.mount(null, place(step.path), null, flags, null);
      return;
    }
    case 'mount image':
      using(openForReading(place(step.image)), (fd) => mountChecked(fd, step.digest, place(step.at)));
      return;
    case 'mount overlay':
      mountOverlay(step, place);
      return;
    case 'bind':
      calls.mount(place(step.from), place(step.at), null, MS.bind | MS.silent, null);
      return;
    case 'remount': {
      const flags = MS.bind | MS.remount | MS.silent | (step.readonly ? MS.rdonly : 0);
      calls.mount(place(step.path), place(step.path), null, flags, null);
      return;
    }
    case 'unmount':
      calls.umount(place(step.path), MNT_DETACH);
      return;
    case 'move mount':
      calls.mount(place(step.from), place(step.to), null, MS.move | MS.silent, null);
      return;
    case 'remove directory':
      removeDirectory(place(step.path));
      return;
    case 'link to device':
      linkToDevice(step.path, step.of, state.warn);
      return;
    case 'write file':
      replaceFile(step.path, bytesOf(step.data), step.mode);
      return;
    case 'write dictionary': {
      const entries = step.entries.map((entry) => [entry.key as ByteString, variantOf(entry, state)]);
      replaceFile(step.path, encodeVariant('a{sv}', entries), 0o644);
      return;
    }
  }
}

/** The same descriptor is measured and mounted: nobody can put another file in between. */
function mountChecked(fd: number, digest: string | undefined, at: ByteString): void {
  if (digest !== undefined) {
    const wrong = digestFault(calls, fd, digest);
    if (wrong?.fault === 'none')
      throw new SealtreeError('mismatch', 'fsverity not enabled on composefs image');
    if (wrong?.fault === 'wrong') {
      const detail = { expected: digest, found: wrong.found };
      throw new SealtreeError('mismatch', 'Wrong fsverity digest in composefs image', detail);
    }
  }
  mountImage(calls, fd, at);
}

/** The overlay names its layers by paths alone: nothing would show later that this one is no image. */
function requireErofs(at: ByteString): void {
  const type = using(openForReading(at), (directory) => fileSystemStatus(directory).type);
  if (type === EROFS_MAGIC) return;
  throw new SealtreeError('mismatch', `${displayByteString(at)} is no EROFS`, {
    expected: hexNumber(EROFS_MAGIC),
    found: hexNumber(type),
  });
}

function hexNumber(value: number): string {
  return `0x${value.toString(16)}`;
}

function mountOverlay(
  step: Extract<MountStep, { step: 'mount overlay' }>,
  place: (path: ByteString) => ByteString,
): void {
  const [lower] = step.lower;
  if (lower === undefined) throw new SealtreeError('internal', 'an overlay of nothing');
  const upper = step.upper === undefined ? undefined : place(step.upper);
  const work = step.work === undefined ? undefined : place(step.work);
  if (step.composefs) {
    mountComposefsOverlay(calls, {
      lower: place(lower),
      data: step.data.map(place),
      verity: step.verity ? 'require' : undefined,
      readonly: step.readonly,
      upper,
      work,
      target: place(step.at),
    });
    return;
  }
  const options = [`lowerdir=${place(lower)}`, `upperdir=${upper}`, `workdir=${work}`].join(',');
  const flags = MS.silent | (step.readonly ? MS.rdonly : 0);
  calls.mount(step.source, place(step.at), byteString('overlay'), flags, byteString(options));
}

/** With its parents; all of them have the mode. */
function makeDirectories(path: ByteString, mode: number): void {
  for (let end = path.indexOf('/', 1); ; end = path.indexOf('/', end + 1)) {
    const part = byteString(end < 0 ? path : path.slice(0, end));
    try {
      makeDirectory(part, mode);
    } catch (error) {
      if (!failedWith(error, 'EEXIST')) throw error;
    }
    if (end < 0) return;
  }
}

const RUN_SYSTEMD = byteString('/run/systemd');
const GPT_AUTO_ROOT = byteString('/dev/gpt-auto-root');

function linkToDevice(path: ByteString, of: ByteString, warn: (message: string) => void): void {
  const device = deviceBehind(of);
  if (device === undefined) return;
  try {
    makeDirectories(RUN_SYSTEMD, 0o755);
    makeSymlink(byteString(`/dev/block/${device}`), path);
  } catch (error) {
    if (!failedWith(error, 'EEXIST'))
      warn(worded(`failed to create ${displayByteString(path)}`, error).message);
  }
}

/** `MAJOR:MINOR` of the disk; undefined where it is not one disk. */
function deviceBehind(path: ByteString): string | undefined {
  const auto = statusIfThere(GPT_AUTO_ROOT, true);
  if (auto !== undefined && (auto.mode & S_IFMT) === S_IFBLK)
    return `${auto.deviceMajor}:${auto.deviceMinor}`;
  const status = statusIfThere(path, true);
  if (status === undefined) return undefined;
  if (status.major > 0) return `${status.major}:${status.minor}`;
  const device = btrfsDevice(path);
  const disk = device === undefined ? undefined : statusIfThere(device, true);
  if (disk === undefined || (disk.mode & S_IFMT) !== S_IFBLK || disk.deviceMajor === 0) return undefined;
  return `${disk.deviceMajor}:${disk.deviceMinor}`;
}

/** The path of the only disk of a btrfs, whose files have a device number that stands for no disk. */
function btrfsDevice(path: ByteString): ByteString | undefined {
  const BTRFS_SUPER_MAGIC = 0x9123683e;
  const MAX_DEVICE_ID = 1024n;
  return using(openForReading(path), (fd) => {
    const info = new DataView(new ArrayBuffer(1024));
    if (fileSystemStatus(fd).type !== BTRFS_SUPER_MAGIC || kernel.btrfsInfo(fd, info.buffer) < 0)
      return undefined;
    const [last, count] = [info.getBigUint64(0, true), info.getBigUint64(8, true)];
    if (count !== 1n) return undefined;
    for (let id = 1n; id <= last && id <= MAX_DEVICE_ID; id++) {
      const device = new DataView(new ArrayBuffer(4096));
      device.setBigUint64(0, id, true);
      if (kernel.btrfsDevice(fd, device.buffer) < 0) continue;
      const name = new Uint8Array(device.buffer, 3072);
      return byteStringFrom(name, 0, name.indexOf(0));
    }
    return undefined;
  });
}

function variantOf(entry: BootedEntry, state: State): Value {
  switch (entry.type) {
    case 'b':
      return { type: 'b', value: entry.value };
    case 's':
      return { type: 's', value: renamed(entry.value, state) };
    case '(tt)':
      return { type: '(tt)', value: [...(state.inodes.get(entry.inodeOf) as readonly [bigint, bigint])] };
  }
}

function renamed(path: ByteString, { renamed: names }: State): ByteString {
  for (const [template, name] of names) {
    if (path === template || path.startsWith(`${template}/`))
      return byteString(name + path.slice(template.length));
  }
  return path;
}

/** What failed, in the words that ostree-prepare-root has for it. */
function failureOf(step: MountStep): string {
  switch (step.step) {
    case 'create directory':
      return step.path === '/sysroot.tmp'
        ? `couldn't create temporary sysroot ${step.path}`
        : `Failed to create ${displayByteString(step.path)}`;
    case 'create temporary directory':
      return 'Failed to mount etc: failed to create transient etc tempdir';
    case 'change directory':
      return `failed to chdir to ${displayByteString(step.path)}`;
    case 'set propagation':
      return `failed to make "${displayByteString(step.path)}" ${step.propagation} mount`;
    case 'mount image':
      return 'Failed to mount composefs: composefs: failed to mount';
    case 'mount overlay':
      if (step.composefs) return 'Failed to mount composefs: composefs: failed to mount';
      return step.at.endsWith('/etc')
        ? 'Failed to mount etc: failed to mount transient etc overlayfs'
        : 'failed to mount /usr overlayfs';
    case 'bind':
      return bindFailure(step.from, step.at);
    case 'remount':
      return step.readonly
        ? `failed to make ${displayByteString(step.path)} read-only`
        : `failed to make writable bind-mount at ${displayByteString(step.path)}`;
    case 'unmount':
      return `failed to MS_DETACH '${displayByteString(step.path)}'`;
    case 'move mount':
      return `failed to MS_MOVE ${displayByteString(step.from)} to ${displayByteString(step.to)}`;
    case 'remove directory':
      return `couldn't remove temporary sysroot ${displayByteString(step.path)}`;
    case 'link to device':
      return `failed to create ${displayByteString(step.path)}`;
    case 'write file':
    case 'write dictionary':
      return `Writing ${displayByteString(step.path)}`;
  }
}

function bindFailure(from: ByteString, at: ByteString): string {
  const [source, target] = [displayByteString(from), displayByteString(at)];
  if (from === 'etc') return `Failed to mount etc: failed to prepare /etc bind-mount at ${target}`;
  if (from === at && from.endsWith('/usr')) return 'failed to bind mount (class:readonly) /usr';
  if (from === at) return `failed to prepare /var bind-mount at ${target}`;
  if (from === '../../var') return 'failed to bind mount ../../var to var';
  if (at.endsWith('/sysroot')) return `failed to MS_BIND '${source}' to 'sysroot'`;
  return `failed to make initial bind mount ${source}`;
}
