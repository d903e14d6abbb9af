/** `sealtree seal`: from a root tree to a signed commit that boots only with its own initramfs. @module */
import { mkdirSync, statSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { SealtreeError } from '../../core/errors.ts';
import { validateRef } from '../../core/ostree/refs.ts';
import { fsPath, joinPath } from '../../node/fs-path.ts';
import { ioError } from '../../node/io-error.ts';
import { makeDirectories } from '../../node/make-directories.ts';
import { refuseComposefsKeys, stringEntries } from '../../repo/commit-metadata.ts';
import { initRepository } from '../../repo/init.ts';
import { Repo } from '../../repo/repo.ts';
import { requireWritable } from '../../repo/transaction.ts';
import { GENERATORS } from '../../seal/make-initramfs.ts';
import { type SealedTree, type SealRequest, sealTree } from '../../seal/seal.ts';
import { startProgress } from '../progress.ts';
import { absolutePath } from '../repository.ts';
import { programFor, sealedLimits, sealedOptions } from '../sealed-options.ts';
import { optionError, usageError } from '../usage.ts';
import type { Context, OptionValues, Verb } from '../verb.ts';

const KEY_FILE = byteString('initramfs-root-binding.key');
const REPOSITORY = byteString('repo');

export const verb: Verb = {
  tool: 'sealtree',
  path: ['seal'],
  summary: 'make a signed commit of a root tree that boots with its own initramfs only',
  operands: 'ROOT',
  options: [
    { flags: '--repo <path>', description: 'repository to commit to; it is made if it is not there' },
    {
      flags: '-o, --output <directory>',
      description: `where the public key (${KEY_FILE}) goes, and without --repo the repository (${REPOSITORY})`,
    },
    { flags: '-b, --branch <branch>', description: 'branch of the commit; default os' },
    { flags: '-s, --subject <subject>', description: 'one line that describes the commit' },
    {
      flags: '--add-metadata-string <key=value>',
      description: 'put into the metadata of the commit; may be given more than once',
    },
    {
      flags: '--program <file>',
      description: 'boot program that `initramfs build` made; by default that of the tree, else one is built',
    },
    {
      flags: '--generator <name>',
      description: `what makes the initramfs: ${GENERATORS.join(', ')}; by default the first that the tree has`,
    },
    {
      flags: '--initramfs <file>',
      description: 'take this initramfs, which starts the boot program, and add program and policy to it',
    },
    {
      flags: '--module <name>',
      description: 'kernel module that the minimal initramfs is to load, too; may be given more than once',
    },
    { flags: '--karg <argument>', description: 'kernel argument of the boot; may be given more than once' },
    ...sealedOptions(''),
    {
      flags: '--uki <file>',
      description: 'make a unified kernel image of kernel, initramfs and --karg, by ukify',
    },
    { flags: '--secure-boot-key <file>', description: 'with --uki: private key that signs the image, PEM' },
    { flags: '--certificate <file>', description: 'with --uki: its certificate, PEM' },
    { flags: '--in-place', description: 'work in ROOT itself instead of a copy of it' },
    { flags: '--json', description: 'print what was made as JSON' },
  ],
  examples: [
    'sealtree seal --output=build tree',
    'sealtree seal --repo=repo --branch=os/stable --karg=rw --uki=os.efi --secure-boot-key=db.key --certificate=db.pem tree',
  ],
  description: [
    'ROOT is the root tree of an operating system with one kernel, in usr/lib/modules/VERSION or in boot, its configuration in etc or usr/etc. Nothing in it is changed, unless --in-place is given.',
    'In memory a key is made for this one commit. Boot program, units, a configuration (composefs.enabled=signed, etc.transient=true) and the sealed file with the public key are installed into the tree as by `initramfs install --sealed`; system extensions, which nothing signs, are turned off; the initramfs is made by the generator of the tree, run in it, which takes root, or is a minimal one of boot program, policy and kernel modules. The tree is committed with the composefs digest, the commit signed, and the key forgotten: no other commit, older or newer, boots with this initramfs.',
    'The result is verified before the branch leads to it: every object, and the boot, by the very decision that the program in the initramfs will make with what is in that initramfs.',
    'With --uki kernel, initramfs and kernel arguments become one file that firmware can check: it belongs to EFI/Linux of the boot partition (`image --boot-file`). It names no deployment, since that depends on it; the boot program finds the one that the key has signed. The time of the commit is SOURCE_DATE_EPOCH, or now.',
  ],
  run,
};

async function run(context: Context): Promise<void> {
  const { args, options, stderr } = context;
  const [root] = args;
  if (root === undefined || args.length > 1) throw usageError('seal needs a ROOT');
  const request = requestOf(absolutePath(root), options);
  const say = (text: string) => {
    stderr.line(`sealtree: ${text}`);
    stderr.flush();
  };
  const progress = startProgress(stderr, 'committing', options.has('json'));
  let sealed: SealedTree;
  try {
    sealed = await sealTree({
      ...request,
      program: (tree) => programFor(options.value('program'), tree, say),
      say: stderr.isTerminal ? say : () => {},
      onProgress: progress.add,
    });
  } finally {
    progress.end();
  }
  print(context, request.branch, sealed);
}

function print({ options, stdout }: Context, branch: ByteString, sealed: SealedTree): void {
  const { checksum, digest, publicKey, kernel, initramfs, boot } = sealed;
  if (options.has('json')) {
    const facts = {
      format: 'sealtree-seal-1',
      branch: displayByteString(branch),
      commit: checksum,
      image: digest,
      publicKey,
      kernel: displayByteString(kernel),
      initramfs,
      unsigned: boot.unsigned.map(({ path }) => displayByteString(path)),
      warnings: boot.warnings,
    };
    stdout.line(JSON.stringify(facts, undefined, 2));
    return;
  }
  stdout.line(`commit:    ${checksum} (${displayByteString(branch)})`);
  stdout.line(`image:     ${digest}`);
  stdout.line(`key:       ${publicKey}, whose secret half is gone`);
  stdout.line(`kernel:    ${displayByteString(kernel)}`);
  stdout.line(`initramfs: ${initramfs}`);
  for (const warning of boot.warnings) stdout.line(`warning:   ${warning}`);
  stdout.line(`unsigned:  ${boot.unsigned.map(({ path }) => displayByteString(path)).join(' ')}`);
}

function requestOf(
  root: ByteString,
  options: OptionValues,
): Omit<SealRequest, 'program' | 'say' | 'onProgress'> {
  const branch = options.value('branch') ?? byteString('os');
  validateRef(branch);
  const metadata = stringEntries(options.values('add-metadata-string'));
  refuseComposefsKeys(metadata);
  const generator = GENERATORS.find((name) => name === (options.value('generator') as string | undefined));
  if (options.has('generator') && generator === undefined)
    throw optionError(
      `--generator: expected ${GENERATORS.join(', ')}, found '${displayByteString(options.value('generator') ?? branch)}'`,
    );
  if (options.has('initramfs') && generator !== undefined)
    throw optionError('--initramfs is there already: --generator has nothing to make');
  const output = options.value('output');
  const file = (name: string) => {
    const path = options.value(name);
    return path === undefined ? undefined : absolutePath(path);
  };
  return {
    root: requireDirectory(root),
    inPlace: options.has('in-place'),
    uki: ukiOf(file),
    sealed: sealedLimits(options, 'signed'),
    timestamp: timestampNow(),
    repo: openOrMake(file('repo'), output === undefined ? undefined : absolutePath(output)),
    branch,
    subject: options.value('subject') ?? byteString(''),
    metadata,
    generator,
    initramfs: file('initramfs'),
    modules: options.values('module'),
    cmdline: byteString(options.values('karg').join(' ')),
    publicKeyFile: output === undefined ? undefined : joinPath(absolutePath(output), KEY_FILE),
  };
}

function ukiOf(file: (name: string) => ByteString | undefined): SealRequest['uki'] {
  const [output, key, certificate] = [file('uki'), file('secure-boot-key'), file('certificate')];
  if ((key === undefined) !== (certificate === undefined))
    throw optionError('--secure-boot-key and --certificate belong together');
  if (output === undefined && key !== undefined)
    throw optionError('--secure-boot-key means something only with --uki');
  return output === undefined ? undefined : { output, key, certificate };
}

function openOrMake(given: ByteString | undefined, output: ByteString | undefined): Repo {
  if (output !== undefined) makeFolder(output);
  const path = given ?? (output === undefined ? undefined : joinPath(output, REPOSITORY));
  if (path === undefined) throw usageError('seal needs --repo or --output');
  if (statSync(fsPath(joinPath(path, byteString('config'))), { throwIfNoEntry: false }) === undefined) {
    try {
      mkdirSync(fsPath(path), { mode: 0o755 });
    } catch (error) {
      throw ioError(`making ${displayByteString(path)}`, error);
    }
    initRepository(path, { mode: process.geteuid?.() === 0 ? 'bare' : 'bare-user' });
  }
  const repo = Repo.open(path);
  requireWritable(repo);
  return repo;
}

function makeFolder(path: ByteString): void {
  try {
    makeDirectories(path, 0o755);
  } catch (error) {
    throw ioError(`making ${displayByteString(path)}`, error);
  }
}

function requireDirectory(path: ByteString): ByteString {
  let found: boolean | undefined;
  try {
    found = statSync(fsPath(path)).isDirectory();
  } catch (error) {
    throw ioError(displayByteString(path), error);
  }
  if (found) return path;
  throw new SealtreeError('io', `${displayByteString(path)}: Not a directory`);
}

/** SOURCE_DATE_EPOCH, else now. */
function timestampNow(): bigint {
  const epoch = process.env.SOURCE_DATE_EPOCH;
  if (epoch === undefined) return BigInt(Math.floor(Date.now() / 1000));
  if (/^[0-9]{1,12}$/.test(epoch)) return BigInt(epoch);
  throw optionError(`SOURCE_DATE_EPOCH: expected seconds since 1970, found '${epoch}'`);
}
