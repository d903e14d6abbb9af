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
import { type Demands, NO_DEMANDS, readDemands } from './demands.ts';
import { type Keyfile, parseKeyfile, parseTristate, type Tristate } from './keyfile.ts';

/** What / is made of and what is checked of it, from the weakest to the strictest. */
export const MODES = ['no', 'maybe', 'yes', 'verity', 'signed'] as const;

export type Mode = (typeof MODES)[number];

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
  readonly demands: Demands;
  /** `group.key` of what stands in the file and means nothing: a slip of the pen, most likely. */
  readonly unknown: readonly string[];
}

/** Where the initramfs looks for its public keys if the configuration does not say. */
export const BINDING_KEY_PATH = byteString('/etc/ostree/initramfs-root-binding.key');

export const COMPOSEFS_ARGUMENT = 'ostree.prepare-root.composefs';
const PLACES = [
  byteString('/usr/lib/ostree/prepare-root.conf'),
  byteString('/etc/ostree/prepare-root.conf'),
] as const;
/** What someone demands who has keys and no configuration: everything is checked. */
export const STRICT_CONFIG: PrepareRoot = {
  composefs: { enabled: 'yes', verity: true, signed: true, keypath: BINDING_KEY_PATH },
  root: { transient: false, readonly: false },
  etcTransient: false,
  sysrootReadonly: undefined,
  demands: NO_DEMANDS,
  unknown: [],
};

const FILE_LIMIT = 1024 * 1024;

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  composefs: ['enabled', 'keypath', 'keyfile', 'minimum-timestamp', 'require-metadata'],
  root: ['transient', 'transient-ro'],
  etc: ['transient'],
  sysroot: ['readonly'],
};

/** A configuration and the file that it comes from. */
export interface LoadedConfig {
  /** undefined if there is no file: everything has its default. */
  readonly path: ByteString | undefined;
  readonly config: PrepareRoot;
  /** The file in /usr/lib that the one in /etc replaced as a whole, and its mode. */
  readonly replaced:
    | { readonly path: ByteString; readonly mode: Mode; readonly etcTransient: boolean }
    | undefined;
}

/**
 * Reads the configuration of the file system tree at `root` (`''` for the running one).
 *
 * @throws SealtreeError `malformed` in ostree's words
 */
export function loadPrepareRoot(system: Pick<System, 'readFile'>, root: ByteString): LoadedConfig {
  const found: { path: ByteString; file: Keyfile }[] = [];
  for (const place of PLACES) {
    const path = byteString(root + place);
    const data = system.readFile(path, FILE_LIMIT);
    if (data !== undefined) found.push({ path, file: parseFile(byteStringFrom(data), path) });
  }
  const last = found.at(-1);
  if (last === undefined)
    return { path: undefined, config: parsePrepareRoot(byteString(''), PLACES[0]), replaced: undefined };
  const first = found.length > 1 ? found[0] : undefined;
  return {
    path: last.path,
    config: interpretOrSay(last.file),
    replaced:
      first === undefined
        ? undefined
        : {
            path: first.path,
            mode: modeIn(first.file),
            etcTransient: isTrue(first.file, 'etc', 'transient'),
          },
  };
}

/**
 * Parses the text of a configuration.
 *
 * @param path for messages
 * @throws SealtreeError `malformed` in ostree's words
 */
export function parsePrepareRoot(text: ByteString, path: ByteString): PrepareRoot {
  return interpretOrSay(parseFile(text, path));
}

/** The mode of a configuration, after kernel arguments if they were applied. */
export function modeOf({ composefs }: Pick<PrepareRoot, 'composefs'>): Mode {
  const { enabled, signed, verity } = composefs;
  if (enabled !== 'yes') return enabled;
  return signed ? 'signed' : verity ? 'verity' : 'yes';
}

/** Negative if `a` is weaker than `b`, 0 if they are the same. */
export function compareModes(a: Mode, b: Mode): number {
  return MODES.indexOf(a) - MODES.indexOf(b);
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
      { check: 'kernel arguments', expected: 'signed, yes, maybe or no', found: shown },
    );
  if (config.composefs.signed) {
    throw new SealtreeError(
      'mismatch',
      `kernel argument ${COMPOSEFS_ARGUMENT}=${shown} would turn off the signature check that the configuration demands`,
      { check: 'kernel arguments', expected: 'signed', found: shown },
    );
  }
  return { ...config, composefs: { ...config.composefs, enabled } };
}

function parseFile(text: ByteString, path: ByteString): Keyfile {
  const what = displayByteString(path);
  if (!isUtf8(text)) throw malformed(`Failed to parse config: ${what}: Invalid UTF-8`);
  try {
    return parseKeyfile(text, what);
  } catch (error) {
    throw prefixed('Failed to parse config', error);
  }
}

function interpretOrSay(file: Keyfile): PrepareRoot {
  try {
    return interpret(file);
  } catch (error) {
    throw prefixed('Parsing rootfs config', error);
  }
}

/** Of a file that does not count, so that an error in it is none. */
function modeIn(file: Keyfile): Mode {
  const value = file.value('composefs', 'enabled')?.trim() ?? 'no';
  if (value === 'signed' || value === 'verity') return value;
  return parseTristate(value) ?? 'no';
}

function isTrue(file: Keyfile, group: string, key: string): boolean {
  return ['true', '1'].includes(file.value(group, key)?.trim() ?? '');
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
    demands: readDemands(file),
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
