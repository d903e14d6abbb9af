/** `ostree show`: a commit, its metadata, or any other object. @module */
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { hexOf, isChecksum } from '../../core/bytes/hex.ts';
import { malformed, SealtreeError } from '../../core/errors.ts';
import { isSymlink } from '../../core/fs/mode.ts';
import { decodeVariant } from '../../core/gvariant/decode.ts';
import { printVariant } from '../../core/gvariant/text-print.ts';
import { isTypeString } from '../../core/gvariant/type.ts';
import type { Value } from '../../core/gvariant/value.ts';
import { COMMIT_TYPE, type MetadataEntry } from '../../core/ostree/commit.ts';
import { lookup } from '../../core/ostree/metadata.ts';
import { MAX_METADATA_SIZE } from '../../core/ostree/objects.ts';
import { objectSizes } from '../../core/ostree/sizes.ts';
import { xattrsValue } from '../../core/ostree/xattrs.ts';
import { readFileLimited } from '../../node/read-file.ts';
import type { Repo } from '../../repo/repo.ts';
import { dumpObject, dumpVariant } from '../dump-object.ts';
import { formatSize } from '../format-size.ts';
import type { Output } from '../output.ts';
import { openRepository } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['show'],
  summary: 'Print a commit or another metadata object',
  operands: 'OBJECT',
  options: [
    { flags: '--print-related', description: 'Print the related commits that it names' },
    {
      flags: '--print-variant-type <type>',
      description: 'Print a file as GVariant of this type',
      kind: 'text',
    },
    { flags: '--list-metadata-keys', description: "List the keys of the commit's metadata" },
    {
      flags: '--print-metadata-key <key>',
      description: "Print one value of the commit's metadata",
      kind: 'text',
    },
    {
      flags: '--print-hex',
      description: 'Print bytes as hexadecimal digits',
    },
    {
      flags: '--list-detached-metadata-keys',
      description: 'List the keys of the metadata beside the commit',
    },
    {
      flags: '--print-detached-metadata-key <key>',
      description: 'Print one value of the metadata beside the commit',
      kind: 'text',
    },
    { flags: '--print-sizes', description: 'Print what the commit says of the sizes of its objects' },
    { flags: '--raw', description: 'Print the object as GVariant text' },
    {
      flags: '-B, --no-byteswap',
      description: 'Print numbers of the metadata in the byte order they are stored in',
    },
  ],
  examples: [
    'sealtree show --repo=repo main',
    'sealtree show --repo=repo --print-metadata-key=ostree.composefs.digest.v0 --print-hex main',
  ],
  run,
};

function run(context: Context): void {
  const { args, options, stdout } = context;
  const repo = openRepository(context);
  const [rev] = args;
  if (rev === undefined) throw usageError('An object argument is required');
  const detachedKey = options.value('print-detached-metadata-key');
  const key = detachedKey ?? options.value('print-metadata-key');
  const type = options.value('print-variant-type');
  if (key !== undefined) {
    printKey(context, readMetadata(repo, repo.resolveRev(rev), detachedKey !== undefined), key);
  } else if (options.has('list-metadata-keys') || options.has('list-detached-metadata-keys')) {
    const detached = options.has('list-detached-metadata-keys');
    const keys = readMetadata(repo, repo.resolveRev(rev), detached).map(([name]) => name);
    for (const name of keys.sort()) stdout.write(byteString(`${name}\n`));
  } else if (options.has('print-related')) {
    printRelated(stdout, repo, repo.resolveRev(rev));
  } else if (type !== undefined) {
    printFile(stdout, type, rev);
  } else if (options.has('print-sizes')) {
    printSizes(stdout, repo, repo.resolveRev(rev));
  } else {
    printObject(context, repo, rev);
  }
}

function printObject({ options, stdout }: Context, repo: Repo, rev: ByteString): void {
  const dump = { raw: options.has('raw'), unswapped: options.has('no-byteswap') };
  if (!isChecksum(rev)) {
    dumpObject(stdout, repo, 'commit', repo.resolveRev(rev), dump);
    return;
  }
  const type = (['commit', 'dirmeta', 'dirtree'] as const).find((candidate) =>
    repo.hasObject(candidate, rev),
  );
  if (type !== undefined) dumpObject(stdout, repo, type, rev, dump);
  else printFileObject(stdout, repo, rev);
}

function printFileObject(stdout: Output, repo: Repo, checksum: string): void {
  const { header, size } = repo.file(checksum);
  const xattrs = printVariant('a(ayay)', xattrsValue(header.xattrs), { annotate: true });
  const lines = [
    `Object: ${checksum}`,
    'Type: file',
    ...(isSymlink(header.mode)
      ? ['File Type: symlink', `Target: ${header.symlinkTarget}`]
      : ['File Type: regular', `Size: ${size}`]),
    `Mode: 0${header.mode.toString(8).padStart(4, '0')}`,
    `Uid: ${header.uid}`,
    `Gid: ${header.gid}`,
    `Extended Attributes: { ${xattrs} }`,
  ];
  stdout.write(byteString(`${lines.join('\n')}\n`));
}

function readMetadata(repo: Repo, commit: string, detached: boolean): readonly MetadataEntry[] {
  if (!detached) return repo.commit(commit).metadata;
  const metadata = repo.commitmeta(commit);
  if (metadata !== undefined) return metadata;
  throw new SealtreeError('missing', `No detached metadata for commit ${commit}`, { checksum: commit });
}

function printKey({ options, stdout }: Context, metadata: readonly MetadataEntry[], key: ByteString): void {
  const found = lookup(metadata, key);
  if (found === undefined) {
    throw new SealtreeError('missing', `No such metadata key '${displayByteString(key)}'`);
  }
  const { type, value } = found;
  if (options.has('print-hex') && type === 'ay') stdout.line(hexOf(value as Uint8Array));
  else if (options.has('no-byteswap')) {
    stdout.write(byteString(`${printVariant(type, value, { annotate: true })}\n`));
  } else dumpVariant(stdout, type, value);
}

/** No commit has any since ostree lost the use for them, but the field is still there. */
function printRelated(stdout: Output, repo: Repo, commit: string): void {
  const [, , related] = decodeVariant(
    COMMIT_TYPE,
    repo.readObject('commit', commit),
    `${commit}.commit`,
  ) as Value[];
  for (const [name, checksum] of related as [ByteString, Uint8Array][]) {
    stdout.write(byteString(`${name} ${hexOf(checksum)}\n`));
  }
}

function printFile(stdout: Output, type: ByteString, path: ByteString): void {
  if (!isTypeString(type)) throw malformed(`Invalid GVariant type string '${displayByteString(type)}'`);
  const name = displayByteString(path);
  const data = readFileLimited(path, name, MAX_METADATA_SIZE);
  if (data === undefined) throw new SealtreeError('missing', `openat(${name}): No such file or directory`);
  dumpVariant(stdout, type, decodeVariant(type, data, name));
}

function printSizes(stdout: Output, repo: Repo, commit: string): void {
  const all = { archived: 0n, unpacked: 0n, objects: 0 };
  const needed = { archived: 0n, unpacked: 0n, objects: 0 };
  for (const { type, checksum, archived, unpacked } of objectSizes(repo.commit(commit))) {
    for (const sum of repo.hasObject(type, checksum) ? [all] : [all, needed]) {
      sum.archived += archived;
      sum.unpacked += unpacked;
      sum.objects++;
    }
  }
  stdout.line(`Compressed size (needed/total): ${formatSize(needed.archived)}/${formatSize(all.archived)}`);
  stdout.line(`Unpacked size (needed/total): ${formatSize(needed.unpacked)}/${formatSize(all.unpacked)}`);
  stdout.line(`Number of objects (needed/total): ${needed.objects}/${all.objects}`);
}
