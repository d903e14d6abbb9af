/** What a commit says of itself, and whether that is what may be booted. @module */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { type Commit, decodeCommit } from '../ostree/commit.ts';
import { lookup } from '../ostree/metadata.ts';
import type { BootPolicy } from './boot-policy.ts';
import type { Judge } from './fault.ts';

export interface BootedCommit {
  readonly checksum: string;
  /** `version` of the metadata. */
  readonly version: ByteString | undefined;
  /** Seconds since 1970. */
  readonly timestamp: bigint;
  readonly metadata: Commit['metadata'];
}

const VERSION_KEY = byteString('version');

/**
 * @param checksum the name that the commit was found under
 * @throws SealtreeError `malformed` if the bytes are no commit
 */
export function describeCommit(commit: Commit | Uint8Array, checksum: string): BootedCommit {
  const { metadata, timestamp } =
    commit instanceof Uint8Array ? decodeCommit(commit, `${checksum}.commit`) : commit;
  const version = lookup(metadata, VERSION_KEY);
  return {
    checksum,
    version: version?.type === 's' ? (version.value as ByteString) : undefined,
    timestamp,
    metadata,
  };
}

/**
 * Holds the commit that vouches for the boot against `minimum-timestamp` and `require-metadata`.
 *
 * @param commit undefined if none can be read, which fails every demand
 */
export function judgeContent(
  { demands, sealed }: Pick<BootPolicy, 'demands' | 'sealed'>,
  commit: BootedCommit | undefined,
  judge: Judge,
): void {
  const holds = sealed !== undefined;
  const { minimumTimestamp, metadata } = demands;
  if (minimumTimestamp !== undefined) {
    const name = 'minimum timestamp';
    const expected = `${dateOf(minimumTimestamp)} or later`;
    if (commit === undefined || commit.timestamp < minimumTimestamp) {
      const found = commit === undefined ? 'no commit' : dateOf(commit.timestamp);
      const message = `commit is of ${found}, expected ${expected}`;
      judge.broken(holds, { name, message, expected, found });
    } else
      judge.passed(name, `commit is of ${dateOf(commit.timestamp)}, not before ${dateOf(minimumTimestamp)}`);
  }
  for (const { key, value } of metadata) {
    const name = 'required metadata';
    const shown = displayByteString(key);
    const expected = `${shown}=${displayByteString(value)}`;
    const entry = commit === undefined ? undefined : lookup(commit.metadata, key);
    if (entry?.type === 's' && entry.value === value) {
      judge.passed(name, `commit has ${expected}`);
      continue;
    }
    const found =
      entry === undefined
        ? `no ${shown}`
        : entry.type === 's'
          ? `${shown}=${displayByteString(entry.value as ByteString)}`
          : `${shown} of type ${entry.type}`;
    judge.broken(holds, { name, message: `commit has ${found}, expected ${expected}`, expected, found });
  }
}

/** RFC 3339 in UTC, to the second; the number itself where that has no year of four digits. */
export function dateOf(timestamp: bigint): string {
  if (timestamp >= 253402300800n) return `@${timestamp}`;
  return new Date(Number(timestamp) * 1000).toISOString().replace('.000Z', 'Z');
}
