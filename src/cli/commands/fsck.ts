/** `ostree fsck`: every object of every commit held against its name. @module */
import { cacheProblem, clearCache, listCacheFiles, removeCacheFile } from '../../cache/cache-file.ts';
import {
  type ByteString,
  byteString,
  byteStringFrom,
  displayByteString,
} from '../../core/bytes/byte-string.ts';
import { setKey } from '../../core/conf/keyfile.ts';
import { prefixed, SealtreeError } from '../../core/errors.ts';
import { type Commit, decodeCommit } from '../../core/ostree/commit.ts';
import { inDictOrder } from '../../core/ostree/dict-order.ts';
import { parseRefspec } from '../../core/ostree/refs.ts';
import { writeFileAtomically } from '../../node/atomic-file.ts';
import { joinPath } from '../../node/fs-path.ts';
import { readFileLimited } from '../../node/read-file.ts';
import { collectionBinding, refBindings, verifyBindings } from '../../repo/bindings.ts';
import { checkObject, type Finding } from '../../repo/check-object.ts';
import { checkObjects } from '../../repo/check-objects.ts';
import { damagedLinks } from '../../repo/damaged-links.ts';
import { deleteObject, markPartial } from '../../repo/delete-object.ts';
import { commitsOf, inObjectOrder, type ObjectName, reachableObjects } from '../../repo/reachable.ts';
import { findCollectionRef, findRev, listCollectionRefs, listRefs } from '../../repo/refs.ts';
import type { Repo } from '../../repo/repo.ts';
import { ConsoleProgress } from '../console-progress.ts';
import { openRepository } from '../repository.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['fsck'],
  summary: 'Read every object that commits lead to and compare it with its name',
  operands: '',
  options: [
    { flags: '--add-tombstones', description: 'Mark commits that are missing as deleted' },
    { flags: '-q, --quiet', description: 'Print nothing but errors' },
    { flags: '-a, --all', description: 'Go on after an error' },
    { flags: '--delete', description: 'Delete objects that are damaged' },
    {
      flags: '--verify-bindings',
      description: 'Compare the branches that a commit names with the refs that lead to it',
    },
    {
      flags: '--verify-back-refs',
      description:
        'The same the other way round: each named branch leads to the commit; implies --verify-bindings',
    },
  ],
  examples: ['sealtree fsck --repo=repo', 'sealtree fsck --repo=repo --all --quiet'],
  description: [
    'Output and verdict are those of ostree. Damage that it does not look for (a wrong size or padding in the header ' +
      'of an archive object, bytes behind the end of an object, detached metadata that is no GVariant) is one line ' +
      'each on standard error, and makes the verdict a failure as well.',
    'What the cache of the repository knows of objects is held against them, too: a line and a failure where it is not ' +
      'true; --delete then clears the cache. A file of the cache that is damaged is used by no command; it gets a line ' +
      'and changes nothing about the verdict.',
  ],
  run,
};

async function run(context: Context): Promise<void> {
  const repo = openRepository(context);
  const fsck = new Fsck(context, repo);
  fsck.checkRefs();
  const commits = fsck.findCommits();
  await fsck.checkReachable(commits.complete);
  fsck.checkCache();
  fsck.conclude(commits);
}

interface Commits {
  /** Those of which all objects have to be there. */
  readonly complete: readonly string[];
  readonly partial: number;
  /** Whether an earlier run found objects missing. */
  readonly damaged: boolean;
  /** Those whose parent is gone, if tombstones are wanted. */
  readonly orphans: readonly string[];
}

class Fsck {
  readonly #context: Context;
  readonly #repo: Repo;
  #corrupted = false;

  constructor(context: Context, repo: Repo) {
    this.#context = context;
    this.#repo = repo;
  }

  /** The commit of every ref is there, is sound, and is bound to that ref if that is asked for. */
  checkRefs(): void {
    this.#say('Validating refs...');
    for (const [refspec, checksum] of inDictOrder([...listRefs(this.#repo)])) {
      const { ref } = parseRefspec(refspec);
      this.#checkRef(checksum, undefined, ref, `ref ${displayByteString(ref)}`);
    }
    this.#say('Validating refs in collections...');
    for (const { collection, ref, checksum } of listCollectionRefs(this.#repo, undefined, {
      remotes: false,
    })) {
      const shown = `(${displayByteString(collection)}, ${displayByteString(ref)})`;
      this.#checkRef(checksum, collection, ref, `ref ${shown}`);
    }
  }

  findCommits(): Commits {
    this.#say('Enumerating commits...');
    const complete: string[] = [];
    const orphans: string[] = [];
    let partial = 0;
    let damaged = false;
    for (const checksum of inObjectOrder(this.#repo.commits())) {
      const commit = this.#readCommit(checksum);
      if (commit !== undefined && this.#context.options.has('verify-back-refs')) {
        this.#checkBackRefs(checksum, commit);
      }
      const parent = commit?.parent;
      if (parent !== undefined && !this.#repo.hasObject('commit', parent)) orphans.push(checksum);
      const state = this.#repo.commitState(checksum);
      if (state === 'complete') complete.push(checksum);
      else partial++;
      if (state === 'fsck-partial') damaged = true;
    }
    this.#say(`Verifying content integrity of ${complete.length} commit objects...`);
    return { complete: inObjectOrder(complete), partial, damaged, orphans };
  }

  async checkReachable(commits: readonly string[]): Promise<void> {
    const links = damagedLinks(this.#repo);
    const objects = reachableObjects(links, commits);
    const holdersOf = commitsOf(links, commits);
    const progress = new ConsoleProgress(this.#context.stdout);
    try {
      let done = 0;
      for await (const [object, finding] of checkObjects(this.#repo, objects)) {
        if (finding !== undefined) this.#report(object, finding, holdersOf(object));
        progress.items('fsck objects', ++done, objects.length);
      }
    } finally {
      progress.end();
    }
  }

  /** Files of the cache that are damaged are used by nobody, and so no reason for another verdict. */
  checkCache(): void {
    for (const file of listCacheFiles(this.#repo)) {
      if (cacheProblem(this.#repo, file) !== 'damaged') continue;
      this.#warn(`cache: ${file.name} is damaged and is not used`);
      if (this.#context.options.has('delete')) removeCacheFile(this.#repo, file.name);
    }
  }

  conclude({ complete, partial, damaged, orphans }: Commits): void {
    const { options, stdout } = this.#context;
    if (options.has('add-tombstones')) this.#addTombstones(orphans);
    else if (partial > 0) stdout.line(`${partial} partial commits not verified`);
    if (this.#corrupted) throw new SealtreeError('mismatch', 'Repository corruption encountered');
    if (damaged)
      throw new SealtreeError('mismatch', `${partial} partial commits from fsck-detected corruption`);
    stdout.line(`object fsck of ${complete.length} commits completed successfully - no errors found.`);
  }

  #checkRef(checksum: string, collection: ByteString | undefined, ref: ByteString, shown: string): void {
    const object: ObjectName = { type: 'commit', checksum };
    const finding = checkObject(this.#repo, object);
    if (finding !== undefined) this.#report(object, finding, undefined);
    if (!this.#repo.hasObject('commit', checksum)) {
      throw new SealtreeError(
        'missing',
        `Loading commit for ${shown}: No such metadata object ${checksum}.commit`,
      );
    }
    const commit = this.#readCommit(checksum);
    if (commit === undefined || !this.#context.options.has('verify-bindings')) return;
    try {
      verifyBindings(commit, ref, collection);
    } catch (error) {
      throw prefixed(`Commit ${checksum}`, error);
    }
  }

  /** Every ref that the commit is bound to is there and stands for it. */
  #checkBackRefs(checksum: string, commit: Commit): void {
    const collection = collectionBinding(commit);
    for (const ref of refBindings(commit) ?? []) {
      const found =
        collection === undefined ? findRev(this.#repo, ref) : findCollectionRef(this.#repo, collection, ref);
      if (found === checksum) continue;
      const name = displayByteString(ref);
      const shown =
        collection === undefined
          ? `Ref ‘${name}’`
          : `Collection–ref (${displayByteString(collection)}, ${name})`;
      const problem = found === undefined ? 'does not exist' : 'does not resolve to that commit';
      throw new SealtreeError('mismatch', `${shown} in bindings for commit ${checksum} ${problem}`);
    }
  }

  /** Undefined if it is not to be read; that is said when it is checked. */
  #readCommit(checksum: string): Commit | undefined {
    const data = this.#repo.rawObject('commit', checksum);
    try {
      return data && decodeCommit(data, checksum);
    } catch {
      return undefined;
    }
  }

  /** @param holders commits that the object belongs to, where they are known */
  #report(object: ObjectName, { kind, message }: Finding, holders: readonly string[] | undefined): void {
    const { options } = this.#context;
    const place = holders === undefined ? '' : ` in commits ${holders.join(', ')}`;
    if (kind === 'beyond') {
      this.#corrupted = true;
      this.#warn(message);
      return;
    }
    if (kind === 'cache') {
      this.#corrupted = true;
      this.#warn(message);
      if (options.has('delete')) clearCache(this.#repo);
      return;
    }
    if (kind === 'missing') {
      this.#warn(`Object missing${place}: ${object.checksum}.${object.type}`);
    } else {
      const full = holders === undefined ? message : `In commits ${holders.join(', ')}: ${message}`;
      if (!options.has('delete') && !options.has('all')) throw new SealtreeError('mismatch', full);
      this.#warn(full);
      if (!options.has('delete')) {
        this.#corrupted = true;
        return;
      }
      this.#tryDelete(object);
    }
    this.#corrupted = true;
    if (object.type !== 'commit') this.#markPartial(holders ?? []);
  }

  #tryDelete(object: ObjectName): void {
    try {
      deleteObject(this.#repo, object, this.#repo.config.boolean('core', 'tombstone-commits') ?? false);
    } catch (error) {
      if (!(error instanceof SealtreeError)) throw error;
    }
  }

  #markPartial(commits: readonly string[]): void {
    for (const commit of commits) {
      if (this.#repo.commitState(commit) !== 'complete') continue;
      this.#warn(`Marking commit as partial: ${commit}`);
      markPartial(this.#repo, commit, 'fsck');
    }
  }

  #addTombstones(orphans: readonly string[]): void {
    if (orphans.length > 0 && this.#repo.config.boolean('core', 'tombstone-commits') !== true) {
      const path = joinPath(this.#repo.path, byteString('config'));
      const text = byteStringFrom(readFileLimited(path, 'config', 16 * 1024 * 1024) ?? new Uint8Array(0));
      const [group, key] = [byteString('core'), byteString('tombstone-commits')];
      writeFileAtomically(path, setKey(text, group, key, byteString('true'), 'config'));
    }
    for (const checksum of orphans) {
      this.#context.stdout.line(`Adding tombstone for commit ${checksum}`);
      deleteObject(this.#repo, { type: 'commit', checksum }, true);
    }
  }

  #say(text: string): void {
    if (!this.#context.options.has('quiet')) this.#context.stdout.line(text);
  }

  /** After what was printed before it. */
  #warn(text: string): void {
    this.#context.stdout.flush();
    this.#context.stderr.line(text);
  }
}
