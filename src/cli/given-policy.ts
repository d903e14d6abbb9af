/** What must hold, as the options of `verify` and `image verify` say it. @module */
import { statSync } from 'node:fs';
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import { type PrepareRoot, parsePrepareRoot, STRICT_CONFIG } from '../core/conf/prepare-root.ts';
import { SealtreeError } from '../core/errors.ts';
import { distinct, loadKeysFile, loadTrustedKeys } from '../core/sign/key-sources.ts';
import { type PublicKey, parsePublicKey } from '../core/sign/keys.ts';
import type { GivenPolicy } from '../core/verify/boot-policy.ts';
import { fsPath } from '../node/fs-path.ts';
import { readFileLimited } from '../node/read-file.ts';
import { nodeSystem } from '../node/system.ts';
import type { OptionSpec, OptionValues } from './verb.ts';

const CONFIG_LIMIT = 1024 * 1024;

/** The options that {@link givenKeys} and {@link givenConfig} read. */
export const POLICY_OPTIONS: readonly OptionSpec[] = [
  { flags: '--key <base64>', description: 'a public key to accept; may be given more than once' },
  { flags: '--keys-file <file>', description: 'file of public keys to accept, one a line' },
  {
    flags: '--keys-dir <directory>',
    description: 'directory with trusted.ed25519 and revoked.ed25519, files and .d directories',
  },
  {
    flags: '--config <path>',
    description:
      'the prepare-root.conf that says what must hold, or an unpacked initramfs with it and its keys',
  },
];

/** The configuration of a boot: that of an initramfs, which has its keys too, one file, or the strictest. */
export function givenConfig(options: OptionValues): { config: GivenPolicy['config']; root: ByteString } {
  const given = options.value('config');
  if (given === undefined)
    return { config: { path: undefined, config: STRICT_CONFIG }, root: byteString('') };
  if (statSync(fsPath(given), { throwIfNoEntry: false })?.isDirectory() === true)
    return { config: undefined, root: given };
  return { config: { path: given, config: readConfigFile(given) }, root: byteString('') };
}

function readConfigFile(path: ByteString): PrepareRoot {
  const shown = displayByteString(path);
  const data = readFileLimited(path, shown, CONFIG_LIMIT);
  if (data === undefined) throw new SealtreeError('missing', `${shown}: No such file or directory`);
  return parsePrepareRoot(byteStringFrom(data), path);
}

/** Undefined if no key was named at all, and the configuration has none of its own. */
export function givenKeys(options: OptionValues): PublicKey[] | undefined {
  const named = ['key', 'keys-file', 'keys-dir'].some((option) => options.has(option));
  if (!named) return options.has('config') ? undefined : loadTrustedKeys(nodeSystem, undefined);
  return distinct([
    ...options.values('key').map((word, i) => parsePublicKey(word, `--key number ${i + 1}`)),
    ...options.values('keys-file').flatMap((path) => loadKeysFile(nodeSystem, path)),
    ...options.values('keys-dir').flatMap((path) => loadTrustedKeys(nodeSystem, path)),
  ]);
}
