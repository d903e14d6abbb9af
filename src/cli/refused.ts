/**
 * Verbs and options of the real tools that are not built: refused with one line, listed in docs/compatibility.md.
 * The tests hold this list against the real tools' --help.
 * @module
 */

const STAGED = 'a deployment is complete when `admin deploy` ends, nothing is left for the shutdown';
const REMOTES = 'no transport between machines yet; `pull-local` and `admin deploy` take a new commit';
const TAR = 'no tar archives yet';
const SELINUX = 'labels are taken from the tree, no policy is read';
const DELTAS = 'static deltas are neither made nor applied';
const GPG = 'signatures are Ed25519 only';

/** Verbs by tool, each with the reason. */
export const REFUSED_VERBS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ostree: {
    'admin boot-complete': STAGED,
    'admin config-diff': '`diff` compares /usr/etc with /etc',
    'admin finalize-staged': STAGED,
    'admin impl-prepare-soft-reboot': 'soft reboots are prepared by ostree',
    'admin instutil': 'for installers of long ago; `admin kargs` and `commit` do what is left of it',
    'admin lock-finalization': STAGED,
    'admin post-copy': '`admin deploy` turns fs-verity on; `fsverity enable` does for single files',
    'admin prepare-soft-reboot': 'soft reboots are prepared by ostree',
    'admin set-origin': REMOTES,
    'admin state-overlay': 'no overlays below /var',
    'admin switch': REMOTES,
    'admin unlock': 'a deployment that can be changed is not the one that was signed',
    'admin upgrade': REMOTES,
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
  'ostree admin deploy': {
    '--stage': STAGED,
    '--lock-finalization': STAGED,
  },
  'ostree admin status': {
    '-V, --verify': 'no keys of remotes; `sign --verify` and `verify` check a commit',
  },
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
