/**
 * Names of commits: refs of a repository and how a revision given by a user becomes a checksum.
 * Rules: ostree(1) and libostree's "Anatomy of an OSTree repository"; refs are files below `refs/heads`,
 * `refs/remotes/<remote>` and `refs/mirrors/<collection>`.
 * @module
 */
import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  statSync,
} from 'node:fs';
import {
  type ByteString,
  byteString,
  byteStringFrom,
  compareByteStrings,
  decodeUtf8,
  displayByteString,
} from '../core/bytes/byte-string.ts';
import { isChecksum } from '../core/bytes/hex.ts';
import { malformed, prefixed, SealtreeError } from '../core/errors.ts';
import { validateChecksum } from '../core/ostree/objects.ts';
import {
  formatRefspec,
  isRefSegment,
  parseRefspec,
  type Refspec,
  validateCollectionId,
} from '../core/ostree/refs.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import type { Repo } from './repo.ts';

/** Bytes of a ref file that are read; a checksum and a line end are 65. */
const REF_LIMIT = 64 * 1024;

/**
 * The commit that a revision stands for: a checksum, the unique beginning of one of a commit that is here, a ref or
 * `remote:ref`, or any of them followed by `^` for its parent. A ref that is not local is looked for in all remotes.
 *
 * @returns the checksum; whether there is such a commit is not checked
 * @throws SealtreeError `missing` (`Refspec 'X' not found`), `malformed` (`Invalid refspec X`)
 */
export function resolveRev(repo: Repo, rev: ByteString): string {
  const found = findRev(repo, rev);
  if (found === undefined) throw notFound(parseRefspec(rev));
  return found;
}

/**
 * As {@link resolveRev}, but undefined where there is no such ref.
 *
 * @param localOnly whether a ref without remote is looked for only among the local ones
 */
export function findRev(repo: Repo, rev: ByteString, { localOnly = false } = {}): string | undefined {
  // Each `^` is a step to a parent, taken from the innermost revision outwards: no recursion on their number.
  let base = rev;
  let steps = 0;
  let found = checksumOrPartial(repo, base);
  while (found === undefined && base.endsWith('^')) {
    base = byteString(base.slice(0, -1));
    steps++;
    found = checksumOrPartial(repo, base);
  }
  if (found === undefined) {
    const { remote, ref } = parseRefspec(base);
    found = findRef(repo, remote, ref, steps === 0 && localOnly);
    if (found === undefined && steps > 0) throw notFound({ remote, ref });
  }
  for (; steps > 0; steps--) {
    const checksum = found as string;
    found = repo.commit(checksum).parent;
    if (found === undefined)
      throw new SealtreeError('missing', `Commit ${checksum} has no parent`, { checksum });
  }
  return found;
}

/** The commit of one ref, here or in a parent repository; undefined if there is no such ref. */
export function findRef(
  repo: Repo,
  remote: ByteString | undefined,
  ref: ByteString,
  localOnly = false,
): string | undefined {
  if (isChecksum(ref)) return ref;
  const text = readFirst(repo, candidates(repo, remote, ref, localOnly), ref);
  if (text === undefined) return repo.parent && findRef(repo.parent, remote, ref, localOnly);
  validateChecksum(text);
  return text;
}

export interface ListOptions {
  /** Only refs below it, or this one: `branch`, `remote:branch`, `remote:`. */
  readonly prefix?: ByteString | undefined;
  /** Whether names keep the prefix. */
  readonly keepPrefix?: boolean;
  /** Only aliases (refs that are symlinks), each to the ref it stands for. */
  readonly aliases?: boolean;
}

/**
 * Refs by name, sorted by bytes; those of remotes as `remote:ref`. What they hold is not checked to be a checksum.
 *
 * @throws SealtreeError with ostree's words, beginning `Listing refs: `
 */
export function listRefs(repo: Repo, options: ListOptions = {}): Map<ByteString, ByteString> {
  try {
    const refs = new Map<ByteString, ByteString>();
    if (options.prefix === undefined) listAll(repo, options, refs);
    else listBelow(repo, options.prefix, options, refs);
    return new Map([...refs].sort(([a], [b]) => compareByteStrings(a, b)));
  } catch (error) {
    throw prefixed('Listing refs', error);
  }
}

export interface CollectionRef {
  readonly collection: ByteString;
  readonly ref: ByteString;
  readonly checksum: ByteString;
}

/**
 * Refs that belong to collections: local ones if the repository has a collection id, mirrored ones, and those of
 * remotes that are configured with one. Sorted by collection, then ref.
 *
 * @param only this collection alone
 */
export function listCollectionRefs(repo: Repo, only?: ByteString, { remotes = true } = {}): CollectionRef[] {
  try {
    if (only !== undefined) validateCollectionId(only);
    const found = new Map<string, CollectionRef>();
    const add = (collection: ByteString | undefined, folder: string) => {
      if (collection === undefined || (only !== undefined && collection !== only)) return;
      const refs = new Map<ByteString, ByteString>();
      enumerate(repo, { folder, below: '', keep: '', aliases: false }, refs);
      for (const [ref, checksum] of refs) found.set(`${collection}\0${ref}`, { collection, ref, checksum });
    };
    add(repo.config.get('core', 'collection-id'), 'refs/heads');
    for (const name of directoriesIn(repo, 'refs/mirrors', true)) add(name, `refs/mirrors/${name}`);
    for (const name of remotes ? directoriesIn(repo, 'refs/remotes', true) : []) {
      add(collectionOfRemote(repo, name), `refs/remotes/${name}`);
    }
    return [...found.values()].sort(
      (a, b) => compareByteStrings(a.collection, b.collection) || compareByteStrings(a.ref, b.ref),
    );
  } catch (error) {
    throw prefixed('Listing refs', error);
  }
}

/** The commit of a ref of a collection, here or in a parent repository. */
export function findCollectionRef(repo: Repo, collection: ByteString, ref: ByteString): string | undefined {
  const found = listCollectionRefs(repo, collection).find((entry) => entry.ref === ref);
  return found?.checksum ?? (repo.parent && findCollectionRef(repo.parent, collection, ref));
}

function notFound(refspec: Refspec): SealtreeError {
  const shown = displayByteString(formatRefspec(refspec));
  return new SealtreeError('missing', `Refspec '${shown}' not found`, { refspec: shown });
}

function checksumOrPartial(repo: Repo, rev: ByteString): string | undefined {
  if (isChecksum(rev)) return rev;
  if (!/^[0-9a-f]{0,64}$/.test(rev) || rev.endsWith('\n')) return undefined;
  const commits = repo.commits(rev);
  if (commits.length > 1) throw malformed(`Refspec ${rev} not unique`);
  return commits[0];
}

/** Files in which a ref may stand, in the order in which they are tried. */
function* candidates(
  repo: Repo,
  remote: ByteString | undefined,
  ref: ByteString,
  localOnly: boolean,
): Generator<string> {
  if (remote !== undefined) {
    yield `refs/remotes/${remote}/${ref}`;
    return;
  }
  yield `refs/heads/${ref}`;
  if (localOnly) return;
  yield `refs/remotes/${ref}`;
  for (const name of directoriesIn(repo, 'refs/remotes')) yield `refs/remotes/${name}/${ref}`;
}

function readFirst(repo: Repo, names: Iterable<string>, ref: ByteString): ByteString | undefined {
  for (const name of names) {
    const descriptor = openIfThere(repo, name);
    if (descriptor === undefined) continue;
    try {
      return readRefFile(descriptor);
    } catch (error) {
      throw prefixed(`Couldn't open ref '${displayByteString(ref)}'`, error);
    } finally {
      closeSync(descriptor);
    }
  }
  return undefined;
}

function openIfThere(repo: Repo, name: string): number | undefined {
  try {
    return openSync(fsPath(byteString(`${repo.path}/${name}`)), constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw ioError(`openat(${displayByteString(byteString(name))})`, error);
  }
}

/** The text of a ref without blanks at its end. */
function readRefFile(descriptor: number): ByteString {
  const stat = fstatSync(descriptor);
  if (stat.isDirectory()) throw new SealtreeError('io', 'Is a directory', { errno: 'EISDIR' });
  if (!stat.isFile()) throw malformed('not a regular file');
  if (stat.size > REF_LIMIT) throw malformed(`${stat.size} bytes, at most ${REF_LIMIT} are allowed`);
  const buffer = Buffer.alloc(REF_LIMIT);
  const text = byteStringFrom(buffer.subarray(0, readSync(descriptor, buffer, 0, REF_LIMIT, 0)));
  if (text.includes('\0') || decodeUtf8(text) === undefined) throw malformed('Invalid UTF-8');
  return byteString(text.replace(/[ \t\n\v\f\r]+$/, ''));
}

function listAll(repo: Repo, { aliases = false }: ListOptions, refs: Map<ByteString, ByteString>): void {
  enumerate(repo, { folder: 'refs/heads', below: '', keep: '', aliases }, refs);
  for (const remote of directoriesIn(repo, 'refs/remotes')) {
    // An alias in a remote's folder has no remote in front of its name: aliases are local.
    const keep = aliases ? '' : `${remote}:`;
    enumerate(repo, { folder: `refs/remotes/${remote}`, below: '', keep, aliases }, refs);
  }
}

function listBelow(
  repo: Repo,
  prefix: ByteString,
  { keepPrefix = false, aliases = false }: ListOptions,
  refs: Map<ByteString, ByteString>,
): void {
  const { remote, ref } = parsePrefix(prefix);
  const folder = remote === undefined ? 'refs/heads' : `refs/remotes/${remote}`;
  const label = remote === undefined || aliases ? '' : `${remote}:`;
  let isDirectory: boolean;
  try {
    const stat = statSync(fsPath(byteString(`${repo.path}/${folder}/${ref}`)), { throwIfNoEntry: false });
    if (stat === undefined) return;
    isDirectory = stat.isDirectory();
  } catch (error) {
    throw ioError(`fstatat(${displayByteString(byteString(`${folder}/${ref}`))})`, error);
  }
  if (!isDirectory) {
    refs.set(formatRefspec({ remote, ref }), readListed(repo, `${folder}/${ref}`));
  } else {
    enumerate(repo, { folder, below: `${ref}/`, keep: label + (keepPrefix ? `${ref}/` : ''), aliases }, refs);
  }
}

/** `remote:` stands for all refs of a remote, which no refspec does. */
function parsePrefix(prefix: ByteString): Refspec {
  const match = /^(.*):\.?$/s.exec(prefix);
  const remote = byteString(match?.[1] ?? '');
  return match !== null && isRefSegment(remote) ? { remote, ref: byteString('.') } : parseRefspec(prefix);
}

interface Enumeration {
  /** Below the repository: `refs/heads`. */
  readonly folder: string;
  /** Where in it to begin: empty or ending with a slash. */
  readonly below: string;
  /** What stands before the name found below there. */
  readonly keep: string;
  readonly aliases: boolean;
}

/** Adds all refs in a folder and those below it; files that cannot be part of a ref's name are passed over. */
function enumerate(
  repo: Repo,
  { folder, below, keep, aliases }: Enumeration,
  refs: Map<ByteString, ByteString>,
): void {
  const waiting = [''];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    for (const entry of entriesIn(repo, `${folder}/${below}${path}`)) {
      const name = byteString(entry.name);
      if (!isRefSegment(name)) continue;
      const file = `${folder}/${below}${path}${name}`;
      const ref = byteString(`${keep}${path}${name}`);
      if (entry.isDirectory()) waiting.push(`${path}${name}/`);
      else if (aliases) {
        if (entry.isSymbolicLink()) refs.set(ref, aliasTarget(repo, file));
      } else if (entry.isFile() || entry.isSymbolicLink()) {
        refs.set(ref, readListed(repo, file));
      }
    }
  }
}

function readListed(repo: Repo, name: string): ByteString {
  const descriptor = openIfThere(repo, name);
  if (descriptor === undefined) {
    throw new SealtreeError(
      'missing',
      `openat(${displayByteString(byteString(name))}): No such file or directory`,
    );
  }
  try {
    return readRefFile(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function aliasTarget(repo: Repo, name: string): ByteString {
  try {
    return byteString(
      readlinkSync(fsPath(byteString(`${repo.path}/${name}`)), 'latin1').replace(/^(?:\.\.\/)+/, ''),
    );
  } catch (error) {
    throw ioError(`readlinkat(${displayByteString(byteString(name))})`, error);
  }
}

function directoriesIn(repo: Repo, folder: string, maybeMissing = false): ByteString[] {
  return entriesIn(repo, folder, maybeMissing)
    .filter((entry) => entry.isDirectory())
    .map((entry) => byteString(entry.name));
}

function entriesIn(repo: Repo, folder: string, maybeMissing = false): Dirent[] {
  try {
    return readdirSync(fsPath(byteString(`${repo.path}/${folder}`)), {
      encoding: 'latin1',
      withFileTypes: true,
    });
  } catch (error) {
    if (maybeMissing && (error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw ioError(`opendir(${displayByteString(byteString(folder.replace(/\/$/, '')))})`, error);
  }
}

/** The collection that a remote is configured to be of; undefined if none or no valid one. */
function collectionOfRemote(repo: Repo, remote: ByteString): ByteString | undefined {
  const id = repo.config.get(`remote "${remote}"`, 'collection-id');
  try {
    if (id !== undefined) validateCollectionId(id);
    return id;
  } catch {
    return undefined;
  }
}
