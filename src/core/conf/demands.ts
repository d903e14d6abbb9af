/**
 * Demands on the content of the commit that is booted, beyond its signature: a key that lives long signs older
 * versions and other products as well. They stand in `prepare-root.conf` or in the sealed file.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import { parseTimestamp } from '../timestamp.ts';
import type { Keyfile } from './keyfile.ts';

export interface Demands {
  /** Seconds since 1970; a commit that is older is not booted. */
  readonly minimumTimestamp: bigint | undefined;
  /** Strings that must stand in the commit's metadata. */
  readonly metadata: readonly { readonly key: ByteString; readonly value: ByteString }[];
}

export const NO_DEMANDS: Demands = { minimumTimestamp: undefined, metadata: [] };

/**
 * `composefs.minimum-timestamp` (a number of seconds, `@SECONDS`, or a date of RFC 3339, in UTC unless it says
 * otherwise) and `composefs.require-metadata` (a list `KEY=VALUE;…`).
 *
 * @throws SealtreeError `malformed`
 */
export function readDemands(file: Keyfile): Demands {
  const timestamp = file.value('composefs', 'minimum-timestamp')?.trim();
  const seconds =
    timestamp === undefined
      ? undefined
      : parseTimestamp(/^\d+$/.test(timestamp) ? `@${timestamp}` : timestamp, () => 0);
  if (timestamp !== undefined && (seconds === undefined || seconds < 0n)) {
    const shown = displayByteString(byteString(timestamp));
    throw malformed(
      `composefs.minimum-timestamp: not a time: '${shown}'; expected seconds since 1970 or RFC 3339`,
    );
  }
  return {
    minimumTimestamp: seconds,
    metadata: listOf(file, 'composefs', 'require-metadata').map((entry) => {
      const equals = entry.indexOf('=');
      if (equals <= 0)
        throw malformed(
          `composefs.require-metadata: expected KEY=VALUE, found '${displayByteString(entry)}'`,
        );
      return { key: byteString(entry.slice(0, equals)), value: byteString(entry.slice(equals + 1)) };
    }),
  };
}

/** Both: the later of two times, all of the metadata. */
export function joinDemands(a: Demands, b: Demands): Demands {
  const [x, y] = [a.minimumTimestamp, b.minimumTimestamp];
  return {
    minimumTimestamp: x === undefined || (y !== undefined && y > x) ? y : x,
    metadata: [...a.metadata, ...b.metadata],
  };
}

/** A list of GKeyFile's, separated by `;`; empty parts and blanks around the others do not count. */
export function listOf(file: Keyfile, group: string, key: string): ByteString[] {
  const value = file.get(group, key) ?? '';
  return value
    .split(';')
    .map((part) => byteString(part.trim()))
    .filter((part) => part !== '');
}
