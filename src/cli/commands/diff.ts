/** `ostree diff`: what differs between two commits, or a commit and a directory. @module */
import { lstatSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { SealtreeError } from '../../core/errors.ts';
import { fsPath } from '../../node/fs-path.ts';
import { ioError } from '../../node/io-error.ts';
import {
  commitDirectory,
  type DiffDirectory,
  type DiffOptions,
  diffTrees,
  fileSystemDirectory,
} from '../../repo/diff.ts';
import { type ObjectName, reachableObjects, repositoryLinks } from '../../repo/reachable.ts';
import type { Repo } from '../../repo/repo.ts';
import { formatSize } from '../format-size.ts';
import type { Output } from '../output.ts';
import { absolutePath, openRepository } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['diff'],
  summary: 'Compare commits or directories with each other',
  operands: 'REV_OR_DIR REV_OR_DIR',
  options: [
    { flags: '--stats', description: 'Print how much the two commits have in common' },
    { flags: '--fs-diff', description: 'Print which files differ' },
    { flags: '--no-xattrs', description: 'Do not compare extended attributes' },
    {
      flags: '--owner-uid <uid>',
      description: 'Take this user for the owner of all files of a directory',
      kind: 'int',
    },
    {
      flags: '--owner-gid <gid>',
      description: 'Take this group for the group of all files of a directory',
      kind: 'int',
    },
  ],
  examples: ['sealtree diff --repo=repo main', 'sealtree diff --repo=repo main ./rootfs'],
  description: [
    'One operand is compared with its parent. An operand that begins with / or ./ is a directory, any other a revision.',
  ],
  run,
};

function run(context: Context): void {
  const { args, options, stdout } = context;
  const repo = openRepository(context);
  const [first, second] = args;
  if (first === undefined) throw usageError('REV must be specified');
  const source = second === undefined ? byteString(`${first}^`) : first;
  const target = second ?? first;
  if (options.has('fs-diff') || !options.has('stats')) printDifferences(context, repo, source, target);
  if (options.has('stats')) printStatistics(stdout, repo, source, target);
}

function printDifferences(
  { options, stdout }: Context,
  repo: Repo,
  source: ByteString,
  target: ByteString,
): void {
  // Xattrs do not count where the repository does not keep them.
  const involved = !isPath(source) || !isPath(target);
  const kept = !repo.disableXattrs && repo.mode !== 'bare-user-only';
  const xattrs = !options.has('no-xattrs') && (kept || !involved);
  const plain: DiffOptions = { xattrs, uid: undefined, gid: undefined };
  const uid = ownerOf(options.integer('owner-uid'));
  const gid = ownerOf(options.integer('owner-gid'));
  const a = directoryOf(repo, source, plain);
  const b = directoryOf(repo, target, { xattrs, uid, gid });
  const { modified, removed, added } = diffTrees(a, b);
  for (const path of modified) stdout.write(byteString(`M    ${path}\n`));
  for (const path of removed) stdout.write(byteString(`D    ${path}\n`));
  for (const path of added) stdout.write(byteString(`A    ${path}\n`));
}

function directoryOf(repo: Repo, operand: ByteString, options: DiffOptions): DiffDirectory {
  if (!isPath(operand)) return commitDirectory(repo, repo.resolveRev(operand));
  const path = absolutePath(operand);
  try {
    lstatSync(fsPath(path));
  } catch (error) {
    throw ioError(`Error when getting information for file “${displayByteString(path)}”`, error);
  }
  return fileSystemDirectory(path, options);
}

function isPath(operand: ByteString): boolean {
  return operand.startsWith('/') || operand.startsWith('./');
}

function ownerOf(given: bigint | undefined): number | undefined {
  return given === undefined || given < 0n ? undefined : Number(given);
}

function printStatistics(stdout: Output, repo: Repo, source: ByteString, target: ByteString): void {
  const [a, b] = [repo.resolveRev(source), repo.resolveRev(target)].map((commit) =>
    reachableObjects(repositoryLinks(repo), [commit]),
  ) as [ObjectName[], ObjectName[]];
  stdout.line(`[A] Object Count: ${a.length}`);
  stdout.line(`[B] Object Count: ${b.length}`);
  const known = new Set(b.map(keyOf));
  const common = a.filter((object) => known.has(keyOf(object)));
  stdout.line(`Common Object Count: ${common.length}`);
  let size = 0;
  for (const object of common) size += storedSize(repo, object);
  stdout.line(`Common Object Size: ${formatSize(size)}`);
}

function keyOf({ type, checksum }: ObjectName): string {
  return `${checksum}.${type}`;
}

function storedSize(repo: Repo, object: ObjectName): number {
  const status = lstatSync(fsPath(repo.objectFile(object.type, object.checksum)), { throwIfNoEntry: false });
  if (status !== undefined) return status.size;
  throw new SealtreeError('missing', `Querying object ${keyOf(object)}: No such file or directory`);
}
