/**
 * A mount plan from its first step to its end: carried out, looked at, and taken away again if anything is not as it
 * should be.
 * @module
 */
import {
  type ByteString,
  byteString,
  byteStringFrom,
  displayByteString,
} from '../src/core/bytes/byte-string.ts';
import { failedWith, systemCallError, worded } from '../src/core/errno.ts';
import { MNT_DETACH } from '../src/core/mount/calls.ts';
import { faultError } from '../src/core/verify/fault.ts';
import type { KernelFacts } from '../src/core/verify/kernel.ts';
import { checkMounted, plannedMounts } from '../src/core/verify/mounted.ts';
import type { MountPlan, MountStep } from '../src/core/verify/plan.ts';
import { carryOut } from './carry-out.ts';
import { bootSystem, bootMountCalls as calls, removeFile } from './system.ts';

type Warn = (message: string) => void;

const MOUNT_TABLE = byteString('/proc/self/mountinfo');
const MOUNT_TABLE_LIMIT = 16 * 1024 * 1024;

/** Mounts that somebody else has put over one of ours. */
const MAX_OVER = 16;

/**
 * Mounts what a plan says. Success is what the kernel's own table of mounts shows; after a failure nothing that the
 * plan has mounted is left, so that nothing boots it.
 *
 * @param kernel the one that carries it out
 * @param warn told of what went wrong and does not matter, or cannot be helped
 * @throws SealtreeError `io`, `mismatch` or `malformed`
 */
export function mountPlan(plan: MountPlan, kernel: KernelFacts, warn: Warn): void {
  const before = readMounts();
  const done: MountStep[] = [];
  try {
    carryOut(plan, kernel, warn, done);
    const [fault] = checkMounted(plan, before, readMounts());
    if (fault !== undefined) throw faultError(fault);
  } catch (error) {
    takeAway(plan, done, warn);
    throw error;
  }
}

function readMounts(): ByteString {
  const table = bootSystem.readFile(MOUNT_TABLE, MOUNT_TABLE_LIMIT);
  if (table === undefined) throw systemCallError(`opening ${MOUNT_TABLE}`, 'ENOENT');
  return byteStringFrom(table);
}

function takeAway({ steps }: MountPlan, done: readonly MountStep[], warn: Warn): void {
  const mounts = plannedMounts({ steps: done });
  for (const { path, over } of mounts.reverse()) unmount(path, over ? 1 : MAX_OVER, warn);
  if (mounts.length === 0) return;
  // Also one that an earlier soft reboot has left, whose root is gone now.
  for (const step of steps) {
    if (step.step === 'write dictionary')
      attempt(`removing ${displayByteString(step.path)}`, warn, () => removeFile(step.path));
  }
}

/** @param most mounts at that place that are to go */
function unmount(path: ByteString, most: number, warn: Warn): void {
  const what = `unmounting ${displayByteString(path)}`;
  for (let count = 0; count < most; count++)
    if (!attempt(what, warn, () => calls.umount(path, MNT_DETACH))) return;
}

function attempt(what: string, warn: Warn, action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    // Nothing is there any more: it went with what it was in.
    if (!failedWith(error, 'EINVAL', 'ENOENT')) warn(worded(what, error).message);
    return false;
  }
}
