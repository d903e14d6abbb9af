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
    throw malformed(
      `Failed to determine ostree target: androidboot.slot_suffix invalid: ${displayByteString(slot)}`,
    );
  if (slot !== undefined || wordsOf(cmdline).some((word) => word.startsWith('androidboot.')))
    return byteString('/ostree/root.a');
  return kernelArgument(cmdline, 'ostree');
}

/** What stands there, whatever separates it: the kernel ends an argument at any white space. */
export function argumentsOf(cmdline: ByteString): ByteString[] {
  return cmdline
    .split(/[\t\n\v\f\r \xa0]+/)
    .filter((word) => word !== '')
    .map((word) => byteString(word));
}

/**
 * The first argument that a list does not allow, undefined if it allows all. An entry allows the word that it is,
 * and with a `*` at its end every word that begins so (`root=*`). Nothing allows a word with a quotation mark,
 * control character or byte beyond ASCII in it: kernel and systemd would not agree where it ends.
 */
export function firstForbidden(
  words: readonly ByteString[],
  allowed: readonly ByteString[],
): ByteString | undefined {
  return words.find((word) => {
    if (!/^[!#-~]+$/.test(word)) return true;
    return !allowed.some((entry) =>
      entry.endsWith('*') ? word.startsWith(entry.slice(0, -1)) : word === entry,
    );
  });
}

/**
 * The first argument that is known to lead around a verified root: another init or target, a shell or a debugger, units
 * masked, mounts or extensions added, helpers that the kernel starts, another policy for security modules.
 */
export function firstWeakening(words: readonly ByteString[]): ByteString | undefined {
  // Quotation marks are taken away, and _ is the same as -, before systemd and the kernel compare names.
  return words.find((word) => WEAKENING.test(word.replace(/["']/g, '').replace(/_/g, '-')));
}

/** Spelt with - for _; only the last pattern is not from the manuals of kernel, systemd and dracut: the environment. */
const WEAKENING = new RegExp(
  `^(?:${[
    '(?:rd)?init=|single$|emergency$|rescue$|[sS1]$|-b$|break(?:=|$)',
    'rd[.](?:break|cmdline|fstab|shell(?!=0)|(?:live[.])?overlay)|debug-shell',
    '(?:rd[.])?systemd[.](?:mask|wants|unit|run|debug-shell|default-debug|break|setenv|set-credential|import-credentials)',
    '(?:rd[.])?systemd[.](?:confirm-spawn|crash-shell|condition-first-boot)(?!=(?:0|no|false|off)$)',
    '(?:rd[.])?systemd[.]pull',
    '(?:rd[.])?systemd[.](?:volatile|mount-extra|swap-extra|verity|(?:sysext|confext)(?!=(?:0|no|false|off)$))',
    'fstab=|mount[.]usr|usrhash=|roothash=',
    'enforcing=0|selinux=0|apparmor=0|security=|lsm=|lockdown=none|module[.]sig-enforce=0',
    'overlay[.]|erofs[.]|sysctl[./]|firmware-class[.]path',
    'e?kgdb|ohci1394-dma',
    '(?:LD|GLIBC|GCONV|SYSTEMD)-|(?:PATH|ENV|BASH-ENV)=',
  ].join('|')})`,
);

function wordsOf(cmdline: ByteString): string[] {
  return cmdline.split(' ');
}
