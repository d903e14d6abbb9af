/** `ostree pull-local`: takes commits over from another repository on this machine. @module */
import { decodeUtf8 } from '../../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../../core/errors.ts';
import { inDictOrder } from '../../core/ostree/dict-order.ts';
import { pullLocal } from '../../repo/pull-local.ts';
import { listRefs } from '../../repo/refs.ts';
import { Repo } from '../../repo/repo.ts';
import { requireWritable } from '../../repo/transaction.ts';
import { formatSize } from '../format-size.ts';
import { absolutePath, openRepository } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['pull-local'],
  summary: 'Copy commits from another repository on this machine',
  operands: 'SRC_REPO [REFS...]',
  options: [
    { flags: '--commit-metadata-only', description: 'Copy the commit objects and nothing that they lead to' },
    { flags: '--remote <remote>', description: 'Write refs below this remote', kind: 'text' },
    { flags: '--disable-fsync', description: 'Do not wait until all is on the disk' },
    {
      flags: '--per-object-fsync',
      description: 'Wait for each object by itself, so that others do not have to wait for all',
    },
    {
      flags: '--untrusted',
      description: 'Read and compare every object instead of linking it',
    },
    {
      flags: '--bareuseronly-files',
      description: 'Refuse files with mode bits beyond 0775',
    },
    { flags: '--disable-static-deltas', description: 'Taken for compatibility, does nothing' },
    {
      flags: '--disable-verify-bindings',
      description: 'Do not compare the branches that a commit names with those that are pulled',
    },
    {
      flags: '--depth <depth>',
      description: 'Copy this many parents of each commit, too; -1 for all, default 0',
      kind: 'int',
    },
  ],
  examples: [
    'sealtree pull-local --repo=repo ../build-repo',
    'sealtree pull-local --repo=repo --remote=os --untrusted ../build-repo stable',
  ],
  description: [
    'Metadata objects are read and held against their names in any case. Files are linked as they are, unless ' +
      '--untrusted is given; those that have to be written anew, because the repositories differ in mode or file ' +
      'system, are checked.',
  ],
  run,
};

async function run(context: Context): Promise<void> {
  const { args, options, stdout } = context;
  const repo = openRepository(context);
  requireWritable(repo);
  const [path, ...names] = args;
  if (path === undefined) throw usageError('DESTINATION must be specified');
  for (const name of names) {
    if (decodeUtf8(name) === undefined) throw malformed('Invalid ref name: not valid UTF-8');
  }
  const source = Repo.open(absolutePath(path));
  const started = performance.now();
  const wanted = names.length > 0 ? names : inDictOrder([...listRefs(source)]).map(([ref]) => ref);
  const { metadata, content, transferred, written } = await pullLocal(repo, source, wanted, {
    remote: options.value('remote'),
    trusted: !options.has('untrusted'),
    commitsOnly: options.has('commit-metadata-only'),
    depth: depthOf(options.integer('depth')),
    verifyBindings: !options.has('disable-verify-bindings'),
    canonicalFiles: options.has('bareuseronly-files'),
    fsync: options.has('disable-fsync') ? false : undefined,
  });
  const seconds = Math.floor((performance.now() - started) / 1000);
  const again =
    transferred === 0 ? '' : `; ${transferredText(transferred)} transferred in ${seconds} seconds`;
  stdout.line(
    `${metadata} metadata, ${content} content objects imported${again}; ${formatSize(written)} content written`,
  );
}

function transferredText(bytes: number): string {
  return bytes < 1024 ? `${bytes} B` : `${Math.floor(bytes / 1024)} KiB`;
}

function depthOf(depth: bigint | undefined): number {
  if (depth === undefined) return 0;
  if (depth < -1n)
    throw new SealtreeError('usage', `--depth: expected -1 or more, not ${depth}`, { help: 'no' });
  return Number(depth);
}
