/** Times as compact file systems have them, with the corner cases of hcsshim's compactext4. @module */
import type { TarTime } from '../../tar/pax.ts';
import type { InodeTime } from '../inode.ts';

const NEVER: InodeTime = { low: 0, extra: 0 };
/** What Go takes for no time at all: the first moment of the year 1. */
const YEAR_ONE = -62135596800;
const EARLIEST = -(2 ** 31);
/** The last second of the 34 bits that an inode has. */
const LATEST = 0x37fffffff;

/** Encodes a time: clamped to what an inode can hold, and before 1970 without nanoseconds. */
export function compactTime(time: TarTime | undefined): InodeTime {
  if (time === undefined) return NEVER;
  const { seconds, nanoseconds } = time;
  if (seconds === YEAR_ONE && nanoseconds === 0) return NEVER;
  if (seconds < EARLIEST) return { low: 2 ** 31, extra: 0 };
  if (seconds > LATEST) return { low: 0x7fffffff, extra: 3 };
  // The sign of a negative number fills all 64 bits.
  if (seconds < 0) return { low: seconds >>> 0, extra: 0xffffffff };
  return { low: seconds % 2 ** 32, extra: Math.floor(seconds / 2 ** 32) + nanoseconds * 4 };
}

/**
 * A time of one inode as it becomes another one's, or is set once more: read back it is another time where the low word
 * has its highest bit set.
 */
export function copiedTime(time: InodeTime): InodeTime {
  const { low, extra } = time;
  if (low === 0 && extra === 0) return NEVER;
  const seconds = low + (extra & 3) * 2 ** 32;
  const nanoseconds = extra >>> 2;
  const signed = seconds > 0x7fffffff && seconds < 2 ** 32 ? seconds - 2 ** 32 : seconds;
  return compactTime({
    seconds: signed + Math.floor(nanoseconds / 1e9),
    nanoseconds: nanoseconds % 1e9,
  });
}
