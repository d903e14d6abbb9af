/**
 * The sealed file `/usr/lib/sealtree/sealed.conf` of an initramfs. Where it stands the initramfs is sealed: what
 * is missing or weaker than it says is refused. Every key is described in conf/sealed.conf.
 * @module
 */
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../bytes/byte-string.ts';
import { malformed, prefixed } from '../errors.ts';
import { parseStrictKey } from '../sign/binding-keys.ts';
import type { PublicKey } from '../sign/keys.ts';
import type { System } from '../system.ts';
import { type Demands, listOf, readDemands } from './demands.ts';
import { type Keyfile, parseKeyfile } from './keyfile.ts';
import type { Mode } from './prepare-root.ts';

export interface Sealed {
  /** The weakest mode that is booted. */
  readonly mode: Exclude<Mode, 'no' | 'maybe'>;
  /** Allowed kernel arguments; undefined: all but those that are known to weaken. */
  readonly arguments: readonly ByteString[] | undefined;
  /** What follows on a refusal. */
  readonly refusal: 'poweroff' | 'shell';
  readonly trusted: readonly PublicKey[];
  readonly revoked: readonly PublicKey[];
  readonly demands: Demands;
  /** Whether an `/etc` that is persistent, and so unsigned, will do. */
  readonly unsignedEtc: boolean;
}

export const SEALED_PATH = byteString('/usr/lib/sealtree/sealed.conf');

const FILE_LIMIT = 64 * 1024;

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  sealed: ['mode', 'arguments', 'refusal'],
  keys: ['trusted', 'revoked'],
  composefs: ['minimum-timestamp', 'require-metadata'],
  etc: ['unsigned'],
};

/**
 * Reads the sealed file of the initramfs whose root is `root` (`''` for the running one).
 *
 * @returns undefined if there is none: the initramfs is not sealed
 * @throws SealtreeError `malformed`, `io`: there is one, but it cannot be followed
 */
export function loadSealed(system: System, root: ByteString): Sealed | undefined {
  return loadSealedFile(system, byteString(root + SEALED_PATH));
}

/** As {@link loadSealed}, for a sealed file that stands at another path. */
export function loadSealedFile(system: System, path: ByteString): Sealed | undefined {
  const data = system.readFile(path, FILE_LIMIT);
  return data === undefined ? undefined : parseSealed(byteStringFrom(data), path);
}

/**
 * Parses a sealed file. Nothing in it is passed over: a slip of the pen must not weaken it.
 *
 * @param path for messages
 * @throws SealtreeError `malformed`
 */
export function parseSealed(text: ByteString, path: ByteString): Sealed {
  const what = displayByteString(path);
  const file = parseKeyfile(text, what);
  try {
    return interpret(file, what);
  } catch (error) {
    throw prefixed(what, error);
  }
}

function interpret(file: Keyfile, what: string): Sealed {
  for (const group of file.groups) {
    for (const key of file.keys(group)) {
      if (!(Object.hasOwn(KNOWN, group) && KNOWN[group]?.includes(key)))
        throw malformed(`${displayByteString(byteString(`${group}.${key}`))} means nothing`);
    }
  }
  const mode = oneOf(file, 'sealed', 'mode', ['signed', 'verity', 'yes'] as const) ?? 'signed';
  const trusted = keysOf(file, 'trusted', what);
  if (mode === 'signed' && trusted.length === 0)
    throw malformed('keys.trusted is missing: mode signed needs a key to check signatures with');
  return {
    mode,
    arguments: file.has('sealed', 'arguments') ? listOf(file, 'sealed', 'arguments') : undefined,
    refusal: oneOf(file, 'sealed', 'refusal', ['poweroff', 'shell'] as const) ?? 'poweroff',
    trusted,
    revoked: keysOf(file, 'revoked', what),
    demands: readDemands(file),
    unsignedEtc: oneOf(file, 'etc', 'unsigned', ['allow', 'refuse'] as const) === 'allow',
  };
}

function oneOf<Word extends string>(
  file: Keyfile,
  group: string,
  key: string,
  words: readonly Word[],
): Word | undefined {
  const value = file.value(group, key)?.trim();
  if (value === undefined || words.includes(value as Word)) return value as Word | undefined;
  const shown = displayByteString(byteString(value));
  throw malformed(`${group}.${key}: expected ${words.join(' or ')}, found '${shown}'`);
}

function keysOf(file: Keyfile, key: 'trusted' | 'revoked', what: string): PublicKey[] {
  return listOf(file, 'keys', key).map((word, i) => parseStrictKey(word, `keys.${key}: key ${i + 1}`, what));
}
