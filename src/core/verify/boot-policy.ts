/**
 * What must hold at a boot: the configuration of the initramfs, its sealed file, the kernel arguments and the keys
 * in one, or the fault for which there is no boot.
 * @module
 */
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../bytes/byte-string.ts';
import { argumentsOf, firstForbidden, firstWeakening, kernelArgument } from '../conf/cmdline.ts';
import { type Demands, joinDemands } from '../conf/demands.ts';
import {
  COMPOSEFS_ARGUMENT,
  compareModes,
  type LoadedConfig,
  loadPrepareRoot,
  type Mode,
  modeOf,
  type PrepareRoot,
  withKernelArguments,
} from '../conf/prepare-root.ts';
import type { Sealed } from '../conf/sealed.ts';
import { malformed, prefixed, SealtreeError } from '../errors.ts';
import { parseBindingKeys } from '../sign/binding-keys.ts';
import type { PublicKey } from '../sign/keys.ts';
import type { System } from '../system.ts';
import { type Fault, faultError, type Judge } from './fault.ts';
import { MAX_KEYS } from './signature.ts';

/** The policy in force. */
export interface BootPolicy {
  readonly config: PrepareRoot;
  /** Where it comes from; undefined for the defaults. */
  readonly path: ByteString | undefined;
  readonly mode: Mode;
  /** Whether a signature by one of `keys` must be there: always with mode signed, and where keys were given. */
  readonly signed: boolean;
  readonly keys: readonly PublicKey[];
  readonly demands: Demands;
  /** undefined in an initramfs that is not sealed. */
  readonly sealed: Sealed | undefined;
}

/** A configuration and keys that stand for those of an initramfs. */
export interface GivenPolicy {
  readonly config?: Pick<LoadedConfig, 'path' | 'config'> | undefined;
  /** Demands a signature. */
  readonly keys?: readonly PublicKey[] | undefined;
}

const KEY_FILE_LIMIT = 64 * 1024;

/** Where the parts of a policy come from. */
export interface PolicySources {
  /** Root of the tree that has the configuration; '' for the running one. */
  readonly config: ByteString;
  /** Root of the tree that has the key file. */
  readonly keys: ByteString;
  readonly cmdline: ByteString;
  readonly given: GivenPolicy | undefined;
}

/**
 * Makes the policy.
 *
 * @throws SealtreeError with the fault
 */
export function loadBootPolicy(
  system: System,
  { config: root, keys: keyRoot, cmdline, given }: PolicySources,
  sealed: Sealed | undefined,
  judge: Judge,
): BootPolicy {
  const loaded: LoadedConfig =
    given?.config === undefined ? loadPrepareRoot(system, root) : { ...given.config, replaced: undefined };
  judgeReplacement(loaded, sealed, judge);
  for (const key of loaded.config.unknown)
    judge.warn('configuration', `${displayByteString(loaded.path ?? byteString(''))}: ${key} means nothing`);
  const config = withKernelArguments(loaded.config, cmdline);
  const mode = modeOf(config);
  judgeArguments(cmdline, modeOf(loaded.config), mode, sealed, judge);
  judgeMode(loaded.path, mode, sealed);
  const signed = mode === 'signed' || given?.keys !== undefined;
  const keys = signed ? usableKeys(system, keyRoot, config, sealed, given?.keys) : [];
  if (signed) judge.passed('keys', `${keys.length} trusted: ${keys.map(({ hex }) => hex).join(', ')}`);
  const demands =
    sealed === undefined ? loaded.config.demands : joinDemands(sealed.demands, loaded.config.demands);
  return { config, path: loaded.path, mode, signed, keys, demands, sealed };
}

/** A line of etc/fstab is enough to mount something else over the verified /usr. */
export function judgeEtc({ config, sealed, mode }: BootPolicy, judge: Judge): void {
  const name = 'etc';
  if (config.etcTransient) {
    judge.passed(name, '/etc is taken from the image at every boot');
  } else if (sealed?.unsignedEtc === true) {
    judge.warn(name, '/etc is persistent and unsigned, which the sealed file allows');
  } else if (sealed !== undefined || compareModes(mode, 'verity') >= 0) {
    judge.broken(sealed !== undefined, {
      name,
      message:
        '/etc is persistent, and nothing signs it: a line in its fstab can mount over the verified /usr',
      expected: 'etc.transient=true',
      found: 'etc.transient=false',
    });
  }
}

/** The file in /etc replaces the one in /usr/lib as a whole, also where that is the stricter one. */
function judgeReplacement(
  { path, config, replaced }: LoadedConfig,
  sealed: Sealed | undefined,
  judge: Judge,
): void {
  const where = path === undefined ? 'no configuration: defaults' : displayByteString(path);
  const mode = modeOf(config);
  if (replaced !== undefined) {
    const weaker = compareModes(mode, replaced.mode) < 0;
    const etc = replaced.etcTransient && !config.etcTransient;
    const shown = displayByteString(replaced.path);
    const [expected, found] = weaker
      ? [`composefs.enabled=${replaced.mode}`, `composefs.enabled=${mode}`]
      : ['etc.transient=true', 'etc.transient=false'];
    if (weaker || etc) {
      judge.broken(sealed !== undefined || replaced.mode === 'signed', {
        name: 'configuration',
        message: `${where} replaces the stricter ${shown} as a whole: ${found} in place of ${expected}`,
        expected,
        found,
        advice: `remove ${where} from the initramfs, or write into it all that ${shown} says`,
      });
    }
  }
  judge.passed('configuration', `${where}: composefs.enabled=${mode}`);
}

function judgeArguments(
  cmdline: ByteString,
  configured: Mode,
  mode: Mode,
  sealed: Sealed | undefined,
  judge: Judge,
): void {
  const faults = argumentFaults(cmdline, configured, mode, sealed);
  for (const fault of faults) judge.broken(sealed !== undefined, fault);
  if (faults.length > 0) return;
  const all = sealed?.arguments === undefined ? 'none lowers what is demanded' : 'all are allowed';
  judge.passed('kernel arguments', all);
}

function argumentFaults(
  cmdline: ByteString,
  configured: Mode,
  mode: Mode,
  sealed: Sealed | undefined,
): Fault[] {
  const name = 'kernel arguments';
  const faults: Fault[] = [];
  if (compareModes(mode, configured) < 0) {
    const value = displayByteString(kernelArgument(cmdline, COMPOSEFS_ARGUMENT) ?? byteString(''));
    faults.push({
      name,
      message: `kernel argument ${COMPOSEFS_ARGUMENT}=${value} lowers the mode from ${configured} to ${mode}`,
      expected: configured,
      found: mode,
    });
  }
  // These two are judged by what they lead to.
  const others = argumentsOf(cmdline).filter(
    (word) => !word.startsWith('ostree=') && !word.startsWith(`${COMPOSEFS_ARGUMENT}=`),
  );
  const allowed = sealed?.arguments;
  if (allowed !== undefined) {
    const word = firstForbidden(others, allowed);
    if (word === undefined) return faults;
    const found = displayByteString(word);
    const message = `kernel argument ${found} is not one that the sealed file allows`;
    return [...faults, { name, message, expected: allowed.map(displayByteString).join(' '), found }];
  }
  const word = sealed !== undefined || mode === 'signed' ? firstWeakening(others) : undefined;
  if (word !== undefined) {
    const found = displayByteString(word);
    const message = `kernel argument ${found} can lead around the verified root`;
    faults.push({ name, message, expected: 'no such argument', found });
  }
  return faults;
}

function judgeMode(path: ByteString | undefined, mode: Mode, sealed: Sealed | undefined): void {
  if (sealed === undefined || compareModes(mode, sealed.mode) >= 0) return;
  const where = path === undefined ? 'the initramfs has no prepare-root.conf' : displayByteString(path);
  throw faultError({
    name: 'mode',
    message: `${where}: mode ${mode} is weaker than ${sealed.mode}, which the sealed file demands`,
    expected: sealed.mode,
    found: mode,
  });
}

/** Trusted and not revoked. A sealed file has its own; the key file of the configuration then does not count. */
function usableKeys(
  system: System,
  root: ByteString,
  config: PrepareRoot,
  sealed: Sealed | undefined,
  given: readonly PublicKey[] | undefined,
): readonly PublicKey[] {
  const trusted =
    given ??
    (sealed !== undefined && sealed.trusted.length > 0 ? sealed.trusted : keyFile(system, root, config));
  const revoked = new Set(sealed?.revoked.map(({ hex }) => hex));
  const keys = trusted.filter(({ hex }) => !revoked.has(hex));
  const name = 'keys';
  if (trusted.length === 0)
    throw faultError({ name, message: 'a signature is demanded, but there is no key to check it with' });
  if (keys.length === 0) {
    const found = trusted.map(({ hex }) => hex).join(', ');
    throw faultError({ name, message: 'every trusted key is revoked by the sealed file', found });
  }
  if (trusted.length > MAX_KEYS) {
    const message = `${trusted.length} keys, at most ${MAX_KEYS} are allowed`;
    throw faultError({ name, message, expected: `${MAX_KEYS}`, found: `${trusted.length}` });
  }
  return keys;
}

/** @throws SealtreeError in ostree's words, and where ostree would not notice in ours */
function keyFile(system: System, root: ByteString, config: PrepareRoot): PublicKey[] {
  const { keypath } = config.composefs;
  const shown = displayByteString(keypath);
  const path = byteString(root + keypath);
  const detail = { check: 'keys', path: shown };
  let keys: PublicKey[];
  try {
    const data = system.readFile(path, KEY_FILE_LIMIT);
    if (data === undefined)
      throw new SealtreeError('missing', `Failed to open file “${shown}”: No such file or directory`, detail);
    keys = parseBindingKeys(byteStringFrom(data), keypath);
  } catch (error) {
    const { code, message } = prefixed(`Parsing rootfs config: Reading public key file '${shown}'`, error);
    throw new SealtreeError(code, message, detail);
  }
  if (keys.length > 0) return keys;
  const message = 'Parsing rootfs config: public key file specified, but no public keys found';
  throw malformed(message, detail);
}
