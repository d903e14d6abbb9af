/** What an initramfs is sealed with, as the options of `initramfs install` and `seal` say it. @module */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { readDemands } from '../core/conf/demands.ts';
import { parseKeyfile, setKey } from '../core/conf/keyfile.ts';
import type { Sealed } from '../core/conf/sealed.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { isUsableKey } from '../core/sign/ed25519.ts';
import { distinct } from '../core/sign/key-sources.ts';
import type { PublicKey } from '../core/sign/keys.ts';
import { buildProgram } from '../initramfs/build.ts';
import { installedProgram } from '../initramfs/install.ts';
import { identifyProgram } from '../initramfs/program.ts';
import { readFileLimited } from '../node/read-file.ts';
import type { RootTree } from '../node/root-tree.ts';
import { readKeyFile } from './key-file.ts';
import { optionError } from './usage.ts';
import type { OptionSpec, OptionValues } from './verb.ts';

const PROGRAM_LIMIT = 64 * 1024 * 1024;
/** As the boot program counts them. */
const KEY_LIMIT = 16;

/** @param before a condition under which they mean something */
export function sealedOptions(before: string): OptionSpec[] {
  return [
    { flags: '--revoked <file>', description: `${before}file of public keys that no longer count` },
    {
      flags: '--arguments <list>',
      description: `${before}the kernel arguments allowed, between blanks; a * at the end of one allows all that begin so`,
    },
    {
      flags: '--minimum-timestamp <time>',
      description: `${before}refuse commits older than that, in seconds since 1970 or as RFC 3339`,
    },
    {
      flags: '--require-metadata <key=value>',
      description: `${before}refuse commits without this string in their metadata; may be given more than once`,
    },
    {
      flags: '--refusal <what>',
      description: `${before}what follows on a refusal: poweroff after 30 s (the default), or shell`,
    },
    {
      flags: '--etc-unsigned <allow>',
      description: `${before}\`allow\` a persistent /etc, which nothing signs`,
    },
  ];
}

export const sealedOptionNames = [
  'revoked',
  'arguments',
  'minimum-timestamp',
  'require-metadata',
  'refusal',
  'etc-unsigned',
];

/** The limits that {@link sealedOptions} set. */
export function sealedLimits(options: OptionValues, minimum: Sealed['mode']): Omit<Sealed, 'trusted'> {
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

/** The boot program of `--program`, of an install before, or one that is built now. */
export async function programFor(
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
  const what = 'command line';
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
export function keysIn(paths: readonly ByteString[]): PublicKey[] {
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
