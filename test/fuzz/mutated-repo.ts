/**
 * Repositories with commits in which one object was changed: it gets the name that its new bytes have, and everything
 * above it up to the commit is encoded again to name it.
 * @module
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { SealtreeError } from '../../src/core/errors.ts';
import { isSymlink } from '../../src/core/fs/mode.ts';
import { COMMIT_TYPE, decodeCommit, encodeCommit } from '../../src/core/ostree/commit.ts';
import { DIRMETA_TYPE } from '../../src/core/ostree/dirmeta.ts';
import { DIRTREE_TYPE, type Dirtree, decodeDirtree, encodeDirtree } from '../../src/core/ostree/dirtree.ts';
import {
  ARCHIVE_HEADER_TYPE,
  decodeArchiveHeader,
  encodeFileHeader,
} from '../../src/core/ostree/file-header.ts';
import type { Objects } from './memory-repo.ts';
import { mutateBytes, mutateObject } from './mutate.ts';
import type { Random } from './random.ts';

/** Writes a repository of the archive mode, without refs. */
export function writeArchive(folder: string, objects: Objects): void {
  for (const name of ['extensions', 'objects', 'refs/heads', 'refs/mirrors', 'refs/remotes', 'state', 'tmp'])
    mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, 'config'), '[core]\nrepo_version=1\nmode=archive-z2\n');
  for (const [name, data] of objects) {
    const directory = join(folder, 'objects', name.slice(0, 2));
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, name.slice(2)), data);
  }
}

/** A directory on the way from the root to the object that is changed. */
interface Step {
  readonly dirtree: string;
  readonly dirmeta: string;
  /** Name in the directory above. */
  readonly name: string;
}

/** Kinds of objects that can be changed. */
export const CHANGES = ['commit', 'dirtree', 'dirmeta', 'file'] as const;
export type Change = (typeof CHANGES)[number];

/**
 * Adds a commit to the repository that differs in one object from one that is there.
 *
 * @param wanted the kind of object; of a directory without files it is the dirtree in place of a file
 * @returns its checksum, and what kind of object was changed
 * @throws SealtreeError if the commit itself was changed before, and its tree can no longer be followed
 */
export function addMutatedCommit(
  random: Random,
  objects: Objects,
  checksum: string,
  wanted: Change = random.pick(CHANGES),
): { commit: string; changed: Change } {
  const data = objectOf(objects, `${checksum}.commit`);
  const commit = decodeCommit(data, checksum);
  if (wanted === 'commit') {
    const mutated = mutateObject(random, COMMIT_TYPE, data, []);
    return { commit: store(objects, mutated, 'commit'), changed: 'commit' };
  }
  const steps = descend(random, objects, {
    dirtree: commit.rootDirtree,
    dirmeta: commit.rootDirmeta,
    name: '',
  });
  const last = steps.at(-1) as Step;
  const dirtree = decodeDirtree(objectOf(objects, `${last.dirtree}.dirtree`), last.dirtree);
  const kind = wanted === 'file' && dirtree.files.length === 0 ? 'dirtree' : wanted;
  let changed: Step;
  if (kind === 'dirtree') {
    const mutated = mutateObject(random, DIRTREE_TYPE, encodeDirtree(dirtree), []);
    changed = { ...last, dirtree: store(objects, mutated, 'dirtree') };
  } else if (kind === 'dirmeta') {
    const old = objectOf(objects, `${last.dirmeta}.dirmeta`);
    changed = { ...last, dirmeta: store(objects, mutateObject(random, DIRMETA_TYPE, old, []), 'dirmeta') };
  } else {
    const file = random.pick(dirtree.files);
    const mutated = mutateFile(random, objectOf(objects, `${file.checksum}.filez`));
    const name = checksumOfFile(mutated);
    objects.set(`${name}.filez`, mutated);
    const files = dirtree.files.map((entry) => (entry === file ? { ...entry, checksum: name } : entry));
    changed = { ...last, dirtree: store(objects, encodeDirtree({ ...dirtree, files }), 'dirtree') };
  }
  const root = ascend(objects, steps, changed);
  const mutated = encodeCommit({ ...commit, rootDirtree: root.dirtree, rootDirmeta: root.dirmeta });
  return { commit: store(objects, mutated, 'commit'), changed: kind };
}

function descend(random: Random, objects: Objects, root: Step): Step[] {
  const steps = [root];
  for (;;) {
    const { dirtree } = steps.at(-1) as Step;
    const { dirs } = decodeDirtree(objectOf(objects, `${dirtree}.dirtree`), dirtree);
    if (dirs.length === 0 || random.once(3)) return steps;
    steps.push(random.pick(dirs));
  }
}

/** Encodes the directories above a changed one again. @returns the root */
function ascend(objects: Objects, steps: readonly Step[], changed: Step): Step {
  let below = changed;
  for (const step of steps.slice(0, -1).reverse()) {
    const old: Dirtree = decodeDirtree(objectOf(objects, `${step.dirtree}.dirtree`), step.dirtree);
    const dirs = old.dirs.map((entry) =>
      entry.name === below.name ? { ...entry, ...pickChecksums(below) } : entry,
    );
    below = { ...step, dirtree: store(objects, encodeDirtree({ ...old, dirs }), 'dirtree') };
  }
  return below;
}

function pickChecksums({ dirtree, dirmeta }: Step): { dirtree: string; dirmeta: string } {
  return { dirtree, dirmeta };
}

/** Changes the header, or the content, or the compressed bytes. */
function mutateFile(random: Random, file: Uint8Array): Uint8Array {
  const { length } = decodeArchiveHeader(file);
  const header = file.subarray(0, length);
  const stream = file.subarray(length);
  const kind = random.below(6);
  if (kind === 0) return Buffer.concat([header, mutateBytes(random, stream, [])]);
  if (kind === 1 && stream.length > 0) {
    const content = mutateBytes(random, inflate(stream), []);
    const members = mutableSize(header, content.length);
    return Buffer.concat([members, deflateRawSync(content)]);
  }
  const variant = mutateObject(random, ARCHIVE_HEADER_TYPE, header.subarray(8), []);
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setUint32(0, variant.length);
  return Buffer.concat([prefix, variant, stream]);
}

/** A header with another size in it: its first member, of 8 bytes, big-endian. */
function mutableSize(header: Uint8Array, size: number): Uint8Array {
  const changed = Uint8Array.from(header);
  new DataView(changed.buffer).setBigUint64(8, BigInt(size));
  return changed;
}

/** The checksum that a file object has, or, if it is no file object, that of its bytes. */
function checksumOfFile(file: Uint8Array): string {
  try {
    const { header, length } = decodeArchiveHeader(file);
    const stream = file.subarray(length);
    // What is behind the header of a link is not looked at.
    const content = stream.length === 0 || isSymlink(header.mode) ? '' : inflate(stream);
    return createHash('sha256').update(encodeFileHeader(header)).update(content).digest('hex');
  } catch (error) {
    if (error instanceof SealtreeError) return createHash('sha256').update(file).digest('hex');
    throw error;
  }
}

/** Puts an object under the name that its bytes have. */
export function store(objects: Objects, data: Uint8Array, extension: string): string {
  const checksum = createHash('sha256').update(data).digest('hex');
  objects.set(`${checksum}.${extension}`, data);
  return checksum;
}

function inflate(stream: Uint8Array): Uint8Array {
  try {
    return inflateRawSync(stream);
  } catch (error) {
    throw new SealtreeError('malformed', 'Invalid compressed data', {}, { cause: error });
  }
}

function objectOf(objects: Objects, name: string): Uint8Array {
  const data = objects.get(name);
  if (data === undefined) throw new SealtreeError('missing', `No such object ${name}`);
  return data;
}
