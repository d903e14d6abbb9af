/**
 * Points in time as `ostree commit --timestamp` takes them: `@SECONDS`, RFC 3339 and the forms next to it, and the
 * date of mail headers that `date -R` prints. RFC 3339 section 5.6, RFC 5322 section 3.3; a date without a zone is
 * local time, as in the real tool. Its words for relative times (`yesterday`) are not taken.
 * @module
 */

/** Seconds that local time is ahead of UTC when the local clock shows these numbers. */
export type LocalOffset = (year: number, month: number, day: number, hour: number, minute: number) => number;

const TIME = '(\\d{1,2}):(\\d{2})(?::(\\d{2})(?:[.,]\\d+)?)?';
const ZONE = '(Z|UTC|GMT|[+-]\\d{1,2}(?::?\\d{2})?)';
const ISO = new RegExp(`^\\s*(\\d{4})-(\\d{1,2})-(\\d{1,2})(?:(?:T|\\s+)${TIME}\\s*${ZONE}?)?\\s*$`, 'i');
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const MAIL = new RegExp(
  `^\\s*(?:[a-z]{3},?\\s+)?(\\d{1,2})\\s+(${MONTHS.join('|')})\\s+(\\d{4})(?:\\s+${TIME}\\s*${ZONE}?)?\\s*$`,
  'i',
);

/**
 * Parses a timestamp.
 *
 * @param localOffset used for a time without zone
 * @returns seconds since 1970, or undefined if the text is no timestamp
 */
export function parseTimestamp(text: string, localOffset: LocalOffset): bigint | undefined {
  const seconds = /^\s*@\s*([+-]?\d{1,19})(?:[.,]\d+)?\s*$/.exec(text)?.[1];
  if (seconds !== undefined) {
    const value = BigInt(seconds);
    return BigInt.asIntN(64, value) === value ? value : undefined;
  }
  const iso = ISO.exec(text);
  if (iso !== null) return timeOf([iso[1], iso[2], iso[3]], iso.slice(4), localOffset);
  const mail = MAIL.exec(text);
  if (mail === null) return undefined;
  const month = MONTHS.indexOf((mail[2] as string).toLowerCase()) + 1;
  return timeOf([mail[3], String(month), mail[1]], mail.slice(4), localOffset);
}

function timeOf(
  date: readonly (string | undefined)[],
  rest: readonly (string | undefined)[],
  localOffset: LocalOffset,
): bigint | undefined {
  const [year = 0, month = 0, day = 0] = date.map(Number);
  const [hour = 0, minute = 0, second = 0] = rest.slice(0, 3).map((part) => Number(part ?? 0));
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const zone = rest[3];
  const offset = zone === undefined ? localOffset(year, month, day, hour, minute) : zoneOffset(zone);
  if (offset === undefined) return undefined;
  return BigInt(daysSince1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset);
}

function zoneOffset(zone: string): number | undefined {
  const match = /^([+-])(\d{1,2}):?(\d{2})?$/.exec(zone);
  if (match === null) return 0;
  const [hours, minutes] = [Number(match[2]), Number(match[3] ?? 0)];
  if (hours > 24 || minutes > 59) return undefined;
  return (match[1] === '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

function daysIn(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] as number;
}

/** Of the proleptic Gregorian calendar, counted in years that begin in March. */
function daysSince1970(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 719468;
}
