/**
 * Makes a new repository: the folders and the `config` file that `ostree init` makes.
 * ostree-repo(1) and ostree-repo-config(5) describe the layout.
 * @module
 */
import { mkdirSync, statSync } from 'node:fs';
import { type ByteString, byteString, bytesOf, displayByteString } from '../core/bytes/byte-string.ts';
import { prefixed } from '../core/errors.ts';
import { validateCollectionId } from '../core/ostree/refs.ts';
import { writeFileAtomically } from '../node/atomic-file.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { checkUserXattrs } from './object-store.ts';
import { formatRepoMode, type RepoMode } from './repo-mode.ts';

/** In the order they are made; `objects` is last, for its existence means that the repository is complete. */
const FOLDERS = [
  'tmp',
  'extensions',
  'state',
  'refs',
  'refs/heads',
  'refs/mirrors',
  'refs/remotes',
  'objects',
  'tmp/cache',
];

/** Permissions of new folders before the umask. */
export const FOLDER_MODE = 0o775;

export interface InitOptions {
  readonly mode: RepoMode;
  /** Reverse domain name that makes the refs of this repository globally unique. */
  readonly collectionId?: ByteString | undefined;
}

/**
 * Makes a repository at `path`, whose parent has to exist. Does nothing where one is already.
 *
 * @throws SealtreeError `malformed` for a bad collection id; `io` in ostree's words if something cannot be made;
 *   `unsupported` if the mode is bare-user and the file system has no user xattrs
 */
export function initRepository(path: ByteString, { mode, collectionId }: InitOptions): void {
  if (collectionId !== undefined) validateCollectionId(collectionId);
  try {
    createFolders(path, mode, collectionId);
  } catch (error) {
    throw prefixed('Creating repo', error);
  }
}

function createFolders(path: ByteString, mode: RepoMode, collectionId: ByteString | undefined): void {
  if (exists(byteString(`${path}/objects`))) return;
  makeFolder(path);
  const config = byteString(`${path}/config`);
  if (!exists(config)) {
    const collection = collectionId === undefined ? '' : `collection-id=${collectionId}\n`;
    const text = `[core]\nrepo_version=1\nmode=${formatRepoMode(mode)}\n${collection}`;
    writeFileAtomically(config, bytesOf(byteString(text)), { mode: 0o644, sync: true });
  }
  if (mode === 'bare-user') checkUserXattrs(path);
  for (const folder of FOLDERS) makeFolder(byteString(`${path}/${folder}`));
}

function exists(path: ByteString): boolean {
  try {
    return statSync(fsPath(path), { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throw ioError(`fstatat(${displayByteString(path)})`, error);
  }
}

function makeFolder(path: ByteString): void {
  try {
    mkdirSync(fsPath(path), FOLDER_MODE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw ioError('mkdirat', error);
  }
}
