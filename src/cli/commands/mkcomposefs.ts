/** `mkcomposefs`: a directory or a dump file to a composefs image. @module */
import { availableParallelism } from 'node:os';
import { type ByteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { DEFAULT_VERSIONS, type FormatVersions } from '../../core/erofs/order.ts';
import { writeImage } from '../../core/erofs/writer.ts';
import { prefixed, SealtreeError } from '../../core/errors.ts';
import type { Inode } from '../../core/fs/file-tree.ts';
import type { Hash } from '../../core/hash.ts';
import { digestImage, openPendingFile, type PendingFile } from '../../image/image-file.ts';
import { optimizeLater } from '../../node/engine.ts';
import { blockHash, nativeHash, opensslHash } from '../../node/hash.ts';
import { plainError } from '../../node/io-error.ts';
import { readDumpFile } from '../../source/dump-file.ts';
import type { Output } from '../output.ts';
import { optionError, usageError } from '../usage.ts';
import type { Context, OptionValues, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'mkcomposefs',
  path: ['mkcomposefs'],
  summary: 'Make a composefs image of a directory or a dump file',
  operands: 'SOURCE IMAGE',
  options: [
    {
      flags: '--digest-store <path>',
      description: 'Copy the content that is not in the image to this directory',
    },
    { flags: '--use-epoch', description: 'Make all modification times zero' },
    { flags: '--skip-devices', description: 'Leave out device nodes' },
    { flags: '--skip-xattrs', description: 'Leave out extended attributes' },
    { flags: '--user-xattrs', description: 'Take only user.* extended attributes' },
    { flags: '--print-digest', description: 'Print the fs-verity digest of the image' },
    { flags: '--print-digest-only', description: 'Print the digest and write no image' },
    { flags: '--from-file', description: 'SOURCE is a dump file, not a directory; - is standard input' },
    { flags: '--min-version <n>', description: 'Lowest format version to write (default: 0)' },
    { flags: '--max-version <n>', description: 'Highest format version to write (default: 1)' },
    {
      flags: '--threads <n>',
      description: 'Threads that digest and copy files (default: as many as there are processors)',
    },
  ],
  examples: [
    'sealtree mkcomposefs --digest-store=objects /usr/share/doc doc.cfs',
    'sealtree mkcomposefs --from-file --print-digest-only tree.dump',
  ],
  description: [
    'The image is a read-only EROFS file system that holds names and metadata; the content of files above 64 bytes ' +
      'stays outside, in an object directory, and is named by its fs-verity digest. The same tree always becomes the ' +
      'same image, so the digest of the image stands for the whole tree.',
    'IMAGE is replaced when the new image is complete; on any failure it is as it was. Where its directory does not ' +
      'let it be replaced it is written in place, and empty if that fails halfway. With - the image goes to standard ' +
      'output.',
    'If one of --min-version and --max-version is given, the other one counts as 0.',
  ],
  run,
};

async function run({ args, options, stdout }: Context): Promise<void> {
  const versions = versionsOf(options);
  const threads = threadsOf(options);
  const digestOnly = options.has('print-digest-only');
  const [source, image] = operandsOf(args, digestOnly);
  const output = digestOnly ? NOWHERE : image === '-' ? streamTo(stdout) : openImage(image as ByteString);
  try {
    const isDump = options.has('from-file');
    const tree = isDump ? readDump(source) : await scan(source, options, threads);
    // Foreign functions have been loaded for a directory only.
    const hash = isDump ? (nativeHash() ?? opensslHash) : blockHash();
    const digest = write(tree, versions, options, output, hash);
    output.finish();
    if (digest !== undefined) stdout.line(digest);
  } catch (error) {
    output.discard();
    throw error;
  }
}

const NOWHERE: PendingFile = { write() {}, finish() {}, discard() {} };

function openImage(path: ByteString): PendingFile {
  return openPendingFile(path, 'failed to open output file');
}

function streamTo(stdout: Output): PendingFile {
  if (stdout.isTerminal) throw new SealtreeError('io', 'stdout is a tty.  Refusing to use it');
  return { ...NOWHERE, write: (data) => stdout.writeBytes(data) };
}

/** Writes the image and returns its digest, if it is asked for. */
function write(
  tree: Inode,
  versions: FormatVersions,
  options: OptionValues,
  output: PendingFile,
  hash: Hash,
): string | undefined {
  try {
    if (options.has('print-digest') || options.has('print-digest-only')) {
      return digestImage(tree, versions, output.write, hash).digest;
    }
    writeImage(tree, versions, output.write);
    return undefined;
  } catch (error) {
    throw prefixed('cannot write file', plainError(error));
  }
}

function readDump(source: ByteString): Inode {
  optimizeLater();
  return readDumpFile(source, { strict: process.env.CFS_PARSE_STRICT !== undefined });
}

async function scan(source: ByteString, options: OptionValues, threads: number): Promise<Inode> {
  const skip = options.has('skip-xattrs');
  const user = options.has('user-xattrs');
  if (skip && user) {
    throw new SealtreeError('io', `error accessing ${displayByteString(source)}: Invalid argument`);
  }
  // Loaded only here: it brings the system calls and the workers, which dump files do not need.
  const { scanDirectory } = await import('../../source/directory.ts');
  optimizeLater();
  return scanDirectory(source, {
    xattrs: skip ? 'none' : user ? 'user' : 'all',
    useEpoch: options.has('use-epoch'),
    skipDevices: options.has('skip-devices'),
    digestStore: options.value('digest-store'),
    threads,
  });
}

function operandsOf(args: readonly ByteString[], digestOnly: boolean): [ByteString, ByteString?] {
  const [source, image] = args;
  if (source === undefined) throw usageError('No source path specified');
  if (source === '') throw new SealtreeError('missing', 'Empty source path specified');
  if (args.length > 2) throw usageError('Too many arguments');
  if (image === undefined) {
    if (!digestOnly) throw usageError('No destination path specified');
    return [source];
  }
  if (digestOnly) throw usageError('Cannot specify destination path with --print-digest-only');
  return [source, image];
}

/** The one of the two that is not given counts as 0, not as its default. */
function versionsOf(options: OptionValues): FormatVersions {
  if (!options.has('min-version') && !options.has('max-version')) return DEFAULT_VERSIONS;
  const version = (name: string) =>
    options
      .values(name)
      .reduce(
        (_, text) => Number(BigInt.asUintN(32, parseLong(text, `Invalid ${name.replace('-', ' ')}`))),
        0,
      );
  return { minVersion: version('min-version'), maxVersion: version('max-version') };
}

function threadsOf(options: OptionValues): number {
  return options.values('threads').reduce((_, text) => {
    const threads = Number(BigInt.asIntN(32, parseLong(text, 'Invalid threads count')));
    if (threads <= 0) throw optionError(`Invalid threads count ${threads}`);
    return threads;
  }, availableParallelism());
}

/** An integer as strtol(3) reads it, the whole text. */
function parseLong(text: ByteString, complaint: string): bigint {
  const match = /^[ \t\n\v\f\r]*([+-]?)([0-9]+)$/.exec(text);
  if (match === null) throw optionError(`${complaint} ${displayByteString(text)}`);
  const digits = (match[2] as string).replace(/^0+(?=.)/, '');
  const magnitude = digits.length > 19 ? 1n << 63n : BigInt(digits);
  const value = match[1] === '-' ? -magnitude : magnitude;
  const largest = (1n << 63n) - 1n;
  return value > largest ? largest : value < -largest - 1n ? -largest - 1n : value;
}
