/**
 * Cases behind checksums and signatures: an object is changed, everything that names it is encoded again, and the
 * commit is signed again, so that what reads them after these checks is what the change reaches.
 * @module
 */

import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../src/core/bytes/hex.ts';
import { memorySource } from '../../src/core/erofs/image-source.ts';
import { readImage } from '../../src/core/erofs/reader.ts';
import { SealtreeError } from '../../src/core/errors.ts';
import { COMMIT_TYPE, decodeCommit, encodeCommit, type MetadataEntry } from '../../src/core/ostree/commit.ts';
import { encodeCommitmeta, METADATA_TYPE, withSignature } from '../../src/core/ostree/commitmeta.ts';
import { composefsTree } from '../../src/core/ostree/composefs-tree.ts';
import {
  COMPOSEFS_DIGEST_KEY,
  composefsValue,
  inDictOrder,
  isComposefsKey,
} from '../../src/core/ostree/metadata.ts';
import type { PublicKey } from '../../src/core/sign/keys.ts';
import { type CommitEvidence, decideCommit } from '../../src/core/verify/commit.ts';
import { isValid } from '../../src/core/verify/report.ts';
import { verityDigest } from '../../src/core/verity/digest.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { reachableObjects } from '../../src/repo/reachable.ts';
import { unlessRefused } from '../attempt.ts';
import { imageOf } from './image-of.ts';
import { type KnownObjects, type MemoryRepo, memoryRepo, type Objects } from './memory-repo.ts';
import { mutateObject } from './mutate.ts';
import { addMutatedCommit, CHANGES, type Change, store } from './mutated-repo.ts';
import type { Random } from './random.ts';
import type { Seeds, Target } from './targets.ts';

/** An archive repository with a changed commit. */
export interface SealedCase {
  /** Index of the repository that was changed. */
  readonly archive: number;
  /** Its new objects, and the commit. */
  readonly changed: Objects;
  readonly commit: string;
}

/** Repositories in memory, each kind of object changed, read as far as an image that is read back. */
export function sealedTargets(seeds: Seeds): Target[] {
  const known = seeds.archives.map((): KnownObjects => new Map());
  const targets = CHANGES.map(
    (change): Target<SealedCase> => ({
      name: `${change} in a repository`,
      cases: 3_000,
      make: (random) => makeSealedCase(random, seeds.archives, change),
      check({ archive, changed, commit }) {
        const repo = memoryRepo(seeds.archives[archive] as Objects, known[archive] as KnownObjects, changed);
        try {
          readEverything(repo, commit);
        } catch (error) {
          if (error instanceof SealtreeError && error.code === 'mismatch')
            throw new Error(`an object has not got its own name: ${error.message}`);
          throw error;
        }
      },
      passedHeader: (_, error) => error.detail.offset !== 0,
    }),
  );
  return [...targets, signedCommitTarget(seeds)] as Target[];
}

/** One object changed, now and then two. */
export function makeSealedCase(
  random: Random,
  archives: readonly Objects[],
  change: Change | undefined,
): SealedCase {
  const archive = random.below(archives.length);
  const base = archives[archive] as Objects;
  const objects: Objects = new Map(base);
  const commits = [...base.keys()].filter((name) => name.endsWith('.commit'));
  let { commit } = addMutatedCommit(random, objects, random.pick(commits).slice(0, 64), change);
  if (random.once(8)) {
    const again = unlessRefused(() => addMutatedCommit(random, objects, commit));
    if (again !== undefined) commit = again.commit;
  }
  const changed: Objects = new Map();
  for (const [name, data] of objects) {
    const old = base.get(name);
    const same = data === old || (old !== undefined && Buffer.compare(data, old) === 0);
    if (!same || name === `${commit}.commit`) changed.set(name, data);
  }
  return { archive, changed, commit };
}

/** What ls, fsck, checkout and verify do with a commit once its objects have been held against their names. */
function readEverything(repo: MemoryRepo, checksum: string): void {
  const { rootDirtree: dirtree, rootDirmeta: dirmeta } = repo.commit(checksum);
  reachableObjects({ commit: () => ({ root: { dirtree, dirmeta } }), dirtree: repo.dirtree }, [checksum]);
  const tree = composefsTree(repo, dirtree, dirmeta);
  const image = imageOf(tree);
  // Of every fourth, which takes more time than all the rest.
  if (!/^[0-3]/.test(checksum)) return;
  const again = imageOf(readImage(memorySource(image)));
  if (Buffer.compare(image, again) !== 0) throw new Error('the image is read back as another tree');
}

/** Adds to the objects a commit that names the image of its tree, and its signature. @returns its checksum */
export function sealCase(repo: MemoryRepo, objects: Objects, checksum: string, key: KeyObject): string {
  const commit = repo.commit(checksum);
  const image = imageOf(composefsTree(repo, commit.rootDirtree, commit.rootDirmeta));
  const digest = hexOf(verityDigest(opensslHash, image));
  const others = commit.metadata.filter(([name]) => !isComposefsKey(name));
  const metadata = inDictOrder<MetadataEntry>([...others, [COMPOSEFS_DIGEST_KEY, composefsValue(digest)]]);
  const data = encodeCommit({ ...commit, metadata });
  const sealed = store(objects, data, 'commit');
  objects.set(`${sealed}.commitmeta`, commitmetaOf([sign(null, data, key)]));
  return sealed;
}

interface SignedCase {
  readonly main: CommitEvidence;
  /** What stands in the repository beside it. */
  readonly base: CommitEvidence | undefined;
}

/** Commits with their signatures: what is accepted must be signed, which Node's own crypto decides here. */
function signedCommitTarget(seeds: Seeds): Target<SignedCase> {
  const trusted = seeds.keyPairs.slice(0, 2).map((pair): PublicKey => {
    return { key: pair.subarray(32), hex: hexOf(pair.subarray(32)), source: 'test' };
  });
  const openssl = trusted.map(({ key }) => publicKeyObject(key));
  const secrets = seeds.keyPairs.map(privateKeyObject);
  return {
    name: 'signed commit',
    cases: 1_000,
    make: (random) => makeSignedCase(random, seeds.objects.commit, secrets),
    check({ main, base }) {
      const decision = decideCommit(main, () => base, { signed: true, keys: trusted }, opensslHash);
      const failed = decision.checks.find(({ status }) => status === 'failed');
      if (failed !== undefined)
        throw new SealtreeError('mismatch', failed.message, { check: failed.name === 'signature' ? 0 : 1 });
      if (!isValid({ checks: decision.checks, damage: [] })) throw new Error('valid and not valid');
      const witnesses = [main, base].filter((one) => one !== undefined);
      const vouched = witnesses.filter(
        ({ data, detached }) =>
          detached !== undefined && openssl.some((key) => holdsSignature(key, data, detached)),
      );
      if (!vouched.some(({ data }) => Buffer.from(data).includes(Buffer.from(decision.digest ?? '', 'hex'))))
        throw new Error('accepted, but no signed commit names this image');
      for (const { checksum, data } of witnesses.slice(0, main.detached === undefined ? 2 : 1)) {
        if (createHash('sha256').update(data).digest('hex') !== checksum)
          throw new Error('accepted under a name that is not its checksum');
      }
    },
    passedHeader: (_, error) => error.detail.check !== 0,
  };
}

const IMAGE_CONFIG: MetadataEntry = [
  byteString('ostree.container.image-config'),
  { type: 's', value: byteString('{}') },
];

function makeSignedCase(
  random: Random,
  seeds: readonly Uint8Array[],
  secrets: readonly KeyObject[],
): SignedCase {
  let commit = decodeCommit(random.pick(seeds), 'seed');
  if (!random.once(4))
    commit = { ...commit, metadata: [...commit.metadata, [COMPOSEFS_DIGEST_KEY, digestValue(random)]] };
  let data = encodeCommit(commit);
  const kind = random.below(8);
  if (kind < 5) data = mutateObject(random, COMMIT_TYPE, data, seeds);
  // The third key is not trusted.
  const key = random.pick(random.once(4) ? secrets : secrets.slice(0, 2));
  const others = random.once(4) ? [new Uint8Array(random.pick([0, 63, 64, 65]))] : [];
  let detached = commitmetaOf([...others, sign(null, data, key)]);
  if (kind >= 5 && !random.once(3)) detached = mutateObject(random, METADATA_TYPE, detached, []);
  const name = random.once(12) ? random.pick(seeds) : data;
  const main: CommitEvidence = { checksum: checksumOf(name), data, detached };
  if (!random.once(4)) return { main, base: undefined };
  // What bootc makes of it: a commit of its own whose parent is the signed one.
  const child = encodeCommit({ ...commit, metadata: [IMAGE_CONFIG], parent: main.checksum });
  const changed = random.once(2) ? child : mutateObject(random, COMMIT_TYPE, child, seeds);
  const signature = random.once(4) ? commitmetaOf([sign(null, changed, key)]) : undefined;
  return { main: { checksum: checksumOf(changed), data: changed, detached: signature }, base: main };
}

function digestValue(random: Random): MetadataEntry[1] {
  return composefsValue(random.pick(['1', 'e']).repeat(64));
}

function commitmetaOf(signatures: readonly Uint8Array[]): Uint8Array {
  let entries: MetadataEntry[] = [];
  for (const signature of signatures)
    entries = withSignature(entries, byteString('ostree.sign.ed25519'), signature);
  return encodeCommitmeta(entries);
}

/** Whether somewhere in the file, where GVariant puts such things, is a signature of the data. */
function holdsSignature(key: KeyObject, data: Uint8Array, file: Uint8Array): boolean {
  for (let at = 0; at + 64 <= file.length; at++) {
    if (verify(null, data, key, file.subarray(at, at + 64))) return true;
  }
  return false;
}

/** @param pair seed and public key, 64 bytes */
export function privateKeyObject(pair: Uint8Array): KeyObject {
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
  return createPrivateKey({
    key: Buffer.concat([prefix, pair.subarray(0, 32)]),
    format: 'der',
    type: 'pkcs8',
  });
}

export function publicKeyObject(key: Uint8Array): KeyObject {
  const prefix = Buffer.from('302a300506032b6570032100', 'hex');
  return createPublicKey({ key: Buffer.concat([prefix, key]), format: 'der', type: 'spki' });
}

function checksumOf(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
