/** The options of veritysetup, which all its actions share; and what they are worth. @module */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { bytesFromHex } from '../core/bytes/hex.ts';
import { verityError } from '../verity/errors.ts';
import type { FecOptions, VerityGeometry } from '../verity/format.ts';
import { optionOf } from './option.ts';
import type { OptionSpec, OptionValues } from './verb.ts';

export type VerityAction = 'format' | 'verify' | 'open' | 'close' | 'status' | 'dump';

export interface VeritysetupOption extends OptionSpec {
  /** A decimal number without sign, of so many bits. */
  readonly bits?: 32 | 64;
  /** The only actions that take it; all others too, without any effect, where it is not said. */
  readonly actions?: readonly VerityAction[];
}

/** In the order of the real tool, which is that of its usage. */
export const VERITYSETUP_OPTIONS: readonly VeritysetupOption[] = [
  {
    flags: '--cancel-deferred',
    description: 'keep a device that was to be removed when its last user closes it',
    actions: ['close'],
  },
  {
    flags: '--check-at-most-once',
    description: 'let the kernel verify a block of data only when it is first read',
  },
  {
    flags: '--data-block-size <bytes>',
    description: 'size of a block of data, a power of 2 from 512 to 524288; 4096 by default',
    bits: 32,
  },
  {
    flags: '--data-blocks <blocks>',
    description: 'how many blocks of data there are; by default as many as the data device has',
    bits: 64,
  },
  { flags: '--debug', description: 'as --verbose' },
  {
    flags: '--deferred',
    description: 'remove the device when its last user closes it',
    actions: ['close'],
  },
  {
    flags: '--error-as-corruption',
    description: 'treat a read that fails as one of changed data',
    actions: ['open'],
  },
  { flags: '--fec-device <path>', description: 'file or device for Reed-Solomon parity' },
  {
    flags: '--fec-offset <bytes>',
    description: 'where parity begins on that device, a multiple of 512; 0 by default',
    bits: 64,
  },
  {
    flags: '--fec-roots <bytes>',
    description: 'bytes of parity in a codeword of 255, from 2 to 24; 2 by default',
    bits: 32,
  },
  {
    flags: '--format <number>',
    description: 'hash type: 1, the default, or 0 as Chrome OS had it first',
    bits: 32,
  },
  { flags: '-h, --hash <string>', description: 'hash algorithm; sha256 by default' },
  {
    flags: '--hash-block-size <bytes>',
    description: 'size of a block of the tree, a power of 2 from 512 to 524288; 4096 by default',
    bits: 32,
  },
  {
    flags: '--hash-offset <bytes>',
    description: 'where the superblock is on the hash device, a multiple of 512; 0 by default',
    bits: 64,
  },
  {
    flags: '--ignore-corruption',
    description: 'let the kernel give changed data out, and only log that it did',
    actions: ['open'],
  },
  {
    flags: '--ignore-zero-blocks',
    description: 'let the kernel give zeros for blocks that are to be zeros, unread',
    actions: ['open'],
  },
  {
    flags: '--no-superblock',
    description: 'there is no superblock; the tree begins at the offset, and options say how it was made',
  },
  {
    flags: '--panic-on-corruption',
    description: 'let the kernel panic at changed data',
    actions: ['open'],
  },
  {
    flags: '--restart-on-corruption',
    description: 'let the kernel restart the machine at changed data',
    actions: ['open'],
  },
  {
    flags: '--root-hash-file <STRING>',
    description: 'file with the root hash in hexadecimal, written by format and read by the others',
    actions: ['format', 'open', 'verify'],
  },
  {
    flags: '--root-hash-signature <STRING>',
    description: 'file with a PKCS #7 signature of the root hash, for the kernel to check',
    actions: ['open'],
  },
  {
    flags: '-s, --salt <hex string>',
    description: 'up to 256 bytes that are hashed with every block, - for none; 32 random ones by default',
  },
  {
    flags: '--shared',
    description: 'let other verity devices use the data device as well',
    actions: ['open'],
  },
  {
    flags: '--use-tasklets',
    description: 'let the kernel verify in tasklets',
    actions: ['open'],
  },
  { flags: '--uuid <STRING>', description: 'UUID for the superblock; a random one by default' },
  { flags: '-v, --verbose', description: 'tell how it ended' },
];

/** Those of the options that one action makes use of. */
export function optionsFor(action: VerityAction): OptionSpec[] {
  const used = USED[action];
  return VERITYSETUP_OPTIONS.filter(
    ({ flags, actions }) =>
      actions?.includes(action) || used.some((name) => new RegExp(`--${name}(?= |$)`).test(flags)),
  ).map(({ flags, description }) => ({ flags, description }));
}

/** The options of a call as words of a command line. */
export function optionWords(options: OptionValues): ByteString[] {
  return VERITYSETUP_OPTIONS.map(optionOf).flatMap(({ long, takes }) => {
    const value = options.value(long);
    if (value === undefined) return [];
    return [byteString(takes === 'nothing' ? `--${long}` : `--${long}=${value}`)];
  });
}

const TREE = ['data-block-size', 'data-blocks', 'format', 'hash', 'hash-block-size', 'salt', 'no-superblock'];
const FEC = ['fec-device', 'fec-offset', 'fec-roots', 'hash-offset'];
const EVERYWHERE = ['debug', 'verbose'];
const USED: Readonly<Record<VerityAction, readonly string[]>> = {
  format: [...TREE, ...FEC, 'uuid', ...EVERYWHERE],
  verify: [...TREE, ...FEC, ...EVERYWHERE],
  open: [...TREE, ...FEC, 'check-at-most-once', ...EVERYWHERE],
  close: EVERYWHERE,
  status: ['fec-device', ...EVERYWHERE],
  dump: [...FEC, ...EVERYWHERE],
};

const DEFAULT_SALT_SIZE = 32;

/** How the tree is made, with the real tool's defaults. Without a salt on the command line it is a random one. */
export function geometryOf(options: OptionValues): VerityGeometry {
  return {
    hashType: numberOf(options, 'format', 1),
    algorithm: displayByteString(options.value('hash') ?? byteString('sha256')),
    dataBlockSize: numberOf(options, 'data-block-size', 4096),
    hashBlockSize: numberOf(options, 'hash-block-size', 4096),
    dataBlocks: numberOf(options, 'data-blocks', 0),
    salt: saltOf(options.value('salt')),
    hashOffset: numberOf(options, 'hash-offset', 0),
    hasSuperblock: !options.has('no-superblock'),
  };
}

/** undefined if no device for parity was given. */
export function fecOf(options: OptionValues): FecOptions | undefined {
  const path = options.value('fec-device');
  if (path === undefined) return undefined;
  return { path, offset: fecOffsetOf(options), roots: numberOf(options, 'fec-roots', 2) };
}

export function fecOffsetOf(options: OptionValues): number {
  return numberOf(options, 'fec-offset', 0);
}

/** A number as strtoull reads it: blanks and a sign may stand before. @returns undefined if it is none of so many bits */
export function unsignedOf(text: string, bits: 32 | 64): number | undefined {
  const match = /^[ \t\n\v\f\r]*([+-]?)([0-9]+)$/.exec(text);
  if (match === null) return undefined;
  const value = BigInt(match[2] as string);
  if (value >= 2n ** 64n) return undefined;
  const wrapped = BigInt.asUintN(64, match[1] === '-' ? -value : value);
  return wrapped < 2n ** BigInt(bits) ? Number(wrapped) : undefined;
}

/** The value of an option that was looked at when it was parsed. */
function numberOf(options: OptionValues, name: string, otherwise: number): number {
  const text = options.value(name);
  return text === undefined ? otherwise : (unsignedOf(text, 64) as number);
}

function saltOf(text: ByteString | undefined): Uint8Array {
  if (text === undefined) return crypto.getRandomValues(new Uint8Array(DEFAULT_SALT_SIZE));
  if (text === '-') return new Uint8Array(0);
  try {
    return bytesFromHex(text);
  } catch {
    throw verityError('usage', 'Invalid salt string specified.');
  }
}
