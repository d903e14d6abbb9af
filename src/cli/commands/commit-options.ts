/** The options of `sealtree commit`: ostree-commit(1), and sealtree's own for keys and the composefs digest. @module */
import type { OptionSpec } from '../verb.ts';

export const COMMIT_OPTIONS: readonly OptionSpec[] = [
  { flags: '-b, --branch <branch>', description: 'branch that the commit goes on', kind: 'text' },
  { flags: '--orphan', description: 'commit without a branch' },
  { flags: '--parent <commit>', description: 'checksum of the parent, or "none"', kind: 'text' },
  { flags: '-s, --subject <subject>', description: 'one line about the commit', kind: 'text' },
  { flags: '-m, --body <body>', description: 'more about the commit', kind: 'text' },
  { flags: '-F, --body-file <file>', description: 'take the body from a file' },
  {
    flags: '--timestamp <timestamp>',
    description: '@SECONDS or a date (RFC 3339); by default SOURCE_DATE_EPOCH, else now',
    kind: 'text',
  },
  {
    flags: '--tree <dir=PATH or ref=COMMIT>',
    description: 'lay this over what the trees before it gave; may be repeated',
    kind: 'text',
  },
  {
    flags: '--base <rev>',
    description: 'begin with the tree of a commit, which nothing modifies',
    kind: 'text',
  },
  { flags: '--owner-uid <uid>', description: 'user that all files belong to', kind: 'int' },
  { flags: '--owner-gid <gid>', description: 'group that all files belong to', kind: 'int' },
  {
    flags: '--canonical-permissions',
    description: 'owner and group 0, modes within 0755, no extended attributes',
  },
  { flags: '--mode-ro-executables', description: 'take the write bits from executable files' },
  { flags: '--no-xattrs', description: 'leave extended attributes behind' },
  { flags: '--statoverride <path>', description: 'file of lines `N PATH` or `=N PATH` that change modes' },
  { flags: '--skip-list <path>', description: 'file of paths that are left out' },
  { flags: '--consume', description: 'remove the directories that were committed' },
  {
    flags: '--link-checkout-speedup',
    description: 'recognise files that are hard links to objects of the repository',
  },
  {
    flags: '-I, --devino-canonical',
    description: 'take such links for unchanged without a look; implies --link-checkout-speedup',
  },
  {
    flags: '--add-metadata-string <KEY=VALUE>',
    description: 'add a string to the metadata of the commit',
    kind: 'text',
  },
  {
    flags: '--add-metadata <KEY=VALUE>',
    description: "add a value in GVariant's text format to the metadata of the commit",
    kind: 'text',
  },
  { flags: '--keep-metadata <key>', description: "take an entry from the parent's metadata", kind: 'text' },
  {
    flags: '--add-detached-metadata-string <KEY=VALUE>',
    description: 'add a string to the metadata beside the commit',
    kind: 'text',
  },
  { flags: '--no-bindings', description: 'do not write the branch into the commit' },
  { flags: '--bind-ref <branch>', description: 'write this branch into the commit, too', kind: 'text' },
  { flags: '--bootable', description: 'say in the metadata which kernel the tree boots' },
  {
    flags: '--generate-sizes',
    description: 'write the sizes of all objects into the metadata (archive only)',
  },
  {
    flags: '--generate-composefs-metadata',
    description: "write the digest of the tree's composefs image into the metadata",
  },
  {
    flags: '--composefs-key <both|digest.v0>',
    description: 'keys of that digest: both, or only the one of released ostree',
    ownOnly: true,
  },
  {
    flags: '--sign [secret]',
    description: `sign with a secret key; without one as --sign-transient=initramfs-root-binding.key`,
  },
  { flags: '--sign-from-file <path>', description: 'sign with the key in the first line of a file' },
  {
    flags: '--sign-fd <n>',
    description: 'sign with the key in the first line of an inherited file descriptor',
    ownOnly: true,
  },
  {
    flags: '--sign-transient <file>',
    description: 'sign with a new key, write its public half to a file and forget the secret one',
    ownOnly: true,
  },
  { flags: '--sign-type <name>', description: 'kind of signature; ed25519 is the only one', kind: 'text' },
  { flags: '--skip-if-unchanged', description: 'make no commit of a tree that the parent has already' },
  {
    flags: '--no-cache',
    description: 'read all files, also those that were committed before and have not changed since',
    ownOnly: true,
  },
  { flags: '--table-output', description: 'tell the checksum and what was written, a line each' },
  {
    flags: '--fsync <policy>',
    description: 'With false, do not wait until all is on the disk',
    kind: 'text',
  },
  { flags: '--disable-fsync', description: 'the same as --fsync=false' },
];
