/**
 * Verbs and options of the real tools that are not built: refused with one line, listed in docs/compatibility.md.
 * The tests hold this list against the real tools' --help.
 * @module
 */

/** Verbs of ostree and fsverity, by the words after the tool's name. */
export const REFUSED_VERBS: Readonly<Record<string, readonly string[]>> = {
  ostree: [
    'admin',
    'checksum',
    'create-usb',
    'export',
    'find-remotes',
    'gpg-sign',
    'prune',
    'pull',
    'remote',
    'reset',
    'static-delta',
    'summary',
  ],
  fsverity: ['dump_metadata', 'sign'],
};

/** Options, by tool and verb as they are called. */
export const REFUSED_OPTIONS: Readonly<Record<string, readonly string[]>> = {};

/** The line that refuses a verb or an option; `what` is named as it is called, `ostree static-delta`. */
export function refusal(what: string): string {
  return `${what} is not part of sealtree; see docs/compatibility.md`;
}
