/**
 * The metadata of a commit in the order in which ostree puts it together, which decides the commit's checksum:
 * given entries, kept ones, bindings, then those of `--bootable` and of the composefs digest, each of which passes all
 * entries through a hash table, and last the sizes.
 * @module
 */
import {
  type ByteString,
  byteString,
  compareByteStrings,
  displayByteString,
} from '../core/bytes/byte-string.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import { parseVariant } from '../core/gvariant/text-parse.ts';
import type { Commit, MetadataEntry } from '../core/ostree/commit.ts';
import type { Dirtree } from '../core/ostree/dirtree.ts';
import {
  BOOTABLE_KEY,
  COLLECTION_BINDING_KEY,
  COMPOSEFS_DIGEST_KEY,
  COMPOSEFS_KEY,
  composefsValue,
  inDictOrder,
  isComposefsKey,
  LINUX_KEY,
  lookup,
  REF_BINDING_KEY,
  SIZES_KEY,
} from '../core/ostree/metadata.ts';
import { type ObjectSize, sizesValue } from '../core/ostree/sizes.ts';

/** Entries out of `KEY=VALUE` words whose values are strings. */
export function stringEntries(words: readonly ByteString[]): MetadataEntry[] {
  return words.map((word) => {
    const [key, value] = split(word);
    return [key, { type: 's', value }];
  });
}

/**
 * Entries out of `KEY=VALUE` words whose values are in GVariant's text format.
 *
 * @throws SealtreeError with GLib's words for a value that does not parse
 */
export function variantEntries(words: readonly ByteString[]): MetadataEntry[] {
  return words.map((word) => {
    const [key, value] = split(word);
    try {
      return [key, parseVariant(value)];
    } catch (error) {
      throw prefixed(`Parsing ${displayByteString(word)}`, error);
    }
  });
}

/**
 * Entries of an earlier commit.
 *
 * @throws SealtreeError `missing` if it has none of a key
 */
export function keptEntries(
  commit: Pick<Commit, 'metadata'>,
  checksum: string,
  keys: readonly ByteString[],
): MetadataEntry[] {
  return keys.map((key) => {
    const found = [...commit.metadata].reverse().find(([name]) => name === key);
    if (found !== undefined) return found;
    throw new SealtreeError(
      'missing',
      `Missing metadata key '${displayByteString(key)}' from commit '${checksum}'`,
    );
  });
}

/** @throws SealtreeError `usage` for an entry that would pass for a computed composefs digest */
export function refuseComposefsKeys(entries: readonly MetadataEntry[]): void {
  for (const [key] of entries) {
    if (!isComposefsKey(key)) continue;
    throw new SealtreeError(
      'usage',
      `${key}: only a computed digest may stand there, not a given or kept one`,
      {
        help: 'no',
      },
    );
  }
}

export interface Bindings {
  /** The branch and what `--bind-ref` adds. */
  readonly refs: readonly ByteString[];
  /** The repository's; an entry that is there already counts more. */
  readonly collectionId: ByteString | undefined;
}

/** Adds the refs that the commit is for, sorted, and the collection. Source: ostree commit(1), `--bind-ref`. */
export function withBindings(
  entries: readonly MetadataEntry[],
  { refs, collectionId }: Bindings,
): MetadataEntry[] {
  const bound: MetadataEntry[] = [
    ...entries,
    [REF_BINDING_KEY, { type: 'as', value: [...refs].sort(compareByteStrings) }],
  ];
  if (collectionId !== undefined && lookup(entries, COLLECTION_BINDING_KEY) === undefined)
    bound.push([COLLECTION_BINDING_KEY, { type: 's', value: collectionId }]);
  return bound;
}

/** Marks the commit as one that boots the kernel of this version. */
export function withKernel(entries: readonly MetadataEntry[], version: ByteString): MetadataEntry[] {
  return inDictOrder<MetadataEntry>([
    ...entries,
    [BOOTABLE_KEY, { type: 'b', value: true }],
    [LINUX_KEY, { type: 's', value: version }],
  ]);
}

/** Which keys the digest stands under: the one of released ostree, or also the one of its documentation. */
export type ComposefsKeys = 'digest.v0' | 'both';

/** Adds the fs-verity digest of the composefs image, 64 hexadecimal digits, in the order of ostree's dictionaries. */
export function withComposefsDigest(
  entries: readonly MetadataEntry[],
  digest: string,
  keys: ComposefsKeys,
): MetadataEntry[] {
  const added: MetadataEntry[] = [[COMPOSEFS_DIGEST_KEY, composefsValue(digest)]];
  if (keys === 'both') added.push([COMPOSEFS_KEY, composefsValue(digest)]);
  return inDictOrder<MetadataEntry>([...entries, ...added]);
}

/** Adds `ostree.sizes`, unless there are none. */
export function withSizes(entries: readonly MetadataEntry[], sizes: readonly ObjectSize[]): MetadataEntry[] {
  return sizes.length === 0 ? [...entries] : [...entries, [SIZES_KEY, sizesValue(sizes)]];
}

/**
 * The version of the one kernel in a tree: the directory of `usr/lib/modules` that has a `vmlinuz`.
 *
 * @throws SealtreeError `missing` in ostree's words if there is none, `malformed` if there are several
 */
export function kernelVersion(root: string, dirtree: (checksum: string) => Dirtree): ByteString {
  let modules = dirtree(root);
  let path = '';
  for (const name of ['usr', 'lib', 'modules']) {
    path += `/${name}`;
    const child = modules.dirs.find((entry) => entry.name === name);
    if (child === undefined) throw noSuchDirectory(modules, name, path);
    modules = dirtree(child.dirtree);
  }
  const versions = modules.dirs
    .filter((entry) => {
      const { files, dirs } = dirtree(entry.dirtree);
      return [...files, ...dirs].some(({ name }) => name === 'vmlinuz');
    })
    .map(({ name }) => name);
  if (versions.length > 1) throw new SealtreeError('malformed', 'Multiple kernels found in /usr/lib/modules');
  if (versions[0] === undefined) throw new SealtreeError('missing', 'No kernel found in /usr/lib/modules');
  return versions[0];
}

function noSuchDirectory(parent: Dirtree, name: string, path: string): SealtreeError {
  const isFile = parent.files.some((entry) => entry.name === name);
  return new SealtreeError('missing', `${isFile ? 'Not a directory' : `No such file or directory: ${path}`}`);
}

function split(word: ByteString): readonly [key: ByteString, value: ByteString] {
  const equals = word.indexOf('=');
  if (equals < 0) {
    throw new SealtreeError('usage', `Missing '=' in KEY=VALUE metadata '${displayByteString(word)}'`, {
      help: 'no',
    });
  }
  return [byteString(word.slice(0, equals)), byteString(word.slice(equals + 1))];
}
