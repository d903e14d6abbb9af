/**
 * The paths by which state that no signature covers can run code in a booted system, for the boot line: whoever
 * writes to the disk while it is off can leave something there.
 * @module
 */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import { compareModes } from '../conf/prepare-root.ts';
import type { System } from '../system.ts';
import type { BootPolicy } from './boot-policy.ts';
import type { BootTarget } from './boot-target.ts';

export interface UnsignedPath {
  /** In the booted system. */
  readonly path: ByteString;
  readonly why: string;
  /** Whether something stands there now. */
  readonly present: boolean;
}

/** In the booted system, below the stateroot's var, and why it runs code. */
const STATE: readonly (readonly [path: string, inVar: string, why: string])[] = [
  ['/var/lib/extensions', 'lib/extensions', 'system extensions are mounted over /usr'],
  ['/var/lib/confexts', 'lib/confexts', 'configuration extensions are mounted over /etc'],
  ['/var/lib/portables', 'lib/portables', 'portable services'],
  ['/var/spool/cron', 'spool/cron', 'scheduled commands'],
  ['/usr/local', 'usrlocal', 'programs that stand first in PATH'],
  ['/opt', 'opt', 'programs'],
  ['/root', 'roothome', 'what root runs at login'],
  ['/home', 'home', 'what users run at login'],
];

/** @param composefs whether / is an image; otherwise all of it is unsigned */
export function unsignedPaths(
  system: System,
  { sysroot, stateroot, deployment }: BootTarget,
  { config, mode, signed }: Pick<BootPolicy, 'config' | 'mode' | 'signed'>,
  composefs: boolean,
): UnsignedPath[] {
  const out: UnsignedPath[] = [];
  const add = (path: string, why: string, present: boolean) =>
    out.push({ path: byteString(path), why, present });
  if (!composefs || (compareModes(mode, 'signed') < 0 && !signed))
    add('/', composefs ? 'the image is not checked' : 'the directory is booted as it is', true);
  if (!config.etcTransient)
    add('/etc', 'persistent: units, fstab, and all else that configures programs', true);
  const exists = (path: string) => system.kindOf(byteString(sysroot + path)) !== undefined;
  if (!signed && exists(`${deployment}/.usr-ovl-work`)) add('/usr', 'unlocked with a hotfix', true);
  for (const [path, inVar, why] of STATE)
    add(path, why, stateroot !== undefined && exists(`/ostree/deploy/${stateroot}/var/${inVar}`));
  return out;
}
