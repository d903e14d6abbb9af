/**
 * What must hold before a tree may be mounted: made from `prepare-root.conf`, or from keys alone.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { NO_DEMANDS } from '../conf/demands.ts';
import { BINDING_KEY_PATH, type PrepareRoot } from '../conf/prepare-root.ts';
import { SealtreeError } from '../errors.ts';
import { loadKeysFile } from '../sign/key-sources.ts';
import type { PublicKey } from '../sign/keys.ts';
import type { System } from '../system.ts';
import { MAX_KEYS } from './signature.ts';

export interface Policy {
  /** What the initramfs is told to do; the kernel command line has been applied. */
  readonly config: PrepareRoot;
  /** Whether a signature by one of `keys` must be there. */
  readonly signed: boolean;
  readonly keys: readonly PublicKey[];
}

/** The policy of someone who has keys and no configuration: everything is checked. */
export const STRICT_CONFIG: PrepareRoot = {
  composefs: { enabled: 'yes', verity: true, signed: true, keypath: BINDING_KEY_PATH },
  root: { transient: false, readonly: false },
  etcTransient: false,
  sysrootReadonly: undefined,
  demands: NO_DEMANDS,
  unknown: [],
};

/**
 * The policy of a configuration.
 *
 * @param keys in place of those of `composefs.keypath`; giving any demands a signature
 * @param root of the file system that `composefs.keypath` is a path in: an unpacked initramfs, or '' for this one
 * @throws SealtreeError `missing` if a signature is demanded and there are no keys, `malformed` for too many
 */
export function makePolicy(
  config: PrepareRoot,
  keys: readonly PublicKey[] | undefined,
  system: System,
  root = '',
): Policy {
  const signed = config.composefs.signed || keys !== undefined;
  const usable = keys ?? (signed ? bindingKeys(system, byteString(root + config.composefs.keypath)) : []);
  if (signed && usable.length === 0)
    throw new SealtreeError('missing', 'a signature is demanded, but there is no key to check it with');
  if (usable.length > MAX_KEYS)
    throw new SealtreeError('malformed', `${usable.length} keys, at most ${MAX_KEYS} are allowed`, {
      found: usable.length,
      expected: MAX_KEYS,
    });
  return { config, signed, keys: usable };
}

/** The keys of the initramfs. */
function bindingKeys(system: System, path: ByteString): PublicKey[] {
  try {
    return loadKeysFile(system, path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const code = error instanceof SealtreeError ? error.code : 'internal';
    const shown = displayByteString(path);
    throw new SealtreeError(code, `Reading public key file '${shown}': ${reason}`, { path: shown });
  }
}
