/** `ostree checkout`: a commit as a directory, or as its composefs image. @module */
import { readSync } from 'node:fs';
import {
  type ByteString,
  byteString,
  byteStringFrom,
  displayByteString,
  utf8ByteString,
} from '../../core/bytes/byte-string.ts';
import { prefixed, SealtreeError } from '../../core/errors.ts';
import { readFileLimited } from '../../node/read-file.ts';
import { checkOut } from '../../repo/checkout.ts';
import { checkOutComposefs } from '../../repo/checkout-composefs.ts';
import type { CheckoutOptions } from '../../repo/checkout-options.ts';
import type { Repo } from '../../repo/repo.ts';
import { lookUp, rootOf, type TreeEntry } from '../../repo/tree-path.ts';
import { writeSettings } from '../../repo/write-settings.ts';
import { absolutePath, openRepository } from '../repository.ts';
import { optionError, usageError } from '../usage.ts';
import type { Context, OptionValues, Verb } from '../verb.ts';

/** Bytes of a list that is read whole: `--skip-list`, `--from-file`. */
const LIST_LIMIT = 256 * 1024 * 1024;

/** Options that the real tool serves by a newer function, with a few other manners. */
const NEWER_OPTIONS = [
  'disable-cache',
  'whiteouts',
  'require-hardlinks',
  'union-add',
  'force-copy',
  'force-copy-zerosized',
  'bareuseronly-dirs',
  'union-identical',
  'skip-list',
  'process-passthrough-whiteouts',
];

const EXCLUSIVE = [
  ['union', 'union-add'],
  ['union', 'union-identical'],
  ['union-add', 'union-identical'],
  ['require-hardlinks', 'force-copy'],
] as const;

export const verb: Verb = {
  tool: 'ostree',
  path: ['checkout'],
  summary: 'Write the tree of a commit to a directory, or its composefs image to a file',
  operands: 'COMMIT [DESTINATION]',
  options: [
    {
      flags: '-U, --user-mode',
      description: 'Write contents and modes, leave owners and extended attributes',
    },
    {
      flags: '--disable-cache',
      description: 'Neither read nor fill the cache of unpacked objects in an archive repository',
    },
    { flags: '--subpath <path>', description: 'Write what is below this directory of the commit' },
    { flags: '--union', description: 'Write into directories that are there, replace files' },
    {
      flags: '--union-add',
      description: 'Write into directories that are there, leave files that are there',
    },
    {
      flags: '--union-identical',
      description: 'Write into directories that are there, fail at a file that is there with another content',
    },
    { flags: '--whiteouts', description: 'A file .wh.NAME of the commit removes NAME' },
    {
      flags: '--process-passthrough-whiteouts',
      description: "A file .ostree-wh.NAME of the commit becomes overlayfs's whiteout for NAME, a device 0:0",
    },
    {
      flags: '--allow-noent',
      description: 'Succeed without doing anything if there is no such path in the commit',
    },
    {
      flags: '--from-stdin',
      description: 'Read commits and paths from standard input, each ended by a NUL byte',
    },
    {
      flags: '--from-file <file>',
      description: 'Read commits and paths from a file, each ended by a NUL byte',
      kind: 'text',
    },
    {
      flags: '--fsync <policy>',
      description: 'With false, do not wait until all is on the disk',
      kind: 'text',
    },
    {
      flags: '-H, --require-hardlinks',
      description: 'Fail where a hard link to the object is not possible',
    },
    { flags: '-z, --force-copy-zerosized', description: 'Copy empty files, link the others' },
    { flags: '-C, --force-copy', description: 'Copy every file; a copy that shares blocks will do' },
    {
      flags: '-M, --bareuseronly-dirs',
      description: 'Give directories no mode bits beyond 0775',
    },
    { flags: '--skip-list <file>', description: 'File of paths that are left out' },
    {
      flags: '--composefs',
      description: 'Write the composefs image of the commit, with fs-verity on if it can be',
    },
    {
      flags: '--composefs-noverity',
      description: 'The same, without the digests of the files',
    },
  ],
  examples: [
    'sealtree checkout --repo=repo main rootfs',
    'sealtree checkout --repo=repo -U -H --subpath=/usr/share main share',
    'sealtree checkout --repo=repo --composefs main main.cfs',
  ],
  description: [
    'A directory has mode 0700 until all is in it. A checkout that fails leaves what it had made by then, as ostree ' +
      'does, but never part of a file. --composefs reads every object, and fails at the first that is damaged.',
  ],
  run,
};

async function run(context: Context): Promise<void> {
  const { args, options } = context;
  const fsync = parseFsync(options.value('fsync'));
  const repo = openRepository(context);
  const [rev, destination = rev] = args;
  if (rev === undefined || destination === undefined) throw usageError('COMMIT must be specified');
  if (options.has('from-stdin') || options.has('from-file')) {
    for (const { revision, subpath } of manyCheckouts(options)) {
      const commit = repo.resolveRev(revision);
      try {
        await checkOutOne(repo, options, fsync, commit, subpath, rev);
      } catch (error) {
        throw prefixed(`Processing tree ${commit}`, error);
      }
    }
    return;
  }
  await checkOutOne(repo, options, fsync, repo.resolveRev(rev), options.value('subpath'), destination);
}

async function checkOutOne(
  repo: Repo,
  options: OptionValues,
  fsync: boolean,
  commit: string,
  subpath: ByteString | undefined,
  destination: ByteString,
): Promise<void> {
  const newer = NEWER_OPTIONS.some((name) => options.has(name));
  if (options.has('composefs') || options.has('composefs-noverity')) {
    if (newer) throw optionError('Specified options are incompatible with --composefs');
    const digests = options.has('composefs-noverity') ? 'none' : 'all';
    await checkOutComposefs(repo, commit, destination, { digests, cache: true });
    return;
  }
  if (newer) requireCompatible(options);
  const source = findSource(repo, commit, subpath, options.has('allow-noent') && !newer);
  if (source !== undefined)
    await checkOut(repo, source, destination, checkoutOptions(repo, options, fsync, !newer));
}

function requireCompatible(options: OptionValues): void {
  for (const [a, b] of EXCLUSIVE) {
    if (options.has(a) && options.has(b)) throw optionError(`Cannot specify both --${a} and --${b}`);
  }
  if (options.has('union-identical') && !options.has('require-hardlinks')) {
    throw optionError('--union-identical requires --require-hardlinks');
  }
}

/** Undefined if it is missing and may be. */
function findSource(
  repo: Repo,
  commit: string,
  subpath: ByteString | undefined,
  mayBeMissing: boolean,
): TreeEntry | undefined {
  const root = rootOf(repo, commit);
  try {
    return subpath === undefined ? root : lookUp(repo, root, subpath);
  } catch (error) {
    const missing = error instanceof SealtreeError && error.message.startsWith('No such file or directory');
    if (mayBeMissing && missing) return undefined;
    throw error;
  }
}

function checkoutOptions(repo: Repo, options: OptionValues, fsync: boolean, cache: boolean): CheckoutOptions {
  const skipList = options.value('skip-list');
  return {
    mode: options.has('user-mode') ? 'user' : 'none',
    overwrite: overwriteOf(options),
    whiteouts: options.has('whiteouts'),
    passthroughWhiteouts: options.has('process-passthrough-whiteouts'),
    requireHardlinks: options.has('require-hardlinks'),
    forceCopy: options.has('force-copy'),
    canonicalDirectories: options.has('bareuseronly-dirs'),
    cache,
    fsync: fsync && writeSettings(repo.config).fsync,
    skip: skipList === undefined ? undefined : new Set(readList(skipList)),
  };
}

function overwriteOf(options: OptionValues): CheckoutOptions['overwrite'] {
  if (options.has('union')) return 'union';
  if (options.has('union-add')) return 'add';
  return options.has('union-identical') ? 'identical' : 'none';
}

function parseFsync(value: ByteString | undefined): boolean {
  if (value === undefined || /^(?:1|true|yes)$/i.test(value)) return true;
  if (/^(?:0|false|no|none)$/i.test(value)) return false;
  throw optionError(`Invalid boolean argument '${displayByteString(value)}'`);
}

function readList(path: ByteString): ByteString[] {
  return readText(path)
    .split('\n')
    .filter((line) => line !== '')
    .map(byteString);
}

function readText(
  path: ByteString,
  problemOf: (name: string) => string = (name) => `openat(${name})`,
): string {
  const data = readFileLimited(path, displayByteString(path), LIST_LIMIT);
  if (data !== undefined) return byteStringFrom(data);
  throw new SealtreeError('missing', `${problemOf(displayByteString(path))}: No such file or directory`);
}

function fileProblem(name: string): string {
  return `Error opening file ${displayByteString(absolutePath(utf8ByteString(name)))}`;
}

/** Revisions and paths, each ended by a NUL byte; an empty revision ends them all. */
function manyCheckouts(options: OptionValues): { revision: ByteString; subpath: ByteString }[] {
  const given = options.has('from-stdin') ? undefined : options.value('from-file');
  const text = given === undefined ? readStandardInput() : readText(given, fileProblem);
  const words = text.split('\0');
  const checkouts: { revision: ByteString; subpath: ByteString }[] = [];
  for (let i = 0; i < words.length && words[i] !== ''; i += 2) {
    checkouts.push({ revision: byteString(words[i] ?? ''), subpath: byteString(words[i + 1] ?? '') });
  }
  return checkouts;
}

function readStandardInput(): string {
  const buffer = Buffer.alloc(64 * 1024);
  let text = '';
  for (;;) {
    const length = readSync(0, buffer);
    if (length === 0) return text;
    text += byteStringFrom(buffer.subarray(0, length));
    if (text.length > LIST_LIMIT)
      throw new SealtreeError('malformed', `standard input: more than ${LIST_LIMIT} bytes`);
  }
}
