/**
 * The settings of a repository's `config` that decide how it is written: ostree-repo-config(5).
 * Values are read as leniently as ostree reads them, and refused with its words.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import type { Keyfile, Tristate } from '../core/conf/keyfile.ts';
import { malformed, prefixed } from '../core/errors.ts';

export interface WriteSettings {
  /** `core.fsync`: whether a transaction ends with its data on the disk. */
  readonly fsync: boolean;
  /** `core.per-object-fsync`: whether each object is synchronised as it is written. */
  readonly perObjectFsync: boolean;
  /** `core.disable-xattrs`: extended attributes are not read from the source. */
  readonly disableXattrs: boolean;
  /** Seconds to wait for the repository's lock: -1 is for ever, undefined is no locking at all. */
  readonly lockTimeout: number | undefined;
  /** `core.tmp-expiry-secs`: age at which unknown files in `tmp` are removed. */
  readonly tmpExpiry: number;
  /** `archive.zlib-level`, 1 to 9. */
  readonly zlibLevel: number;
  readonly minFreeSpace: MinFreeSpace;
  /** Whether fs-verity is enabled on new objects; `maybe` is where the file system has it. */
  readonly verity: Tristate;
}

/** Space that content objects leave free; the percentage counts only if the size is 0. */
export interface MinFreeSpace {
  readonly percent: number;
  /** Mebibytes. */
  readonly size: bigint;
}

const DEFAULT_LOCK_TIMEOUT = 300;
const DEFAULT_TMP_EXPIRY = 86400;
const DEFAULT_ZLIB_LEVEL = 6;
const DEFAULT_FREE_PERCENT = 3;

/** @throws SealtreeError `malformed` for a value that ostree refuses */
export function writeSettings(config: Keyfile): WriteSettings {
  const core = (key: string) => config.get('core', key);
  const locking = config.boolean('core', 'locking') ?? true;
  return {
    fsync: config.boolean('core', 'fsync') ?? true,
    perObjectFsync: config.boolean('core', 'per-object-fsync') ?? false,
    disableXattrs: config.boolean('core', 'disable-xattrs') ?? false,
    lockTimeout: locking ? leadingInteger(core('lock-timeout-secs'), DEFAULT_LOCK_TIMEOUT) : undefined,
    tmpExpiry: leadingInteger(core('tmp-expiry-secs'), DEFAULT_TMP_EXPIRY),
    zlibLevel: Math.max(
      1,
      Math.min(9, leadingInteger(config.get('archive', 'zlib-level'), DEFAULT_ZLIB_LEVEL)),
    ),
    minFreeSpace: minFreeSpace(core('min-free-space-percent'), core('min-free-space-size')),
    verity: verity(config),
  };
}

function minFreeSpace(percentText: ByteString | undefined, sizeText: ByteString | undefined): MinFreeSpace {
  const size = sizeText === undefined ? 0n : parseFreeSize(sizeText);
  if (percentText === undefined) return { percent: sizeText === undefined ? DEFAULT_FREE_PERCENT : 0, size };
  const shown = displayByteString(percentText);
  if (!/^[0-9]*$/.test(percentText))
    throw malformed(`Invalid min-free-space-percent '${shown}': must be a number`);
  const percent = Number(percentText);
  if (percent > 99) throw malformed(`Invalid min-free-space-percent '${shown}'`);
  return { percent: size > 0n ? 0 : percent, size };
}

const SIZE_SHIFTS: Readonly<Record<string, bigint>> = { M: 0n, G: 10n, T: 20n };

function parseFreeSize(text: ByteString): bigint {
  try {
    const match = /^([0-9]+)([GMT])B$/.exec(text);
    if (match === null) throw malformed("It should be of the format '123MB', '123GB' or '123TB'");
    const shifted = BigInt(match[1] as string) << (SIZE_SHIFTS[match[2] as string] as bigint);
    if (shifted >= 1n << 63n) throw malformed('Value was too high');
    return shifted;
  } catch (error) {
    throw prefixed(`Invalid min-free-space-size '${displayByteString(text)}'`, error);
  }
}

/** `ex-integrity.fsverity`, which `ex-integrity.composefs` turns to `maybe`; else the older section `ex-fsverity`. */
function verity(config: Keyfile): Tristate {
  const composefs = config.tristate('ex-integrity', 'composefs') ?? 'no';
  const wanted = config.tristate('ex-integrity', 'fsverity') ?? (composefs === 'no' ? 'no' : 'maybe');
  if (wanted !== 'no') return wanted;
  if (config.boolean('ex-fsverity', 'required') === true) return 'yes';
  return config.boolean('ex-fsverity', 'opportunistic') === true ? 'maybe' : 'no';
}

/** The number at the beginning of a text as strtoll finds it, 0 if there is none. */
function leadingInteger(text: ByteString | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  return Number(/^\s*([+-]?[0-9]{1,15})/.exec(text)?.[1] ?? 0);
}

/** Bytes as GLib's g_format_size writes them, in powers of 1000: `1.2 MB` with a no-break space. */
export function formatSize(bytes: number): string {
  if (bytes < 1000) return bytes === 1 ? '1 byte' : `${bytes} bytes`;
  let value = bytes;
  let unit = -1;
  do {
    value /= 1000;
    unit++;
  } while (value >= 1000 && unit < 5);
  return `${value.toFixed(1)}\u00a0${'kMGTPE'[unit]}B`;
}

/** What an object that does not fit into the space that must stay free is refused with. */
export function freeSpaceMessage(limit: MinFreeSpace, required: number): ByteString {
  const name =
    limit.size > 0n ? `min-free-space-size ${limit.size}MB` : `min-free-space-percent '${limit.percent}%'`;
  return byteString(`${name} would be exceeded, at least ${formatSize(required)} requested`);
}
