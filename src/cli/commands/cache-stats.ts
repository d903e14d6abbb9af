/** `sealtree cache stats`: what a repository remembers of earlier commits. @module */
import { cacheFolder, cacheProblem, listCacheFiles } from '../../cache/cache-file.ts';
import { displayByteString } from '../../core/bytes/byte-string.ts';
import { formatSize } from '../format-size.ts';
import { openRepository } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

const WHAT = {
  source: 'files of a tree',
  objects: 'content objects',
  images: 'composefs images',
} as const;

export const verb: Verb = {
  tool: 'sealtree',
  path: ['cache', 'stats'],
  summary: 'print what a repository remembers of earlier commits',
  operands: '',
  options: [
    { flags: '--repo <path>', description: 'repository whose cache it is' },
    { flags: '--json', description: 'print it as JSON' },
  ],
  examples: ['sealtree cache stats --repo=repo', 'sealtree cache stats --repo=repo --json'],
  description: [
    'One line for each file of the cache, those that were used last first: its size, when it was used, its name, what it is about, and why it is not used if it is not. `source-…` is about one tree that was committed with certain options: which content object or dirmeta each of its files and directories became. `objects` has owner, mode, attributes, size and fs-verity digest of content objects, `images` the digests of composefs images.',
    'The cache lies in tmp/cache/sealtree of the repository. It may be removed at any time.',
  ],
  run,
};

function run(context: Context): void {
  if (context.args.length > 0) throw usageError('cache stats takes no operands');
  const { options, stdout } = context;
  const repo = openRepository(context);
  const files = listCacheFiles(repo).map((file) => ({
    name: displayByteString(file.name),
    kind: file.kind,
    size: file.size,
    used: new Date(file.used).toISOString(),
    problem: cacheProblem(repo, file) ?? null,
  }));
  const size = files.reduce((sum, file) => sum + file.size, 0);
  if (options.has('json')) {
    stdout.line(JSON.stringify({ path: displayByteString(cacheFolder(repo)), size, files }));
    return;
  }
  for (const file of files) {
    const what = file.problem === null ? WHAT[file.kind] : `${WHAT[file.kind]}, not used: ${file.problem}`;
    stdout.line(`${formatSize(file.size).padStart(8)}  ${file.used.slice(0, 19)}Z  ${file.name}  ${what}`);
  }
  stdout.line(`${formatSize(size).padStart(8)}  in ${files.length} files`);
}
