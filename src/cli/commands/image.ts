/** `sealtree image`: makes a bootable disk from a sealed repository, or from a physical root. @module */
import { realpathSync } from 'node:fs';
import { arch } from 'node:os';
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { SealtreeError } from '../../core/errors.ts';
import { ROOT_TYPES } from '../../core/gpt/gpt.ts';
import { deployedSystems, identityOf } from '../../disk/deployed-systems.ts';
import { type DiskFacts, type DiskOptions, rootUuid, writeDisk } from '../../disk/disk.ts';
import { onlyRef, withSysroot } from '../../disk/make-sysroot.ts';
import { fsPath } from '../../node/fs-path.ts';
import { ioError } from '../../node/io-error.ts';
import { sizeText } from '../progress.ts';
import { absolutePath, openRepository } from '../repository.ts';
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
    { flags: '--repo <path>', description: 'repository with the commit that is to boot' },
    { flags: '--ref <ref>', description: 'branch or commit of it; by default its only branch' },
    { flags: '--stateroot <name>', description: 'what the system is called on the disk; default `default`' },
    {
      flags: '--karg <argument>',
      description: 'kernel argument beside root= and rw; may be given more than once',
    },
    {
      flags: '--sysroot <directory>',
      description: 'in place of --repo: a physical root that has been deployed to',
    },
    { flags: '-o, --output <file>', description: 'where to write the disk; default disk.raw' },
    {
      flags: '--size <size>',
      description: 'bytes of the disk, such as 8G; default what is needed and 1G more',
    },
    {
      flags: '--boot <kind>',
      description:
        'esp (default): FAT32 for UEFI firmware; ext4: for a boot loader that reads it, mounted by etc/fstab',
    },
    { flags: '--boot-size <size>', description: 'bytes of the boot partition' },
    {
      flags: '--boot-file <path=file>',
      description: 'put FILE at PATH of the boot partition; may be given more than once',
    },
    { flags: '--architecture <name>', description: 'as uname -m; default that of this machine' },
    { flags: '--json', description: 'print what was made as JSON' },
  ],
  examples: [
    'sealtree image --repo=repo --ref=os/stable --karg=console=ttyS0 --output=disk.raw',
    'sealtree image --sysroot=sysroot --boot=ext4 --size=8G --output=disk.raw',
  ],
  description: [
    'The commit is deployed as by `sealtree admin deploy`: with boot entry, kernel, /etc and composefs image; `root=UUID=` and `rw` are among its kernel arguments unless --karg names another root=. This takes root, since files get their owners.',
    'The disk has a GUID partition table, a boot partition with what the physical root has in /boot, and a root partition: ext4 on which every file object and every composefs image has fs-verity on. The kernel of this machine need not have fs-verity, nor need any tool be there: the Merkle trees are written as ext4 keeps them.',
    'The same commit gives the same bytes. --boot-file puts a boot loader, or a signed image of kernel and initramfs, to the boot partition. If nothing is there that firmware would start by itself, that becomes the one image in EFI/Linux, or else systemd-boot if the deployed system has it.',
  ],
  run,
};

async function run(context: Context): Promise<void> {
  const { args, options, stdout } = context;
  if (args.length > 0) throw usageError('image takes no operands');
  const disk = diskOptions(context);
  const given = options.value('sysroot');
  if (given !== undefined && options.has('repo'))
    throw usageError('image makes a disk of --repo or of --sysroot, not of both');
  const make = (sysroot: ByteString) => writeDisk({ ...disk, sysroot, ...deployedSystems(sysroot) });
  const facts = given === undefined ? await fromRepository(context, disk, make) : make(realPath(given));
  if (options.has('json')) {
    stdout.line(JSON.stringify(facts, undefined, 2));
    return;
  }
  stdout.line(`disk: ${sizeText(facts.size)}`);
  for (const { name, size, id } of facts.partitions)
    stdout.line(`${name}: ${sizeText(size)}, PARTUUID=${id}`);
  if (disk.boot === 'esp')
    stdout.line(`started by firmware: ${facts.startedBy ?? 'nothing yet: see --boot-file'}`);
  stdout.line(`root file system: UUID=${facts.rootUuid}, fs-verity on ${facts.verityFiles} files`);
}

async function fromRepository(
  context: Context,
  { output, boot }: Pick<DiskOptions, 'output' | 'boot'>,
  make: (sysroot: ByteString) => DiskFacts,
): Promise<DiskFacts> {
  const { options } = context;
  if (process.geteuid?.() !== 0)
    throw new SealtreeError(
      'unsupported',
      'image --repo needs root, since files of the disk get their owners',
    );
  const source = openRepository(context);
  const ref = options.value('ref') ?? onlyRef(source);
  const stateroot = options.value('stateroot') ?? byteString('default');
  const identity = identityOf([byteString(`${stateroot}/${source.resolveRev(ref)}.0`)]);
  const given = options.values('karg');
  const root = given.some((word) => word.startsWith('root='))
    ? []
    : [`root=UUID=${rootUuid(identity)}`, 'rw'];
  const kernelArguments = [...root.map((word) => byteString(word)), ...given];
  const layout = boot === 'esp' ? 'files' : 'links';
  return withSysroot(output, { source, ref, stateroot, kernelArguments, layout }, make);
}

function diskOptions({
  options,
}: Context): Omit<DiskOptions, 'sysroot' | 'deployments' | 'identity' | 'timestamp'> {
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
