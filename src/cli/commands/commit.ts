/** `sealtree commit`: puts directories and earlier commits together into a new commit, as ostree-commit(1). @module */
import { readFileSync, rmSync } from 'node:fs';
import { type ByteString, byteString, decodeUtf8, displayByteString } from '../../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../../core/errors.ts';
import { type Commit, encodeCommit, type MetadataEntry } from '../../core/ostree/commit.ts';
import { encodeCommitmeta, withSignature } from '../../core/ostree/commitmeta.ts';
import { validateChecksum } from '../../core/ostree/objects.ts';
import { parseTimestamp } from '../../core/timestamp.ts';
import { fsPath } from '../../node/fs-path.ts';
import { ioError, isErrno } from '../../node/io-error.ts';
import {
  makeTransientSecret,
  type Secret,
  secretFromBase64,
  secretFromDescriptor,
  secretFromFile,
} from '../../node/secret.ts';
import {
  type ComposefsKeys,
  keptEntries,
  kernelVersion,
  refuseComposefsKeys,
  stringEntries,
  variantEntries,
  withBindings,
  withComposefsDigest,
  withKernel,
  withSizes,
} from '../../repo/commit-metadata.ts';
import { findRev } from '../../repo/refs.ts';
import type { Repo } from '../../repo/repo.ts';
import { ED25519_SIGNATURES_KEY } from '../../repo/signatures.ts';
import { requireWritable, Transaction } from '../../repo/transaction.ts';
import { CommitSource } from '../../source/commit-source.ts';
import { consumeDirectory } from '../../source/consume.ts';
import { scanLinks } from '../../source/link-cache.ts';
import type { Modifier } from '../../source/modifier.ts';
import { PathRules } from '../../source/path-rules.ts';
import { descriptorOption } from '../descriptor-option.ts';
import { startProgress } from '../progress.ts';
import { openRepository } from '../repository.ts';
import { optionError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';
import { COMMIT_OPTIONS } from './commit-options.ts';

/** Where the initramfs looks for the key that it trusts, by its name alone. */
const TRANSIENT_KEY_FILE = byteString('initramfs-root-binding.key');

export const verb: Verb = {
  tool: 'ostree',
  path: ['commit'],
  summary: 'Commit a directory to a repository',
  operands: '[PATH]',
  options: COMMIT_OPTIONS,
  examples: [
    'sealtree commit --repo=repo --branch=os/stable rootfs',
    'sealtree commit --repo=repo -b os/stable --generate-composefs-metadata --sign-from-file=build.secret rootfs',
    'sealtree commit --repo=repo --orphan --tree=ref=os/stable --tree=dir=overlay',
  ],
  description: [
    'Without --tree the directory PATH is committed, the current one by default. Several --tree are laid over each ' +
      'other in order: directories are joined, files replaced.',
    'Nothing of an unfinished commit is to be seen: objects are staged, synchronised, and only then does the branch ' +
      'change. The checksum of the commit is printed when all of it is on the disk.',
    'A secret key in the arguments can be seen by every user of the machine while the program runs: prefer ' +
      '--sign-from-file, --sign-fd or --sign-transient.',
  ],
  run,
};

async function run(context: Context): Promise<void> {
  const { options, stdout } = context;
  const repo = openRepository(context);
  requireWritable(repo);
  const rules = readRules(context);
  const branch = options.value('branch');
  if (branch === undefined && !options.has('orphan'))
    throw new SealtreeError('usage', 'A branch must be specified with --branch, or use --orphan', {
      help: 'no',
    });
  const parent = findParent(context, repo, branch);
  const given = givenMetadata(context, repo, parent);
  const detached = stringEntries(options.values('add-detached-metadata-string'));
  const modifier = modifierOf(context, repo);
  const body = bodyOf(context);
  requireKnownSignType(context);

  const transaction = Transaction.begin(repo, { fsync: fsyncOption(context) });
  const progress = startProgress(context.stderr, 'committing', context.program === 'ostree');
  let source: CommitSource | undefined;
  try {
    source = new CommitSource(
      repo,
      transaction,
      {
        modifier,
        rules,
        verity: options.has('generate-composefs-metadata'),
        sizes: options.has('generate-sizes') && repo.mode === 'archive',
        links: wantsLinks(context) ? scanLinks(repo) : undefined,
        trustLinks: options.has('devino-canonical'),
        consume: options.has('consume'),
        cache: !options.has('no-cache'),
        onProgress: progress.add,
      },
      baseOf(context, repo),
    );
    const consumed = await addTrees(context, repo, source);
    requireMatched(context, rules);
    const root = source.writeTree();
    let checksum = parent;
    if (parent === undefined || !options.has('skip-if-unchanged') || !isTreeOf(repo, parent, root)) {
      const metadata = await completeMetadata(context, repo, source, root, given, branch);
      checksum = writeCommit(context, transaction, { parent, metadata, body, root });
      signAndPublish(context, repo, transaction, checksum, detached, branch);
    }
    source.saveCache();
    for (const path of consumed) consumeDirectory(path, source.visited);
    progress.end();
    print(context, checksum as string, transaction, source);
  } finally {
    progress.end();
    await source?.close();
    transaction.abort();
    stdout.flush();
  }
}

function readRules({ options }: Context): PathRules {
  const rules = new PathRules();
  const statoverride = options.value('statoverride');
  if (statoverride !== undefined) rules.addStatoverride(readText(statoverride));
  const skipList = options.value('skip-list');
  if (skipList !== undefined) rules.addSkipList(readText(skipList));
  return rules;
}

function requireMatched({ stderr }: Context, rules: PathRules): void {
  const { statoverride, skipList } = rules.unmatched;
  for (const path of statoverride) stderr.line(`Unmatched statoverride path: ${displayByteString(path)}`);
  if (statoverride.length > 0) throw optionError('Unmatched statoverride paths');
  for (const path of skipList) stderr.line(`Unmatched skip-list path: ${displayByteString(path)}`);
  if (skipList.length > 0) throw optionError('Unmatched skip-list paths');
}

/** The commit before this one on its branch, or the one that was named. */
function findParent({ options }: Context, repo: Repo, branch: ByteString | undefined): string | undefined {
  const given = options.value('parent');
  if (given === 'none') return undefined;
  if (given !== undefined) {
    validateChecksum(given);
    return given;
  }
  if (options.has('orphan') || branch === undefined) return undefined;
  try {
    return findRev(repo, branch);
  } catch (error) {
    // A folder of refs has the branch's name; whether it is in the way shows when the ref is written.
    if (isErrno(error, 'EISDIR')) return undefined;
    throw error;
  }
}

function givenMetadata({ options }: Context, repo: Repo, parent: string | undefined): MetadataEntry[] {
  const kept = options.values('keep-metadata');
  if (kept.length > 0 && parent === undefined)
    throw optionError('Either --branch or --parent must be specified when using --keep-metadata');
  const entries = [
    ...stringEntries(options.values('add-metadata-string')),
    ...variantEntries(options.values('add-metadata')),
    ...(kept.length > 0 ? keptEntries(repo.commit(parent as string), parent as string, kept) : []),
  ];
  refuseComposefsKeys(entries);
  return entries;
}

function modifierOf({ options }: Context, repo: Repo): Modifier {
  const uid = ownerOf(options.integer('owner-uid'));
  const gid = ownerOf(options.integer('owner-gid'));
  for (const [id, name] of [
    [uid, 'uid'],
    [gid, 'gid'],
  ] as const) {
    if (options.has('canonical-permissions') && (id ?? 0) > 0)
      throw optionError(`Cannot specify both --canonical-permissions and non-zero --owner-${name}`);
  }
  const canonicalPermissions = options.has('canonical-permissions') || repo.mode === 'bare-user-only';
  return {
    uid,
    gid,
    readOnlyExecutables: options.has('mode-ro-executables'),
    canonicalPermissions,
    skipXattrs: canonicalPermissions || options.has('no-xattrs') || repo.disableXattrs,
  };
}

function ownerOf(id: bigint | undefined): number | undefined {
  return id === undefined || id < 0n ? undefined : Number(id);
}

/** Whether files or directories of a commit may not be taken as they are. */
function modifies({ options }: Context, repo: Repo): boolean {
  const modifying = [
    'canonical-permissions',
    'no-xattrs',
    'consume',
    'generate-sizes',
    'devino-canonical',
    'statoverride',
    'skip-list',
    'mode-ro-executables',
  ];
  return (
    repo.mode === 'bare-user-only' ||
    modifying.some((name) => options.has(name)) ||
    ownerOf(options.integer('owner-uid')) !== undefined ||
    ownerOf(options.integer('owner-gid')) !== undefined
  );
}

function bodyOf({ options }: Context): ByteString {
  const file = options.value('body-file');
  return file === undefined ? (options.value('body') ?? byteString('')) : readText(file);
}

function wantsLinks({ options }: Context): boolean {
  return options.has('link-checkout-speedup') || options.has('devino-canonical');
}

function baseOf({ options }: Context, repo: Repo): { dirtree: string; dirmeta: string } | undefined {
  const base = options.value('base');
  if (base === undefined) return undefined;
  const { rootDirtree, rootDirmeta } = repo.commit(repo.resolveRev(base));
  return { dirtree: rootDirtree, dirmeta: rootDirmeta };
}

/** @returns the directories that `--consume` wants removed in the end */
async function addTrees(context: Context, repo: Repo, source: CommitSource): Promise<ByteString[]> {
  const { args, options } = context;
  const consumed: ByteString[] = [];
  const trees = options.values('tree');
  const all = trees.length > 0 ? trees : [byteString(`dir=${args[0] ?? '.'}`)];
  for (const tree of all) {
    const equals = tree.indexOf('=');
    if (equals < 0) throw optionError(`Missing type in tree specification '${displayByteString(tree)}'`);
    const type = tree.slice(0, equals);
    const what = byteString(tree.slice(equals + 1));
    switch (type) {
      case 'dir':
        await source.addDirectory(what);
        if (options.has('consume')) consumed.push(what);
        break;
      case 'ref':
        await source.addCommit(repo.resolveRev(what), { modify: modifies(context, repo) });
        break;
      case 'tar':
        throw new SealtreeError(
          'unsupported',
          '--tree=tar= is not part of sealtree; see docs/compatibility.md',
        );
      default:
        throw optionError(`Invalid tree type specification '${displayByteString(byteString(type))}'`);
    }
  }
  return consumed;
}

function isTreeOf(repo: Repo, commit: string, root: { dirtree: string; dirmeta: string }): boolean {
  const { rootDirtree, rootDirmeta } = repo.commit(commit);
  return rootDirtree === root.dirtree && rootDirmeta === root.dirmeta;
}

async function completeMetadata(
  context: Context,
  repo: Repo,
  source: CommitSource,
  root: { dirtree: string; dirmeta: string },
  given: MetadataEntry[],
  branch: ByteString | undefined,
): Promise<MetadataEntry[]> {
  const { options } = context;
  let metadata = given;
  if (!options.has('no-bindings')) {
    const refs = [...(branch === undefined ? [] : [branch]), ...options.values('bind-ref')];
    metadata = withBindings(metadata, { refs, collectionId: repo.config.get('core', 'collection-id') });
  }
  if (options.has('bootable')) {
    const version = kernelVersion(root.dirtree, (checksum) => source.objects.dirtree(checksum));
    metadata = withKernel(metadata, version);
  }
  if (options.has('generate-composefs-metadata')) {
    const digest = await source.composefsDigest(root);
    metadata = withComposefsDigest(metadata, digest, composefsKeys(context));
  }
  return withSizes(metadata, [...source.objects.sizes.values()]);
}

function composefsKeys({ program, options }: Context): ComposefsKeys {
  const given: string | undefined = options.value('composefs-key');
  if (given === undefined) return program === 'ostree' ? 'digest.v0' : 'both';
  if (given === 'both' || given === 'digest.v0') return given;
  throw optionError(
    `--composefs-key: expected both or digest.v0, not '${displayByteString(byteString(given))}'`,
  );
}

function writeCommit(
  context: Context,
  transaction: Transaction,
  {
    parent,
    metadata,
    body,
    root,
  }: {
    parent: string | undefined;
    metadata: readonly MetadataEntry[];
    body: ByteString;
    root: { dirtree: string; dirmeta: string };
  },
): string {
  if (metadata.some(([key]) => key === '')) throw malformed('Empty metadata key');
  const commit: Commit = {
    metadata,
    parent,
    subject: context.options.value('subject') ?? byteString(''),
    body,
    timestamp: BigInt.asUintN(64, timestampOf(context)),
    rootDirtree: root.dirtree,
    rootDirmeta: root.dirmeta,
  };
  return transaction.writeMetadata('commit', encodeCommit(commit));
}

/** `--timestamp`, else SOURCE_DATE_EPOCH, else now. */
function timestampOf({ options }: Context): bigint {
  const given = options.value('timestamp');
  if (given !== undefined) {
    const time = given === 'now' ? now() : parseTimestamp(displayByteString(given), localOffset);
    if (time === undefined) throw optionError(`Could not parse '${displayByteString(given)}'`);
    return time;
  }
  const epoch = process.env.SOURCE_DATE_EPOCH;
  if (epoch === undefined) return now();
  const number = /^\s*([+-]?[0-9]+)/.exec(epoch)?.[1];
  if (number === undefined) throw optionError('Failed to convert SOURCE_DATE_EPOCH');
  const time = BigInt(number);
  if (BigInt.asIntN(64, time) !== time)
    throw optionError('Parsing SOURCE_DATE_EPOCH: Numerical result out of range');
  return time;
}

function now(): bigint {
  return BigInt(Math.floor(Date.now() / 1000));
}

function localOffset(year: number, month: number, day: number, hour: number, minute: number): number {
  return -60 * new Date(year, month - 1, day, hour, minute).getTimezoneOffset();
}

/** Writes what goes beside the commit, then makes all of it visible. A failure leaves no key file behind either. */
function signAndPublish(
  context: Context,
  repo: Repo,
  transaction: Transaction,
  checksum: string,
  detached: readonly MetadataEntry[],
  branch: ByteString | undefined,
): void {
  const keyFile = transientKeyFile(context);
  try {
    const staged = transaction.readStaged(checksum, 'commit');
    const data = staged ?? repo.readObject('commit', checksum);
    let meta: MetadataEntry[] | undefined = detached.length > 0 ? [...detached] : undefined;
    for (const secret of secrets(context, keyFile)) {
      try {
        meta = withSignature(
          meta ?? repo.commitmeta(checksum) ?? [],
          ED25519_SIGNATURES_KEY,
          secret.sign(data),
        );
      } finally {
        secret.destroy();
      }
    }
    if (meta !== undefined) transaction.writeCommitmeta(checksum, encodeCommitmeta(meta));
    if (branch !== undefined) transaction.setRef(branch, checksum);
    transaction.commit();
  } catch (error) {
    if (keyFile !== undefined) rmSync(fsPath(keyFile), { force: true });
    throw error;
  }
}

/** Every secret that the commit is to be signed with; each lives until the next is asked for. */
function* secrets({ options }: Context, transientFile: ByteString | undefined): Generator<Secret> {
  for (const key of options.values('sign')) if (key !== '') yield secretFromBase64(key);
  for (const path of options.values('sign-from-file')) yield secretFromFile(path);
  const descriptor = descriptorOption(options, 'sign-fd');
  if (descriptor !== undefined) yield secretFromDescriptor(descriptor);
  if (transientFile !== undefined) yield makeTransientSecret(transientFile);
}

function transientKeyFile({ options, program }: Context): ByteString | undefined {
  const given = options.value('sign-transient');
  if (given !== undefined) return given;
  if (!options.values('sign').includes(byteString(''))) return undefined;
  if (program === 'ostree') throw optionError('Missing argument for --sign');
  return TRANSIENT_KEY_FILE;
}

function requireKnownSignType(context: Context): void {
  const { options } = context;
  transientKeyFile(context);
  const type = options.value('sign-type') ?? 'ed25519';
  const signs = ['sign', 'sign-from-file', 'sign-fd', 'sign-transient'].some((name) => options.has(name));
  if (signs && type !== 'ed25519')
    throw new SealtreeError('unsupported', 'Requested signature type is not implemented');
}

function fsyncOption({ options }: Context): boolean | undefined {
  if (options.has('disable-fsync')) return false;
  const value = options.value('fsync');
  if (value === undefined) return undefined;
  if (/^(1|true|yes)$/i.test(value)) return undefined;
  if (/^(0|false|no|none)$/i.test(value)) return false;
  throw optionError(`Invalid boolean argument '${displayByteString(value)}'`);
}

function print(
  { options, stdout }: Context,
  checksum: string,
  { stats }: Transaction,
  { linkHits }: CommitSource,
): void {
  if (!options.has('table-output')) {
    stdout.line(checksum);
    return;
  }
  stdout.line(`Commit: ${checksum}`);
  stdout.line(`Metadata Total: ${stats.metadataTotal}`);
  stdout.line(`Metadata Written: ${stats.metadataWritten}`);
  stdout.line(`Content Total: ${stats.contentTotal}`);
  stdout.line(`Content Written: ${stats.contentWritten}`);
  stdout.line(`Content Cache Hits: ${linkHits}`);
  stdout.line(`Content Bytes Written: ${stats.contentBytesWritten}`);
}

/** A whole text file, or what a pipe gives. */
function readText(path: ByteString): ByteString {
  let text: ByteString;
  try {
    text = byteString(readFileSync(fsPath(path)).toString('latin1'));
  } catch (error) {
    throw ioError(`openat(${displayByteString(path)})`, error);
  }
  if (decodeUtf8(text) === undefined) throw malformed('Invalid UTF-8');
  return text;
}
