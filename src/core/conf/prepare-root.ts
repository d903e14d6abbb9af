/**
 * `prepare-root.conf`: what the initramfs does before it hands over to the system. Every key, with its default and
 * its meaning, is described in conf/prepare-root.conf.
 *
 * The file in `/etc` replaces the one in `/usr/lib` as a whole. The kernel argument
 * `ostree.prepare-root.composefs=` comes last; where the configuration demands a signature it cannot take that
 * away, which ostree's own program lets it do.
 * Source: ostree-prepare-root(1), and the behaviour of ostree 2026.4 where the manual says otherwise.
 * @module
 */
import {
  type ByteString,
  byteString,
  byteStringFrom,
  displayByteString,
  isUtf8,
} from '../bytes/byte-string.ts';
import { malformed, prefixed, SealtreeError } from '../errors.ts';
import type { System } from '../system.ts';
import { kernelArgument } from './cmdline.ts';
import { type Keyfile, parseKeyfile, parseTristate, type Tristate } from './keyfile.ts';

export interface PrepareRoot {
  readonly composefs: {
    /** `maybe`: without an image the deployment is bound in place, as with `no`. */
    readonly enabled: Tristate;
    /** The overlay demands that every file it serves has the fs-verity digest that the image names. */
    readonly verity: boolean;
    /** The commit must be signed, and the image have the digest that the commit names. Implies `verity`. */
    readonly signed: boolean;
    /** File with the public keys. */
    readonly keypath: ByteString;
  };
  readonly root: {
    /** Changes below / go to memory and are gone after the next boot. */
    readonly transient: boolean;
    /** With `transient`: the root is nevertheless mounted read-only at first. */
    readonly readonly: boolean;
  };
  readonly etcTransient: boolean;
  /** undefined: true with composefs, otherwise what the repository's `sysroot.readonly` says. */
  readonly sysrootReadonly: boolean | undefined;
  /** `group.key` of what stands in the file and means nothing: a slip of the pen, most likely. */
  readonly unknown: readonly string[];
}

/** Where the initramfs looks for its public keys if the configuration does not say. */
export const BINDING_KEY_PATH = byteString('/etc/ostree/initramfs-root-binding.key');

const COMPOSEFS_ARGUMENT = 'ostree.prepare-root.composefs';
const PLACES = ['/usr/lib/ostree/prepare-root.conf', '/etc/ostree/prepare-root.conf'] as const;
const FILE_LIMIT = 1024 * 1024;

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  composefs: ['enabled', 'keypath', 'keyfile'],
  root: ['transient', 'transient-ro'],
  etc: ['transient'],
  sysroot: ['readonly'],
};

/**
 * Reads the configuration of the file system tree at `root` (`''` for the running one).
 *
 * @returns the path of the file that counts, undefined if there is none, and what holds
 * @throws SealtreeError `malformed` in ostree's words
 */
export function loadPrepareRoot(
  system: System,
  root: ByteString,
): { path: ByteString | undefined; config: PrepareRoot } {
  let path: ByteString | undefined;
  let text = byteString('');
  for (const place of PLACES) {
    const candidate = byteString(root + place);
    const data = system.readFile(candidate, FILE_LIMIT);
    if (data === undefined) continue;
    path = candidate;
    text = byteStringFrom(data);
  }
  return { path, config: parsePrepareRoot(text, path ?? byteString('prepare-root.conf')) };
}

/**
 * Parses the text of a configuration.
 *
 * @param path for messages
 * @throws SealtreeError `malformed` in ostree's words
 */
export function parsePrepareRoot(text: ByteString, path: ByteString): PrepareRoot {
  const what = displayByteString(path);
  if (!isUtf8(text)) throw malformed(`Failed to parse config: ${what}: Invalid UTF-8`);
  let file: Keyfile;
  try {
    file = parseKeyfile(text, what);
  } catch (error) {
    throw prefixed('Failed to parse config', error);
  }
  try {
    return interpret(file);
  } catch (error) {
    throw prefixed('Parsing rootfs config', error);
  }
}

/**
 * What holds under a kernel command line.
 *
 * @throws SealtreeError `mismatch` if an argument would turn off a signature check that `config` demands,
 *   `malformed` in ostree's words for a value that is none
 */
export function withKernelArguments(config: PrepareRoot, cmdline: ByteString): PrepareRoot {
  const value = kernelArgument(cmdline, COMPOSEFS_ARGUMENT);
  if (value === undefined) return config;
  if (value === 'signed')
    return { ...config, composefs: { ...config.composefs, enabled: 'yes', verity: true, signed: true } };
  const enabled = parseTristate(value);
  const shown = displayByteString(value);
  if (enabled === undefined)
    throw malformed(
      `Parsing rootfs config: handling karg ${COMPOSEFS_ARGUMENT}: Invalid tri-state value: ${shown}`,
    );
  if (config.composefs.signed) {
    throw new SealtreeError(
      'mismatch',
      `kernel argument ${COMPOSEFS_ARGUMENT}=${shown} would turn off the signature check that the configuration demands`,
      { argument: COMPOSEFS_ARGUMENT, value: shown },
    );
  }
  return { ...config, composefs: { ...config.composefs, enabled } };
}

function interpret(file: Keyfile): PrepareRoot {
  const transient = file.boolean('root', 'transient') ?? false;
  const readonly = file.boolean('root', 'transient-ro') ?? false;
  if (transient && readonly) throw malformed('Cannot set both root.transient and root.transient-ro');
  const mode = file.value('composefs', 'enabled');
  const checked = mode === 'signed' || mode === 'verity';
  return {
    composefs: {
      enabled: checked ? 'yes' : (file.tristate('composefs', 'enabled') ?? 'no'),
      verity: checked,
      signed: mode === 'signed',
      keypath: keypathOf(file),
    },
    root: { transient: transient || readonly, readonly },
    etcTransient: file.boolean('etc', 'transient') ?? false,
    sysrootReadonly: file.boolean('sysroot', 'readonly'),
    unknown: file.groups.flatMap((group) =>
      file
        .keys(group)
        .filter((key) => !(Object.hasOwn(KNOWN, group) && KNOWN[group]?.includes(key)))
        .map((key) => displayByteString(byteString(`${group}.${key}`))),
    ),
  };
}

/** The program reads `keypath`, ostree's documentation of composefs says `keyfile`: either will do. */
function keypathOf(file: Keyfile): ByteString {
  const path = file.value('composefs', 'keypath');
  const other = file.value('composefs', 'keyfile');
  if (path !== undefined && other !== undefined && path !== other) {
    throw malformed(
      `composefs.keypath is ${displayByteString(path)}, but composefs.keyfile is ${displayByteString(other)}`,
    );
  }
  return path ?? other ?? BINDING_KEY_PATH;
}
