/**
 * Where ostree finds the public keys that it trusts: `trusted.ed25519` and the files of `trusted.ed25519.d`, minus
 * what `revoked.ed25519` and `revoked.ed25519.d` name, in `/etc/ostree` and `/usr/share/ostree` or in one
 * directory in their place. Source: ostree-sign(1), "DESCRIPTION".
 * @module
 */
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../bytes/byte-string.ts';
import { malformed, SealtreeError } from '../errors.ts';
import type { System } from '../system.ts';
import { type PublicKey, parsePublicKeyFile } from './keys.ts';

const SYSTEM_DIRECTORIES: readonly ByteString[] = ['/etc/ostree', '/usr/share/ostree'].map((directory) =>
  byteString(directory),
);

/** A key file is no larger: some 1,500 keys. */
const FILE_LIMIT = 64 * 1024;

/**
 * The keys of one file.
 *
 * @throws SealtreeError `missing` or `malformed` in ostree's words
 */
export function loadKeysFile(system: System, path: ByteString): PublicKey[] {
  const data = readRegular(system, path);
  if (data === undefined) {
    const shown = displayByteString(path);
    throw new SealtreeError('missing', `File object '${shown}' is not a regular file`, { path: shown });
  }
  return parsePublicKeyFile(byteStringFrom(data), path);
}

/**
 * The keys that are trusted and not revoked, in the order of their files; a file that cannot be used is passed
 * over, as ostree does.
 *
 * @param directory in place of the system's two
 * @throws SealtreeError `missing` if no key was found at all
 */
export function loadTrustedKeys(system: System, directory: ByteString | undefined): PublicKey[] {
  const directories = directory === undefined ? SYSTEM_DIRECTORIES : [directory];
  const trusted = keysBelow(system, directories, 'trusted');
  if (trusted.length === 0) throw new SealtreeError('missing', 'signature: ed25519: no keys loaded');
  const revoked = new Set(keysBelow(system, directories, 'revoked').map((key) => key.hex));
  return distinct(trusted).filter((key) => !revoked.has(key.hex));
}

/** Without the later ones of two equal keys. */
export function distinct(keys: readonly PublicKey[]): PublicKey[] {
  const seen = new Set<string>();
  return keys.filter(({ hex }) => !seen.has(hex) && seen.add(hex));
}

function keysBelow(
  system: System,
  directories: readonly ByteString[],
  kind: 'trusted' | 'revoked',
): PublicKey[] {
  return directories.flatMap((directory) => {
    const file = byteString(`${directory}/${kind}.ed25519`);
    const folder = `${file}.d`;
    const names = entriesOf(system, byteString(folder));
    return [file, ...names.map((name) => byteString(`${folder}/${name}`))].flatMap((path) => {
      try {
        const data = readRegular(system, path);
        return data === undefined ? [] : parsePublicKeyFile(byteStringFrom(data), path, kind);
      } catch (error) {
        if (kind === 'revoked' && !isMissing(error)) throw unusable(path, error);
        return [];
      }
    });
  });
}

/**
 * A list of revoked keys that is there and cannot be read must not count as empty. ostree passes it over; a key
 * that was taken back would then be trusted again.
 */
function unusable(path: ByteString, error: unknown): SealtreeError {
  const reason = error instanceof Error ? error.message : String(error);
  return malformed(`${displayByteString(path)}: revoked keys cannot be read: ${reason}`);
}

function isMissing(error: unknown): boolean {
  return error instanceof SealtreeError && error.detail.errno === 'ENOENT';
}

function entriesOf(system: System, folder: ByteString): readonly ByteString[] {
  try {
    return system.readDirectory(folder) ?? [];
  } catch (error) {
    if (error instanceof SealtreeError && error.code === 'io') return [];
    throw error;
  }
}

function readRegular(system: System, path: ByteString): Uint8Array | undefined {
  try {
    return system.readFile(path, FILE_LIMIT);
  } catch (error) {
    // A directory or pipe in a file's place is "not a regular file", which is all that ostree says of it.
    if (error instanceof SealtreeError && (error.detail.errno === 'EISDIR' || error.code === 'malformed')) {
      return undefined;
    }
    throw error;
  }
}
