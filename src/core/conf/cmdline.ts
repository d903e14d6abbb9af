/**
 * Kernel arguments as ostree-prepare-root reads them: words between spaces, without quoting, the first one counts.
 * Source: ostree-prepare-root(1); androidboot: "Support for Android Verified Boot" of ostree's manual.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';

/** The value of the first `KEY=VALUE`; undefined if there is none, also for a `KEY` without a value. */
export function kernelArgument(cmdline: ByteString, key: string): ByteString | undefined {
  const word = wordsOf(cmdline).find((candidate) => candidate.startsWith(`${key}=`));
  return word === undefined ? undefined : byteString(word.slice(key.length + 1));
}

/**
 * The link to the deployment that is to be booted: `ostree=`, or one of two fixed names where the Android boot
 * loader chose a slot.
 *
 * @returns undefined if no argument names one
 * @throws SealtreeError `malformed` for a slot other than `_a` and `_b`
 */
export function ostreeTarget(cmdline: ByteString): ByteString | undefined {
  const slot = kernelArgument(cmdline, 'androidboot.slot_suffix');
  if (slot === '_b') return byteString('/ostree/root.b');
  if (slot !== undefined && slot !== '_a')
    throw malformed(`androidboot.slot_suffix invalid: ${displayByteString(slot)}`);
  if (slot !== undefined || wordsOf(cmdline).some((word) => word.startsWith('androidboot.')))
    return byteString('/ostree/root.a');
  return kernelArgument(cmdline, 'ostree');
}

function wordsOf(cmdline: ByteString): string[] {
  return cmdline.split(' ');
}
