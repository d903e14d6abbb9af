/** `sealtree initramfs install`: the boot program and its policy where the makers of an initramfs find them. @module */
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { readDemands } from '../../core/conf/demands.ts';
import { parseKeyfile, setKey } from '../../core/conf/keyfile.ts';
import { MODES, type Mode } from '../../core/conf/prepare-root.ts';
import type { Sealed } from '../../core/conf/sealed.ts';
import { malformed, SealtreeError } from '../../core/errors.ts';
import { isUsableKey } from '../../core/sign/ed25519.ts';
import { distinct } from '../../core/sign/key-sources.ts';
import type { PublicKey } from '../../core/sign/keys.ts';
import { buildProgram } from '../../initramfs/build.ts';
import { install, installedProgram } from '../../initramfs/install.ts';
import { identifyProgram } from '../../initramfs/program.ts';
import { readTemplate } from '../../initramfs/template.ts';
import { readFileLimited } from '../../node/read-file.ts';
import { RootTree } from '../../node/root-tree.ts';
import { readKeyFile } from '../key-file.ts';
import { optionError, usageError } from '../usage.ts';
import type { Context, OptionValues, Verb } from '../verb.ts';

const PROGRAM_LIMIT = 64 * 1024 * 1024;
/** Modes that a sealed initramfs can demand. */
const SEALED_MODES = ['signed', 'verity', 'yes'] as const;
/** As the boot program counts them. */
const KEY_LIMIT = 16;

export const verb: Verb = {
  tool: 'sealtree',
  path: ['initramfs', 'install'],
  summary: 'put boot program, policy and keys where dracut, initramfs-tools and mkinitcpio find them',
  operands: '',
  options: [
    { flags: '--root <directory>', description: 'root tree that the initramfs will be made from' },
    {
      flags: '--program <file>',
      description:
        'boot program that `initramfs build` made; by default the one installed before, else one is built',
    },
    {
      flags: '--key <file>',
      description: 'file of public keys, one of which must have signed; may be given more than once',
    },
    {
      flags: '--mode <mode>',
      description:
        'what composefs.enabled must be at least: signed (the default with keys), verity, yes, maybe or no',
    },
    { flags: '--sealed', description: 'refuse at boot whatever is missing or weaker than what is said here' },
    { flags: '--revoked <file>', description: 'with --sealed: file of public keys that no longer count' },
    {
      flags: '--arguments <list>',
      description:
        'with --sealed: the kernel arguments allowed, between blanks; a * at the end of one allows all that begin so',
    },
    {
      flags: '--minimum-timestamp <time>',
      description: 'with --sealed: refuse commits older than that, in seconds since 1970 or as RFC 3339',
    },
    {
      flags: '--require-metadata <key=value>',
      description:
        'with --sealed: refuse commits without this string in their metadata; may be given more than once',
    },
    {
      flags: '--refusal <what>',
      description: 'with --sealed: what follows on a refusal: poweroff after 30 s (the default), or shell',
    },
    {
      flags: '--etc-unsigned <allow>',
      description: 'with --sealed: `allow` a persistent /etc, which nothing signs',
    },
    { flags: '--force', description: 'replace and change files that an install did not write' },
    { flags: '--json', description: 'print what was done as JSON' },
  ],
  examples: [
    'sealtree initramfs install --root=tree --program=prepare-root --key=build.public',
    'sealtree initramfs install --root=tree --program=prepare-root --key=build.public --sealed --arguments="root=* rw quiet console=*"',
  ],
  description: [
    "Into the root tree go: program and units, below /usr/lib/sealtree; a dracut module, a hook and a script of initramfs-tools, a hook of mkinitcpio, which put them into every initramfs made from the tree from then on; the keys, in /etc/ostree/initramfs-root-binding.key or where the tree's configuration says; and, if there is no prepare-root.conf, one with this mode. A configuration that is there stays if it demands as much, and is an error otherwise.",
    'Without --sealed the program takes the place of ostree-prepare-root and does as that does. With --sealed the initramfs has a sealed file (/usr/lib/sealtree/sealed.conf) with the mode, the keys and the other limits: what is missing or weaker is refused at boot. Its units let nothing lead into a root file system that was not verified, also if the unit that verifies is masked or passed over, and end in power off where there would be a shell. An /etc that outlives a boot is refused unless --etc-unsigned=allow says otherwise.',
    'A file that differs and was not written by an install is never replaced without --force. Nothing is written unless everything can be. Symlinks in the tree are followed as by a system that has it as its root: none leads out of it. What was done is printed, one file a line; run again, nothing is left to do.',
  ],
  run,
};

async function run({ args, options, stdout, stderr }: Context): Promise<void> {
  const directory = options.value('root');
  if (directory === undefined || args.length > 0)
    throw usageError('initramfs install needs --root=DIRECTORY');
  const keys = keysIn(options.values('key'));
  const mode = modeFor(options, keys);
  const sealed = sealedFrom(options, mode);
  const tree = new RootTree(directory);
  try {
    const program = await programFor(options.value('program'), tree, (text) =>
      stderr.line(`sealtree: ${text}`),
    );
    const files = install(tree, { program, keys, mode, sealed, force: options.has('force') }, readTemplate);
    if (options.has('json')) {
      const shown = files.map(({ path, action }) => ({ path: displayByteString(path), action }));
      stdout.line(JSON.stringify({ format: 'sealtree-install-1', files: shown }, undefined, 2));
    } else {
      for (const { path, action } of files) stdout.line(`${action.padEnd(9)} ${displayByteString(path)}`);
    }
  } finally {
    tree.close();
  }
}

async function programFor(
  path: ByteString | undefined,
  tree: RootTree,
  say: (text: string) => void,
): Promise<Uint8Array> {
  if (path === undefined) return installedProgram(tree) ?? (await buildProgram({ say })).executable;
  const shown = displayByteString(path);
  const program = readFileLimited(path, shown, PROGRAM_LIMIT);
  if (program === undefined) throw new SealtreeError('missing', `${shown}: No such file or directory`);
  if (identifyProgram(program) === undefined) throw malformed(`${shown}: not an executable (ELF)`);
  return program;
}

function modeFor(options: OptionValues, keys: readonly PublicKey[]): Mode | undefined {
  const given = options.value('mode');
  if (given === undefined) return options.has('sealed') || keys.length > 0 ? 'signed' : undefined;
  const mode = MODES.find((name) => name === given);
  if (mode === undefined)
    throw optionError(`--mode: expected ${MODES.join(', ')}, found ${displayByteString(given)}`);
  return mode;
}

function sealedFrom(options: OptionValues, mode: Mode | undefined): Omit<Sealed, 'trusted'> | undefined {
  if (!options.has('sealed')) {
    const needing = [
      'revoked',
      'arguments',
      'minimum-timestamp',
      'require-metadata',
      'refusal',
      'etc-unsigned',
    ];
    const lonely = needing.find((name) => options.has(name));
    if (lonely !== undefined) throw optionError(`--${lonely} means something only with --sealed`);
    return undefined;
  }
  const minimum = SEALED_MODES.find((name) => name === mode);
  if (minimum === undefined) throw optionError(`--sealed needs --mode ${SEALED_MODES.join(', ')}`);
  return {
    mode: minimum,
    arguments: options
      .value('arguments')
      ?.split(/\s+/)
      .filter((word) => word !== '')
      .map(allowedArgument),
    refusal: wordOf(options, 'refusal', ['poweroff', 'shell']) ?? 'poweroff',
    revoked: keysIn(options.values('revoked')),
    demands: demandsFrom(options),
    unsignedEtc: wordOf(options, 'etc-unsigned', ['allow', 'refuse']) === 'allow',
  };
}

function wordOf<Word extends string>(
  options: OptionValues,
  name: string,
  words: readonly Word[],
): Word | undefined {
  const value = options.value(name);
  const word = words.find((candidate) => candidate === (value as string | undefined));
  if (word === undefined && value !== undefined)
    throw optionError(`--${name}: expected ${words.join(' or ')}, found ${displayByteString(value)}`);
  return word;
}

/** No argument with any other character is ever allowed at boot. */
function allowedArgument(word: string): ByteString {
  if (/^[!#-~]+$/.test(word)) return byteString(word);
  throw optionError(
    `--arguments: ${displayByteString(byteString(word))} has a quotation mark or is not ASCII`,
  );
}

/** Read by the rules of the file that they will stand in. */
function demandsFrom(options: OptionValues): Sealed['demands'] {
  const what = 'initramfs install';
  const group = byteString('composefs');
  let text = byteString('');
  const timestamp = options.value('minimum-timestamp');
  if (timestamp !== undefined) text = setKey(text, group, byteString('minimum-timestamp'), timestamp, what);
  for (const entry of options.values('require-metadata')) {
    if (!/^[^=]+=[^;\0\r\n]*$/.test(entry) || entry.trim() !== entry)
      throw optionError(
        `--require-metadata: expected KEY=VALUE without ;, found ${displayByteString(entry)}`,
      );
  }
  const metadata = byteString(options.values('require-metadata').join(';'));
  if (metadata !== '') text = setKey(text, group, byteString('require-metadata'), metadata, what);
  return readDemands(parseKeyfile(text, what));
}

/** Public keys only: nobody means to put a secret one into an initramfs. */
function keysIn(paths: readonly ByteString[]): PublicKey[] {
  const keys = paths.flatMap(readKeyFile).map(({ file, line, kind, publicKey, hex }) => {
    if (kind === 'secret') throw malformed(`${file}: line ${line}: a secret key, expected a public one`);
    if (!isUsableKey(publicKey))
      throw malformed(
        `${file}: line ${line}: public key ${hex} is not canonical or of small order: anyone could sign for it`,
      );
    return { key: publicKey, hex, source: file };
  });
  if (keys.length > KEY_LIMIT) throw optionError(`${keys.length} keys, at most ${KEY_LIMIT} are allowed`);
  return distinct(keys);
}
