/**
 * What the running kernel offers, found out before anything is mounted: a file system that is asked for (fsopen(2)) is
 * registered, or its module loaded, or there is none; overlayfs says at once which options it knows where it reads them
 * one by one, which it does since it has data-only layers (Linux 6.5); fs-verity stands among the features of the file
 * systems that have it. What cannot be found out so is left out, and then the version counts.
 * Sources: fsopen(2), filesystems(5), Documentation/ABI/testing/sysfs-fs-ext4, -f2fs and -btrfs, loop(4).
 * @module
 */
import { byteString, byteStringFrom } from '../bytes/byte-string.ts';
import { failedWith } from '../errno.ts';
import { SealtreeError } from '../errors.ts';
import type { MountCalls } from '../mount/calls.ts';
import type { System } from '../system.ts';
import type { KernelFacts, KernelFeature } from './kernel.ts';

type ProbeCalls = Pick<MountCalls, 'openFileSystem' | 'configureFileSystem' | 'openDevice' | 'close'>;

const RELEASE = byteString('/proc/sys/kernel/osrelease');
const FILE_SYSTEMS = byteString('/proc/filesystems');
const LOOP_CONTROL = byteString('/dev/loop-control');
const VERITY_FOLDERS = ['ext4', 'f2fs', 'btrfs'].map((name) => byteString(`/sys/fs/${name}/features`));
const FILE_LIMIT = 64 * 1024;

/**
 * Probes the running kernel. Each feature is probed when it is first asked for: to ask for a file system may load its
 * module, which is no loss only if it is about to be mounted.
 *
 * @throws SealtreeError `missing` if there is no /proc
 */
export function probeKernel(system: System, calls: ProbeCalls): KernelFacts {
  const release = system.readFile(RELEASE, FILE_LIMIT);
  if (release === undefined)
    throw new SealtreeError('missing', `${RELEASE}: No such file or directory`, { path: RELEASE });
  const probes: Partial<Record<KernelFeature, () => boolean | undefined>> = {
    erofs: () => hasFileSystem('erofs', system, calls),
    overlay: () => hasFileSystem('overlay', system, calls),
    'fs-verity': () => hasVerity(system),
    'data-only layers': () => readsOptions(calls, () => true),
    'overlay verity': () => readsOptions(calls, (takes) => takes('verity', 'require')),
    loop: () => hasLoopDevices(calls),
  };
  const features: Partial<Record<KernelFeature, boolean>> = {};
  for (const [feature, probe] of Object.entries(probes)) {
    let known: { readonly answer: boolean | undefined } | undefined;
    const get = () => {
      known ??= { answer: probe() };
      return known.answer;
    };
    Object.defineProperty(features, feature, { get, enumerable: true });
  }
  return { release: byteString(byteStringFrom(release).replace(/\n$/, '')), features };
}

function hasFileSystem(name: string, system: System, calls: ProbeCalls): boolean | undefined {
  const table = system.readFile(FILE_SYSTEMS, FILE_LIMIT);
  const known = table === undefined ? [] : byteStringFrom(table).split('\n');
  if (known.some((line) => line.split('\t')[1] === name)) return true;
  try {
    calls.close(calls.openFileSystem(byteString(name)));
    return true;
  } catch (error) {
    // Without this call (before Linux 5.2) mount(2) may still load a module.
    return failedWith(error, 'ENODEV') ? false : undefined;
  }
}

/**
 * What overlayfs says of its options, where it reads them one by one; a kernel that takes any option whatever reads
 * them when it mounts.
 */
function readsOptions(
  calls: ProbeCalls,
  ask: (takes: (key: string, value: string) => boolean) => boolean,
): boolean | undefined {
  let context: number;
  try {
    context = calls.openFileSystem(byteString('overlay'));
  } catch {
    return undefined;
  }
  const takes = (key: string, value: string) => {
    try {
      calls.configureFileSystem(context, byteString(key), byteString(value));
      return true;
    } catch {
      return false;
    }
  };
  try {
    return takes('unsupported', 'unsupported') ? undefined : ask(takes);
  } finally {
    calls.close(context);
  }
}

/** By the file systems that are there: whether the kernel was built with fs-verity is the same for all of them. */
function hasVerity(system: System): boolean | undefined {
  const there = VERITY_FOLDERS.filter((folder) => system.kindOf(folder) === 'directory');
  if (there.length === 0) return undefined;
  return there.some((folder) => system.kindOf(byteString(`${folder}/verity`)) !== undefined);
}

function hasLoopDevices(calls: ProbeCalls): boolean | undefined {
  try {
    calls.close(calls.openDevice(LOOP_CONTROL, true));
    return true;
  } catch (error) {
    return failedWith(error, 'ENOENT', 'ENODEV', 'ENXIO') ? false : undefined;
  }
}
