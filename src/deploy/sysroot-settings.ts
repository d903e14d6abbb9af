/** The `[sysroot]` settings of a repository's `config`: ostree.repo-config(5). @module */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import type { Keyfile } from '../core/conf/keyfile.ts';
import { malformed } from '../core/errors.ts';
import { inDictOrder } from '../core/ostree/dict-order.ts';

const BOOTLOADERS = ['auto', 'none', 'grub2', 'syslinux', 'aboot', 'uboot', 'zipl'];

export interface SysrootSettings {
  /** Whose configuration is written besides the boot entries. */
  readonly bootloader: string;
  /** Whether paths in boot entries begin with `/boot`. */
  readonly bootPrefix: boolean;
  /** Tries that a boot loader gives a new entry; 0 is no counting. */
  readonly bootTries: number;
  /** Keys that entries other than the default get. */
  readonly appendExceptDefault: readonly (readonly [key: ByteString, value: ByteString])[];
}

/** @throws SealtreeError `malformed` in ostree's words */
export function sysrootSettings(config: Keyfile): SysrootSettings {
  const get = (key: string) => config.get('sysroot', key);
  const tries = get('boot-counting-tries') ?? '0';
  if (!/^[0-5]$/.test(tries)) {
    const problem = /^[0-9]+$/.test(tries)
      ? `Number “${tries}” is out of bounds [0, 5]`
      : `“${displayByteString(byteString(tries))}” is not an unsigned number`;
    throw malformed(`Parsing sysroot.boot-counting-tries: ${problem}`);
  }
  const bootloader = get('bootloader') ?? 'auto';
  if (!BOOTLOADERS.includes(bootloader))
    throw malformed(`Invalid bootloader configuration: '${displayByteString(byteString(bootloader))}'`);
  return {
    bootloader,
    bootPrefix: config.boolean('sysroot', 'bootprefix') ?? false,
    bootTries: Number(tries),
    appendExceptDefault: inDictOrder(pairsOf(get('bls-append-except-default') ?? '')),
  };
}

function pairsOf(list: string): [ByteString, ByteString][] {
  const words = list.split(';');
  if (words.at(-1) === '') words.pop();
  return words.map((word) => {
    const equals = word.indexOf('=');
    if (equals < 0)
      throw malformed('bls-append-except-default key must be of the form "key1=value1;key2=value2..."');
    return [byteString(word.slice(0, equals)), byteString(word.slice(equals + 1))];
  });
}
