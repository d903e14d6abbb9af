/**
 * Verbs and options of the real tools that are not built: refused with one line, listed in docs/compatibility.md.
 * The tests hold this list against the real tools' --help.
 * @module
 */

const TAR = 'no tar archives yet';
const SELINUX = 'labels are taken from the tree, no policy is read';
const DELTAS = 'static deltas are neither made nor applied';
const GPG = 'signatures are Ed25519 only';

/** Verbs by tool, each with the reason. */
export const REFUSED_VERBS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ostree: {
    admin: 'deployments are not managed yet',
    checksum:
      'no use of it is known besides debugging; `fsverity digest` and `ls -C` tell what an image needs',
    'create-usb': 'no transport between machines yet',
    export: `${TAR}; \`checkout\` writes a tree`,
    'find-remotes': 'no transport between machines yet',
    'gpg-sign': GPG,
    prune: 'nothing is deleted from a repository yet',
    pull: 'no transport between machines yet; `pull-local` copies between repositories',
    remote: 'no transport between machines yet',
    reset: '`refs --delete` and `refs --create` do the same',
    'static-delta': 'no static deltas yet',
    summary: 'no transport between machines yet',
  },
  fsverity: {
    dump_metadata: 'needs a kernel file system with fs-verity; nothing of sealtree reads it',
    sign: "the kernel's built-in PKCS #7 signatures are not used by composefs; `sign` is for commits",
  },
};

/** Options by tool and verb as they are called, each with the reason; written as help texts do: `-e, --editor`. */
export const REFUSED_OPTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'ostree checkout': {
    '--selinux-policy': SELINUX,
    '--selinux-prefix': SELINUX,
  },
  'ostree commit': {
    '-e, --editor': 'no editor is started; `--subject` and `--body-file` take the message',
    '--selinux-policy': SELINUX,
    '-P, --selinux-policy-from-base': SELINUX,
    '--selinux-labeling-epoch': SELINUX,
    '--tar-autocreate-parents': TAR,
    '--tar-pathname-filter': TAR,
    '--tree=tar=TARFILE': TAR,
    '--gpg-sign': GPG,
    '--gpg-homedir': GPG,
  },
  'ostree pull-local': {
    '--gpg-verify': GPG,
    '--gpg-verify-summary': GPG,
    '--require-static-deltas': DELTAS,
  },
  'ostree show': {
    '--gpg-homedir': GPG,
    '--gpg-verify-remote': GPG,
  },
};

/** Whether a tool has a verb that is not built. */
export function isRefusedVerb(tool: string, name: string): boolean {
  return Object.hasOwn(REFUSED_VERBS[tool] ?? {}, name);
}

/** Whether a verb of a tool has an option that is not built: `ostree commit`, `--gpg-sign`. */
export function isRefusedOption(called: string, option: string): boolean {
  return Object.keys(REFUSED_OPTIONS[called] ?? {}).some((names) => names.split(', ').includes(option));
}

/** The line that refuses a verb or an option; `what` is named as it is called, `ostree static-delta`. */
export function refusal(what: string): string {
  return `${what} is not part of sealtree; see docs/compatibility.md`;
}
