/** `sealtree image`: makes a bootable disk from a sealed repository, or from a physical root. @module */
import { realpathSync } from 'node:fs';
import { arch } from 'node:os';
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { ROOT_TYPES } from '../../core/gpt/gpt.ts';
import { deployedSystems } from '../../disk/deployed-systems.ts';
import { type DiskOptions, writeDisk } from '../../disk/disk.ts';
import { fsPath } from '../../node/fs-path.ts';
import { ioError } from '../../node/io-error.ts';
import { sizeText } from '../progress.ts';
import { absolutePath } from '../repository.ts';
import { parseSize } from '../size.ts';
import { optionError, usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

/** Names that Node has for what uname(2) calls otherwise. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'x86_64',
  ia32: 'i686',
  arm64: 'aarch64',
  arm: 'armv7l',
  ppc64: 'ppc64le',
  loong64: 'loongarch64',
};

const DEFAULT_FREE = 1024 ** 3;

export const verb: Verb = {
  tool: 'sealtree',
  path: ['image'],
  summary: 'make a bootable disk',
  operands: '',
  options: [
    { flags: '--sysroot <directory>', description: 'physical root that has been deployed to' },
    { flags: '-o, --output <file>', description: 'where to write the disk; default disk.raw' },
    {
      flags: '--size <size>',
      description: 'bytes of the disk, such as 8G; default what is needed and 1G more',
    },
    {
      flags: '--boot <kind>',
      description: 'esp (default): FAT32 for UEFI firmware; ext4: for a boot loader that reads it',
    },
    { flags: '--boot-size <size>', description: 'bytes of the boot partition' },
    {
      flags: '--boot-file <path=file>',
      description: 'put FILE at PATH of the boot partition; may be given more than once',
    },
    { flags: '--architecture <name>', description: 'as uname -m; default that of this machine' },
    { flags: '--json', description: 'print what was made as JSON' },
  ],
  examples: ['sealtree image --sysroot=sysroot --output=disk.raw'],
  description: [
    'The disk has a GUID partition table, a boot partition with what the physical root has in /boot, and a root partition: ext4 on which every file object and every composefs image has fs-verity on. The kernel of this machine need not have fs-verity, nor need any tool be there: the Merkle trees are written as ext4 keeps them.',
    'The same root gives the same bytes. Identifiers are derived from the deployments, times come from the newest commit, or from SOURCE_DATE_EPOCH.',
  ],
  run,
};

function run(context: Context): void {
  const { args, options, stdout } = context;
  if (args.length > 0) throw usageError('image takes no operands');
  const given = options.value('sysroot');
  if (given === undefined) throw usageError('image needs --sysroot');
  const sysroot = realPath(given);
  const { identity, timestamp } = deployedSystems(sysroot);
  const facts = writeDisk({ ...diskOptions(context), sysroot, identity, timestamp });
  if (options.has('json')) {
    stdout.line(JSON.stringify(facts, undefined, 2));
    return;
  }
  stdout.line(`disk: ${sizeText(facts.size)}`);
  for (const { name, size, id } of facts.partitions)
    stdout.line(`${name}: ${sizeText(size)}, PARTUUID=${id}`);
  stdout.line(`root file system: UUID=${facts.rootUuid}, fs-verity on ${facts.verityFiles} files`);
}

function diskOptions({ options }: Context): Omit<DiskOptions, 'sysroot' | 'identity' | 'timestamp'> {
  const size = options.value('size');
  const bootSize = options.value('boot-size');
  const boot: string = options.value('boot') ?? 'esp';
  if (boot !== 'esp' && boot !== 'ext4')
    throw optionError(`--boot: expected esp or ext4, found '${displayByteString(byteString(boot))}'`);
  const architecture: string = options.value('architecture') ?? ARCHITECTURES[arch()] ?? arch();
  const rootType = ROOT_TYPES[architecture];
  if (rootType === undefined)
    throw optionError(
      `--architecture: expected one of ${Object.keys(ROOT_TYPES).join(', ')}, found '${displayByteString(byteString(architecture))}'`,
    );
  return {
    output: absolutePath(options.value('output') ?? byteString('disk.raw')),
    boot,
    size: size === undefined ? undefined : Math.floor(parseSize(size, 'size') / 512) * 512,
    free: size === undefined ? DEFAULT_FREE : 0,
    bootSize: bootSize === undefined ? undefined : parseSize(bootSize, 'boot-size'),
    rootType,
    architecture,
    bootFiles: options.values('boot-file').map(bootFile),
  };
}

function bootFile(text: ByteString): [ByteString, ByteString] {
  const equals = text.indexOf('=');
  const path = text.slice(0, equals).replace(/^\/+/, '');
  if (equals < 1 || path.split('/').some((part) => part === '' || part === '.' || part === '..'))
    throw optionError(`--boot-file: expected PATH=FILE, found '${displayByteString(text)}'`);
  return [byteString(path), realPath(byteString(text.slice(equals + 1)))];
}

function realPath(path: ByteString): ByteString {
  try {
    return byteString(realpathSync(fsPath(path), 'latin1'));
  } catch (error) {
    throw ioError(displayByteString(path), error);
  }
}
