/** Sizes on command lines: bytes, or with a letter for powers of 1024 behind them. @module */
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { optionError } from './usage.ts';

const UNITS = ['', 'K', 'M', 'G', 'T'];

/**
 * `4G`, `512M`, `1048576`.
 *
 * @param option for the message
 * @throws SealtreeError `usage`
 */
export function parseSize(text: ByteString, option: string): number {
  const match = /^([0-9]{1,15})([KMGT]?)$/i.exec(text);
  const size = match === null ? 0 : Number(match[1]) * 1024 ** UNITS.indexOf((match[2] ?? '').toUpperCase());
  if (size > 0 && Number.isSafeInteger(size)) return size;
  throw optionError(`--${option}: expected a size such as 4G, found '${displayByteString(text)}'`);
}
