/**
 * The records of a pax header, which say of the next entry what its header block has no room for.
 * Defined by POSIX.1-2017, pax, "pax Extended Header"; sparse files by GNU tar, "Storing Sparse Files".
 * @module
 */
import { type ByteString, byteString } from '../bytes/byte-string.ts';

export interface TarTime {
  readonly seconds: number;
  /** 0 to 999,999,999, forward from `seconds`. */
  readonly nanoseconds: number;
}

export type PaxRecords = ReadonlyMap<ByteString, ByteString>;

/** Keys with which each part of a file begins in GNU sparse format 0.0; kept as the one list that format 0.1 has. */
const SPARSE_OFFSET = 'GNU.sparse.offset';
const SPARSE_LENGTH = 'GNU.sparse.numbytes';
export const SPARSE_MAP = byteString('GNU.sparse.map');

/** Keys whose values are names, which hold no NUL. */
const NAMES: readonly string[] = ['path', 'linkpath', 'uname', 'gname'];

/**
 * Decodes records, `LENGTH KEY=VALUE` and a newline each. Of a key that stands twice the last counts.
 *
 * @returns what is wrong, for people, if it is no list of records
 */
export function decodePaxRecords(data: ByteString): PaxRecords | string {
  const records = new Map<ByteString, ByteString>();
  const map: ByteString[] = [];
  for (let at = 0; at < data.length; ) {
    // A length has some 7 digits at most: no more is searched.
    const space = data.slice(at, at + 24).indexOf(' ');
    const length = space < 0 ? undefined : decimal(data.slice(at, at + space));
    if (length === undefined || length <= space + 1 || at + length > data.length)
      return `record at ${at} has no length`;
    const end = at + length - 1;
    const equals = data.indexOf('=', at + space + 1);
    if (data[end] !== '\n' || equals < 0 || equals >= end) return `record at ${at} is no KEY=VALUE`;
    const key = byteString(data.slice(at + space + 1, equals));
    const value = byteString(data.slice(equals + 1, end));
    if (key === '' || key.includes('\0') || (NAMES.includes(key) && value.includes('\0')))
      return `record at ${at} has a NUL`;
    if (key === SPARSE_OFFSET || key === SPARSE_LENGTH) {
      if ((map.length % 2 === 0) !== (key === SPARSE_OFFSET) || value.includes(','))
        return `record at ${at} is no place of a sparse file`;
      map.push(value);
    } else records.set(key, value);
    at = end + 1;
  }
  if (map.length > 0) records.set(SPARSE_MAP, byteString(map.join(',')));
  return records;
}

/** A decimal number with an optional sign; undefined if it is none. */
export function decimal(text: string): number | undefined {
  return /^[+-]?[0-9]{1,19}$/.test(text) ? Number(text) : undefined;
}

/** `SECONDS` or `SECONDS.FRACTION`; undefined if it is neither. */
export function decodePaxTime(text: string): TarTime | undefined {
  const match = /^([+-]?)([0-9]{1,19})(?:\.([0-9]*))?$/.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = ''] = match;
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, '0'));
  if (sign !== '-') return { seconds: Number(whole), nanoseconds };
  return nanoseconds === 0
    ? { seconds: -Number(whole), nanoseconds }
    : { seconds: -Number(whole) - 1, nanoseconds: 1e9 - nanoseconds };
}
