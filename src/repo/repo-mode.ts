/** How a repository stores its objects: `core.mode`, ostree-repo-config(5). @module */
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';

export type RepoMode = 'bare' | 'bare-user' | 'bare-user-only' | 'archive' | 'bare-split-xattrs';

/** The values of `core.mode`; `archive` is only ever read, `archive-z2` is what gets written. */
const MODES: Readonly<Record<string, RepoMode>> = {
  bare: 'bare',
  'bare-user': 'bare-user',
  'bare-user-only': 'bare-user-only',
  archive: 'archive',
  'archive-z2': 'archive',
  'bare-split-xattrs': 'bare-split-xattrs',
};

/** @throws SealtreeError `malformed` in ostree's words for anything that is no mode */
export function parseRepoMode(text: ByteString): RepoMode {
  if (Object.hasOwn(MODES, text)) return MODES[text] as RepoMode;
  throw new SealtreeError(
    'malformed',
    `Invalid mode '${displayByteString(text)}' in repository configuration`,
  );
}

/** The mode as a repository's `config` file spells it. */
export function formatRepoMode(mode: RepoMode): ByteString {
  return (mode === 'archive' ? 'archive-z2' : mode) as ByteString;
}
