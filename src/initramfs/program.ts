/** Which program it is that stands in an initramfs as ostree-prepare-root. @module */
import { byteStringFrom } from '../core/bytes/byte-string.ts';

export interface Program {
  /** `ostree`: the original. `other`: an executable that is neither. */
  readonly kind: 'sealtree' | 'ostree' | 'other';
  /** The original does not say. */
  readonly version: string | undefined;
}

/** What `--version` prints, which stands in the executable as well. */
const OWN = /sealtree ostree-prepare-root ([0-9][0-9A-Za-z.+-]{0,40})/;
/** Its usage line, which ours has too. */
const ORIGINAL = 'ostree-prepare-root SYSROOT [KERNEL_CMDLINE]';

/** Larger than any of them; an executable beyond that is neither. */
const SIZE_LIMIT = 64 * 1024 * 1024;

/** Recognises a program by what stands in it. @returns undefined if it is no executable */
export function identifyProgram(data: Uint8Array): Program | undefined {
  if (!isExecutable(data)) return undefined;
  if (data.length > SIZE_LIMIT) return { kind: 'other', version: undefined };
  const text = byteStringFrom(data);
  const own = OWN.exec(text);
  if (own !== null) return { kind: 'sealtree', version: own[1] };
  return { kind: text.includes(ORIGINAL) ? 'ostree' : 'other', version: undefined };
}

function isExecutable(data: Uint8Array): boolean {
  return [0x7f, 0x45, 0x4c, 0x46].every((byte, i) => data[i] === byte);
}
