/**
 * Key files as GLib's GKeyFile reads and writes them: repository `config`, `prepare-root.conf`, `.origin`.
 *
 * The grammar is decided here, line by line, because it is not that of INI files at large: a value runs to the
 * end of its line whatever `#`, `;` or quotes it holds, a line that is no group, key or comment makes the whole
 * file invalid, and a key with a locale (`name[de]`) is skipped as in the C locale. What is left, groups and
 * keys of which the last one wins, is put to `ini` in quoted form.
 *
 * Rules: GLib reference manual, "Key-value file parser", and the behaviour of GLib 2.90.
 * @module
 */
import { parse } from 'ini';
import { type ByteString, byteString, decodeUtf8, displayByteString } from '../bytes/byte-string.ts';
import { malformed, SealtreeError } from '../errors.ts';

export type Tristate = 'yes' | 'no' | 'maybe';

export interface Keyfile {
  /** Names of the groups in the order in which they first stand in the file. */
  readonly groups: readonly ByteString[];
  /** Keys of a group in the order in which they first stand in the file; empty if there is no such group. */
  keys(group: string): readonly ByteString[];
  /** Whether there is such a group, or such a key in it. */
  has(group: string, key?: string): boolean;
  /** The value as it stands in the file without leading blanks (`g_key_file_get_value`), or undefined. */
  value(group: string, key: string): ByteString | undefined;
  /**
   * The value with its escapes resolved (`g_key_file_get_string`), or undefined if the key is not there.
   *
   * @throws SealtreeError `malformed` if it is not UTF-8 or holds an unknown escape
   */
  get(group: string, key: string): ByteString | undefined;
  /**
   * As {@link Keyfile.get}, for a key that has to be there.
   *
   * @throws SealtreeError `missing` in GKeyFile's words
   */
  expect(group: string, key: string): ByteString;
  /**
   * `true` and `1`, `false` and `0`, in lower case; trailing blanks do not count (`g_key_file_get_boolean`).
   *
   * @throws SealtreeError `malformed` for any other value
   */
  boolean(group: string, key: string): boolean | undefined;
  /**
   * `maybe`, or a boolean of ostree's: also `yes` and `no`.
   *
   * @throws SealtreeError `malformed` `Invalid tri-state value: X`
   */
  tristate(group: string, key: string): Tristate | undefined;
  /**
   * A decimal number of 32 bits (`g_key_file_get_integer`: digits behind a blank do not count).
   *
   * @throws SealtreeError `malformed` for anything else
   */
  integer(group: string, key: string): number | undefined;
}

/**
 * Parses a key file.
 *
 * @param what names the file in messages
 * @throws SealtreeError `malformed`, `WHAT: line N: …`, at the first line that is not valid
 */
export function parseKeyfile(text: ByteString, what: string): Keyfile {
  const quoted: string[] = [];
  const order = new Map<string, Set<ByteString>>();
  for (const line of readLines(text, what)) {
    if (line.kind === 'group') {
      if (!order.has(line.group)) order.set(line.group, new Set());
      quoted.push(`[${JSON.stringify(groupMark(line.group))}]`);
    } else if (line.kind === 'key' && !line.localized) {
      order.get(line.group)?.add(line.key);
      quoted.push(`${JSON.stringify(mark(line.key))}=${JSON.stringify(line.value)}`);
    }
  }
  const tables = parse(quoted.join('\n')) as Record<string, Record<string, unknown>>;
  const value = (group: string, key: string): ByteString | undefined => {
    if (order.get(group)?.has(key as ByteString) !== true) return undefined;
    return byteString(String(tables[groupMark(group)]?.[mark(key)]));
  };
  return makeKeyfile(order, value, what);
}

/**
 * Sets a key, leaving every other byte of the file alone.
 * A key that is there is replaced where it stands (the last one, if it stands there twice). A new one is put
 * behind the last key of its group, a new group at the end behind an empty line: where GKeyFile puts them.
 * A file that GKeyFile wrote comes out as GKeyFile would write it.
 *
 * @param value text of the value; blanks in front, line ends and backslashes are escaped as GKeyFile does
 * @returns the text of the new file
 * @throws SealtreeError `usage` if no group or key can have such a name, `malformed` if the file is not valid
 */
export function setKey(
  text: ByteString,
  group: ByteString,
  key: ByteString,
  value: ByteString,
  what: string,
): ByteString {
  if (!isGroupName(group))
    throw new SealtreeError('usage', `Invalid group name: ${displayByteString(group)}`);
  if (keyNameKind(key) !== 'plain')
    throw new SealtreeError('usage', `Invalid key name: ${displayByteString(key)}`);
  const pair = `${key}=${escapeValue(value)}\n`;
  let same: Line | undefined;
  let behind: Line | undefined;
  for (const line of readLines(text, what)) {
    if (line.kind === 'other' || line.group !== group) continue;
    behind = line;
    if (line.kind === 'key' && line.key === key) same = line;
  }
  if (same !== undefined) return byteString(text.slice(0, same.start) + pair + text.slice(same.end));
  if (behind !== undefined)
    return byteString(ended(text.slice(0, behind.end)) + pair + text.slice(behind.end));
  const complete = ended(text);
  const gap = complete === '' || complete.endsWith('\n\n') ? '' : '\n';
  return byteString(`${complete}${gap}[${group}]\n${pair}`);
}

/** With a line end, unless it is empty. */
function ended(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

/**
 * Removes a key, leaving every other byte of the file alone. Of a key that stands there twice the last one goes,
 * as in GKeyFile; a group that becomes empty stays.
 *
 * @returns the text of the new file, or undefined if there is no such key
 * @throws SealtreeError `malformed` if the file is not valid
 */
export function unsetKey(
  text: ByteString,
  group: ByteString,
  key: ByteString,
  what: string,
): ByteString | undefined {
  let same: Line | undefined;
  for (const line of readLines(text, what)) {
    if (line.kind === 'key' && !line.localized && line.group === group && line.key === key) same = line;
  }
  return same === undefined ? undefined : byteString(text.slice(0, same.start) + text.slice(same.end));
}

/**
 * A boolean as ostree reads them outside of GKeyFile.
 *
 * @returns undefined for any other text
 */
export function parseTristate(text: string): Tristate | undefined {
  switch (text) {
    case 'maybe':
      return 'maybe';
    case 'yes':
    case 'true':
    case '1':
      return 'yes';
    case 'no':
    case 'false':
    case '0':
      return 'no';
    default:
      return undefined;
  }
}

type Line = { readonly start: number; readonly end: number } & (
  | { readonly kind: 'other' }
  | { readonly kind: 'group'; readonly group: ByteString }
  | {
      readonly kind: 'key';
      readonly group: ByteString;
      readonly key: ByteString;
      readonly value: ByteString;
      readonly localized: boolean;
    }
);

/** The lines of a key file with their places in `text`; `end` is behind the line end. */
function* readLines(text: ByteString, what: string): Generator<Line> {
  let group: ByteString | undefined;
  let first: ByteString | undefined;
  for (let start = 0, number = 1; start < text.length; number++) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline + 1;
    const raw = newline < 0 ? text.slice(start) : text.slice(start, newline).replace(/\r$/, '');
    const line = chug(raw);
    const fail = (message: string) =>
      malformed(`${what}: line ${number}: ${message}`, { path: what, line: number });
    if (raw.includes('\0')) throw fail('Key file contains a NUL byte');
    const header = /^\[([^\]]*)\][ \t]*$/.exec(line);
    const equals = line.indexOf('=');
    if (line === '' || line.startsWith('#')) {
      yield { kind: 'other', start, end };
    } else if (header !== null) {
      group = byteString(header[1] as string);
      if (!isGroupName(group)) throw fail(`Invalid group name: ${displayByteString(group)}`);
      first ??= group;
      yield { kind: 'group', group, start, end };
    } else if (equals <= 0) {
      const shown = displayByteString(byteString(raw));
      throw fail(`Key file contains line “${shown}” which is not a key-value pair, group, or comment`);
    } else {
      if (group === undefined) throw fail('Key file does not start with a group');
      const key = byteString(chomp(line.slice(0, equals)));
      const value = byteString(chug(line.slice(equals + 1)));
      const kind = keyNameKind(key);
      if (kind === undefined) throw fail(`Invalid key name: ${displayByteString(key)}`);
      if (group === first && key === 'Encoding' && value.toLowerCase() !== 'utf-8')
        throw fail(`Key file contains unsupported encoding “${displayByteString(value)}”`);
      yield { kind: 'key', group, key, value, localized: kind === 'localized', start, end };
    }
    start = end;
  }
}

/** Without white space (g_ascii_isspace) in front. */
function chug(text: string): string {
  let start = 0;
  while (start < text.length && isSpace(text.charCodeAt(start))) start++;
  return text.slice(start);
}

/** Without white space at the end. */
function chomp(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(0, end);
}

function isSpace(char: number): boolean {
  return char === 0x20 || (char >= 0x09 && char <= 0x0d);
}

function isGroupName(name: ByteString): boolean {
  return /^[^[\]\x00-\x1f\x7f]+$/.test(name);
}

/** Blanks may stand in the middle of a key, not at its ends; a locale may follow in brackets. */
function keyNameKind(name: ByteString): 'plain' | 'localized' | undefined {
  if (/^(?! )[^=[\]\0\n]+(?<! )(?:\[\])?$/.test(name)) return 'plain';
  return /^(?! )[^=[\]\0\n]+(?<! )\[[-_.@A-Za-z0-9\x80-\xff]+\]$/.test(name) ? 'localized' : undefined;
}

/** `ini` gives `__proto__` and names that end in `[]` a meaning; a mark in front and behind takes it away. */
function mark(name: string): string {
  return `<${name}>`;
}

/** `ini` nests groups at the dots of their names; no name of a group holds a control character. */
function groupMark(name: string): string {
  return mark(name.replace(/\./g, '\x01'));
}

function makeKeyfile(
  order: ReadonlyMap<string, ReadonlySet<ByteString>>,
  value: Keyfile['value'],
  what: string,
): Keyfile {
  const shown = (text: string) => displayByteString(byteString(text));
  const get = (group: string, key: string): ByteString | undefined => {
    const raw = value(group, key);
    if (raw === undefined) return undefined;
    if (decodeUtf8(raw) === undefined)
      throw malformed(
        `${what}: Key file contains key “${shown(key)}” with value “${shown(raw)}” which is not UTF-8`,
      );
    return unescapeValue(raw) ?? uninterpretable(key);
  };
  const uninterpretable = (key: string): never => {
    throw malformed(
      `${what}: Key file contains key “${shown(key)}” which has a value that cannot be interpreted.`,
    );
  };
  return {
    groups: [...order.keys()].map(byteString),
    keys: (group) => [...(order.get(group) ?? [])],
    has: (group, key) =>
      key === undefined ? order.has(group) : order.get(group)?.has(key as ByteString) === true,
    value,
    get,
    expect(group, key) {
      const found = get(group, key);
      if (found !== undefined) return found;
      if (!order.has(group))
        throw new SealtreeError('missing', `Key file does not have group “${shown(group)}”`);
      throw new SealtreeError(
        'missing',
        `Key file does not have key “${shown(key)}” in group “${shown(group)}”`,
      );
    },
    boolean(group, key) {
      const found = value(group, key);
      if (found === undefined) return undefined;
      const raw = chomp(found);
      if (raw === 'true' || raw === '1') return true;
      return raw === 'false' || raw === '0' ? false : uninterpretable(key);
    },
    tristate(group, key) {
      const found = value(group, key);
      if (found === undefined) return undefined;
      const raw = chomp(found);
      const parsed = parseTristate(raw);
      if (parsed === undefined) throw malformed(`Invalid tri-state value: ${shown(raw)}`);
      return parsed;
    },
    integer(group, key) {
      const raw = value(group, key);
      if (raw === undefined) return undefined;
      const number = Number(/^([+-]?[0-9]{1,20})(?:$|[ \t\n\v\f\r])/.exec(raw)?.[1] ?? Number.NaN);
      return number >= -(2 ** 31) && number < 2 ** 31 ? number : uninterpretable(key);
    },
  };
}

const ESCAPES: Readonly<Record<string, string>> = { s: ' ', n: '\n', t: '\t', r: '\r', '\\': '\\' };

/** @returns undefined if an escape is unknown or cut short */
function unescapeValue(raw: ByteString): ByteString | undefined {
  let known = true;
  const out = raw.replace(/\\([\s\S]?)/g, (_, letter: string) => {
    const char = ESCAPES[letter];
    if (char === undefined) known = false;
    return char ?? '';
  });
  return known ? byteString(out) : undefined;
}

function escapeValue(value: ByteString): string {
  const blanks = /^[ \t]*/.exec(value)?.[0] ?? '';
  const escaped = value
    .slice(blanks.length)
    .replace(/[\\\n\r]/g, (char) => (char === '\n' ? '\\n' : char === '\r' ? '\\r' : '\\\\'));
  return blanks.replace(/ /g, '\\s').replace(/\t/g, '\\t') + escaped;
}
