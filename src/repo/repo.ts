/**
 * An OSTree repository opened for reading: configuration, mode, parents, and every kind of object.
 * Layout: ostree's `libostree` manual, "Anatomy of an OSTree repository".
 *
 * A metadata object is hashed when it is read and refused when its name is not its hash; content is not (that is
 * what fsck is for), but its header is checked, and the length that an archive object promises must be the one it has.
 * @module
 */
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { type Keyfile, parseKeyfile } from '../core/conf/keyfile.ts';
import { malformed, prefixed, SealtreeError } from '../core/errors.ts';
import { type Commit, decodeCommit, type MetadataEntry } from '../core/ostree/commit.ts';
import { decodeCommitmeta } from '../core/ostree/commitmeta.ts';
import { type Dirmeta, decodeDirmeta } from '../core/ostree/dirmeta.ts';
import { type Dirtree, decodeDirtree } from '../core/ostree/dirtree.ts';
import { MAX_METADATA_SIZE, type ObjectType, objectPath, parseObjectPath } from '../core/ostree/objects.ts';
import { fsPath } from '../node/fs-path.ts';
import { opensslHash } from '../node/hash.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { readFileLimited } from '../node/read-file.ts';
import { readArchiveFile } from './modes/archive.ts';
import { readBareFile } from './modes/bare.ts';
import { readBareSplitXattrsFile } from './modes/bare-split-xattrs.ts';
import { readBareUserFile } from './modes/bare-user.ts';
import { readBareUserOnlyFile } from './modes/bare-user-only.ts';
import type { FileObject } from './modes/file-object.ts';
import { listRefs, resolveRev } from './refs.ts';
import { parseRepoMode, type RepoMode } from './repo-mode.ts';

/** Metadata objects: all that are one GVariant. */
export type MetadataType = Exclude<ObjectType, 'file'>;

/** Depth of `core.parent` chains that is followed; a cycle would be endless. */
const PARENT_LIMIT = 16;

/** Entries of the dirmeta cache: directories share few of them, but a hostile repository need not. */
const DIRMETA_CACHE_LIMIT = 4096;

const READERS: Readonly<Record<RepoMode, (repo: Repo, checksum: string) => FileObject | undefined>> = {
  bare: readBareFile,
  'bare-user': readBareUserFile,
  'bare-user-only': readBareUserOnlyFile,
  archive: readArchiveFile,
  'bare-split-xattrs': readBareSplitXattrsFile,
};

/** How much of a commit is there: `partial` means that objects below it may be missing, with `fsck` because fsck found so. */
export type CommitState = 'complete' | 'partial' | 'fsck-partial';

/** A repository that is open for reading; see {@link Repo.open}. */
export class Repo {
  /** As given to {@link Repo.open}. */
  readonly path: ByteString;
  readonly mode: RepoMode;
  readonly config: Keyfile;
  /** `core.parent`: objects and refs that are not here are looked for there. */
  readonly parent: Repo | undefined;
  /** `core.disable-xattrs`: files of a bare repository are taken to have none. */
  readonly disableXattrs: boolean;
  readonly #dirmetas = new Map<string, Dirmeta>();

  private constructor(path: ByteString, config: Keyfile, mode: RepoMode, parent: Repo | undefined) {
    this.path = path;
    this.config = config;
    this.mode = mode;
    this.parent = parent;
    this.disableXattrs = config.boolean('core', 'disable-xattrs') ?? false;
  }

  /**
   * Opens the repository at `path`; reads its `config`, writes nothing.
   *
   * @throws SealtreeError with ostree's words, beginning `opening repo: `
   */
  static open(path: ByteString): Repo {
    return openRepo(path, 0);
  }

  /** @internal */
  static make(path: ByteString, config: Keyfile, mode: RepoMode, parent: Repo | undefined): Repo {
    return new Repo(path, config, mode, parent);
  }

  /** Where an object of this repository is or would be, below {@link path}: `objects/ab/cdef….dirtree`. */
  objectPath(type: ObjectType, checksum: string): ByteString {
    return byteString(`objects/${objectPath(checksum, type, { archive: this.mode === 'archive' })}`);
  }

  /** The absolute form of {@link objectPath}. */
  objectFile(type: ObjectType, checksum: string): ByteString {
    return byteString(`${this.path}/${this.objectPath(type, checksum)}`);
  }

  /** Whether this repository itself, not a parent, has the object. */
  hasOwnObject(type: ObjectType, checksum: string): boolean {
    try {
      return lstatSync(fsPath(this.objectFile(type, checksum)), { throwIfNoEntry: false }) !== undefined;
    } catch (error) {
      throw ioError(`fstatat(${this.objectPath(type, checksum).slice('objects/'.length)})`, error);
    }
  }

  hasObject(type: ObjectType, checksum: string): boolean {
    return this.hasOwnObject(type, checksum) || (this.parent?.hasObject(type, checksum) ?? false);
  }

  /**
   * The bytes of a metadata object as they are in the file, unchecked, or undefined if there is none.
   *
   * @throws SealtreeError `malformed` if it is larger than ostree allows, `io` if it cannot be read
   */
  rawObject(type: MetadataType, checksum: string): Uint8Array | undefined {
    const data = readFileLimited(
      this.objectFile(type, checksum),
      this.objectPath(type, checksum),
      MAX_METADATA_SIZE,
    );
    return data ?? this.parent?.rawObject(type, checksum);
  }

  /**
   * The bytes of a metadata object.
   *
   * @throws SealtreeError `missing` (`No such metadata object H.dirtree`), `mismatch` if its hash is not its name
   */
  readObject(type: MetadataType, checksum: string): Uint8Array {
    const data = this.rawObject(type, checksum);
    if (data === undefined) {
      throw new SealtreeError('missing', `No such metadata object ${checksum}.${type}`, { checksum, type });
    }
    if (type === 'commit' || type === 'dirtree' || type === 'dirmeta') {
      const found = hexOf(opensslHash.digest('sha256', data));
      if (found !== checksum) throw corrupted(this.objectPath(type, checksum), type, checksum, found);
    }
    return data;
  }

  commit(checksum: string): Commit {
    return decodeCommit(this.readObject('commit', checksum), `${checksum}.commit`);
  }

  /** The detached metadata of a commit, undefined if it has none. Not content addressed: nothing vouches for it. */
  commitmeta(checksum: string): MetadataEntry[] | undefined {
    const data = this.rawObject('commitmeta', checksum);
    return data === undefined ? undefined : decodeCommitmeta(data, `${checksum}.commitmeta`);
  }

  dirtree(checksum: string): Dirtree {
    return decodeDirtree(this.readObject('dirtree', checksum), `${checksum}.dirtree`);
  }

  dirmeta(checksum: string): Dirmeta {
    const known = this.#dirmetas.get(checksum);
    if (known !== undefined) return known;
    const dirmeta = decodeDirmeta(this.readObject('dirmeta', checksum), `${checksum}.dirmeta`);
    if (this.#dirmetas.size >= DIRMETA_CACHE_LIMIT) this.#dirmetas.clear();
    this.#dirmetas.set(checksum, dirmeta);
    return dirmeta;
  }

  /**
   * A file object: its metadata now, its content when asked for.
   *
   * @throws SealtreeError `missing` (`Couldn't find file object 'H'`), `malformed` if what is there is no file object
   */
  file(checksum: string): FileObject {
    for (let repo: Repo | undefined = this; repo !== undefined; repo = repo.parent) {
      const found = READERS[repo.mode](repo, checksum);
      if (found !== undefined) return found;
    }
    const message = `Couldn't find file object '${checksum}'`;
    const prefix = this.mode === 'archive' ? '' : `Opening content object ${checksum}: `;
    throw new SealtreeError('missing', prefix + message, { checksum, type: 'file' });
  }

  /** Whether `state/H.commitpartial` marks the commit as incomplete. */
  commitState(checksum: string): CommitState {
    const name = `state/${checksum}.commitpartial`;
    const reason = readFileLimited(byteString(`${this.path}/${name}`), byteString(name), 4096);
    if (reason === undefined) return 'complete';
    return reason[0] === 0x66 ? 'fsck-partial' : 'partial';
  }

  /** Checksums of all commit objects here and in parents that begin with `prefix`, sorted. */
  commits(prefix = ''): string[] {
    const found = new Set<string>();
    for (let repo: Repo | undefined = this; repo !== undefined; repo = repo.parent) {
      repo.forEachObject((type, checksum) => {
        if (type === 'commit' && checksum.startsWith(prefix)) found.add(checksum);
      }, prefix);
    }
    return [...found].sort();
  }

  /** Calls `visit` for each object of this repository itself whose checksum begins with `prefix`, in no order. */
  forEachObject(visit: (type: ObjectType, checksum: string) => void, prefix = ''): void {
    for (let first = 0; first < 256; first++) {
      const folder = first.toString(16).padStart(2, '0');
      if (!folder.startsWith(prefix.slice(0, 2))) continue;
      for (const name of namesIn(this, folder)) {
        const object = parseObjectPath(byteString(folder), byteString(name), {
          archive: this.mode === 'archive',
        });
        if (object !== undefined) visit(object.type, object.checksum);
      }
    }
  }

  /** Resolves a checksum, the unique beginning of a commit's, a ref, `remote:ref`, or any of them followed by `^`. */
  resolveRev(rev: ByteString): string {
    return resolveRev(this, rev);
  }

  /** All refs, local and remote (`remote:ref`), to the checksums they stand for. */
  refs(): Map<ByteString, string> {
    return listRefs(this);
  }
}

/** What ostree says of an object whose bytes have another hash than its name. */
export function corrupted(where: string, type: string, expected: string, found: string): SealtreeError {
  const message = `Corrupted ${type} object; checksum expected='${expected}' actual='${found}'`;
  return new SealtreeError('mismatch', `${where}: ${message}`, { path: where, expected, found });
}

function openRepo(path: ByteString, depth: number): Repo {
  try {
    if (depth > PARENT_LIMIT)
      throw malformed(`core.parent leads through more than ${PARENT_LIMIT} repositories`);
    requireDirectory(path, displayByteString(path));
    requireDirectory(byteString(`${path}/objects`), 'objects');
    const data = readFileLimited(byteString(`${path}/config`), byteString('config'), 16 * 1024 * 1024);
    if (data === undefined)
      throw new SealtreeError('missing', 'openat(config): No such file or directory', { errno: 'ENOENT' });
    const config = readConfig(data);
    const mode = modeOf(config);
    const parentPath = config.get('core', 'parent') ?? '';
    return Repo.make(path, config, mode, parentPath === '' ? undefined : openParent(parentPath, depth));
  } catch (error) {
    throw prefixed('opening repo', error);
  }
}

function openParent(path: ByteString, depth: number): Repo {
  try {
    return openRepo(path, depth + 1);
  } catch (error) {
    throw prefixed(`While checking parent repository '${displayByteString(path)}'`, error);
  }
}

function readConfig(data: Uint8Array): Keyfile {
  try {
    return parseKeyfile(byteStringFrom(data), 'config');
  } catch (error) {
    throw prefixed("Couldn't parse config file", error);
  }
}

function modeOf(config: Keyfile): RepoMode {
  const version = config.get('core', 'repo_version');
  if (version === undefined) {
    throw malformed('Key file does not have key “repo_version” in group “core”');
  }
  if (version !== '1') throw malformed(`Invalid repository version '${displayByteString(version)}'`);
  return parseRepoMode(config.get('core', 'mode') ?? byteString('bare'));
}

function requireDirectory(path: ByteString, name: string): void {
  try {
    if (statSync(fsPath(path)).isDirectory()) return;
  } catch (error) {
    throw ioError(`opendir(${name})`, error);
  }
  throw new SealtreeError('io', `opendir(${name}): Not a directory`, { errno: 'ENOTDIR' });
}

function namesIn(repo: Repo, folder: string): string[] {
  try {
    return readdirSync(fsPath(byteString(`${repo.path}/objects/${folder}`)), 'latin1');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw ioError(`opendir(${folder})`, error);
  }
}
