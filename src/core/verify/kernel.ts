/**
 * What a mode demands of the kernel, and since which version Linux has it: data-only layers of overlayfs 6.5,
 * `verity=require` 6.6, EROFS from a file without a loop device 6.12.
 * Sources: Documentation/filesystems/overlayfs.rst and erofs.rst, and mounts tried on 6.1 and 6.12.
 * @module
 */
import { type ByteString, displayByteString } from '../bytes/byte-string.ts';
import type { Fault } from './fault.ts';

export type KernelFeature =
  /** File systems that are registered, or whose module can be loaded. */
  | 'erofs'
  | 'overlay'
  /** CONFIG_FS_VERITY. */
  | 'fs-verity'
  /** lowerdir=L::D. */
  | 'data-only layers'
  /** verity=require. */
  | 'overlay verity'
  /** EROFS mounts a regular file. */
  | 'file-backed erofs'
  /** Loop devices, which stand in for it. */
  | 'loop';

export interface KernelFacts {
  /** `uname -r`. */
  readonly release: ByteString;
  /** What was probed; what is not in it is judged by the release. */
  readonly features: Readonly<Partial<Record<KernelFeature, boolean>>>;
}

interface Need {
  readonly since: readonly [major: number, minor: number];
  readonly option: string;
  readonly what: string;
}

const NEEDS: Readonly<Record<KernelFeature, Need>> = {
  erofs: { since: [5, 4], option: 'CONFIG_EROFS_FS', what: 'the image is an EROFS file system' },
  overlay: { since: [3, 18], option: 'CONFIG_OVERLAY_FS', what: 'composefs is an overlay' },
  'fs-verity': {
    since: [5, 4],
    option: 'CONFIG_FS_VERITY',
    what: 'the image and its files are checked by fs-verity',
  },
  'data-only layers': { since: [6, 5], option: 'CONFIG_OVERLAY_FS', what: 'verity needs data-only layers' },
  'overlay verity': {
    since: [6, 6],
    option: 'CONFIG_OVERLAY_FS',
    what: 'the overlay must demand verity=require',
  },
  'file-backed erofs': {
    since: [6, 12],
    option: 'CONFIG_EROFS_FS_BACKED_BY_FILE',
    what: 'without loop devices the image is mounted from its file',
  },
  loop: { since: [2, 4], option: 'CONFIG_BLK_DEV_LOOP', what: 'the image is mounted through a loop device' },
};

/** What is planned besides an image and an overlay. */
export interface KernelDemands {
  /** `verity=require`. */
  readonly verity: boolean;
  /** The image's own digest is measured. */
  readonly signed: boolean;
}

/** What the kernel lacks of what is planned; undefined if it has all. */
export function kernelFault(demands: KernelDemands, facts: KernelFacts): Fault | undefined {
  const needed: KernelFeature[] = ['erofs', 'overlay'];
  if (demands.verity) needed.push('overlay verity', 'data-only layers');
  if (demands.signed) needed.push('fs-verity');
  // An image is mounted through a loop device wherever it cannot be mounted from its file.
  if (!has('file-backed erofs', facts)) needed.push('loop');
  const missing = needed.find((feature) => !has(feature, facts));
  if (missing === undefined) return undefined;
  return missing === 'loop' ? faultOf('file-backed erofs', facts) : faultOf(missing, facts);
}

function has(feature: KernelFeature, { release, features }: KernelFacts): boolean {
  return features[feature] ?? isSince(release, NEEDS[feature].since);
}

function faultOf(feature: KernelFeature, { release }: KernelFacts): Fault {
  const { since, option, what } = NEEDS[feature];
  const version = since.join('.');
  const found = displayByteString(release);
  const old = !isSince(release, since);
  const lacks = old ? `is too old: ${what}, which Linux has since ${version}` : `lacks ${option}: ${what}`;
  return {
    name: 'kernel',
    message: `kernel ${found} ${lacks}`,
    expected: old ? `Linux ${version} with ${option}` : option,
    found,
  };
}

/** A release that does not begin with a version is taken for a new one: what is missing then fails when it is used. */
function isSince(release: ByteString, [major, minor]: readonly [number, number]): boolean {
  const match = /^(\d{1,5})\.(\d{1,5})/.exec(release);
  if (match === null) return true;
  const [found, below] = [Number(match[1]), Number(match[2])];
  return found > major || (found === major && below >= minor);
}
