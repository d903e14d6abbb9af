/**
 * Entries of the Boot Loader Specification (https://uapi-group.org/specifications/specs/boot_loader_specification),
 * read and written as ostree does: keys it knows in a fixed order, then the others in that of its hash table.
 * @module
 */
import { type ByteString, byteString, displayByteString, isUtf8 } from '../core/bytes/byte-string.ts';
import { malformed } from '../core/errors.ts';
import { inDictOrder } from '../core/ostree/dict-order.ts';

export interface BootEntry {
  /** Name of the file that it was read from. */
  readonly fileName: ByteString | undefined;
  /** Keys in the order in which they came, each with its last value; of `initrd` the first. */
  readonly values: ReadonlyMap<ByteString, ByteString>;
  /** Paths of further `initrd` lines. */
  readonly overlayInitrds: readonly ByteString[];
}

/** Bytes of one entry file. */
export const ENTRY_LIMIT = 64 * 1024;

const FIRST_KEYS = ['title', 'version', 'options', 'devicetree', 'linux', 'initrd'].map(byteString);
const INITRD = byteString('initrd');

/** An entry that nothing is known of yet but its kernel arguments. */
export function newEntry(options: ByteString | undefined): BootEntry {
  const values = new Map<ByteString, ByteString>();
  if (options !== undefined) values.set(byteString('options'), options);
  return { fileName: undefined, values, overlayInitrds: [] };
}

/** The entry with some keys set. */
export function withValues(
  entry: BootEntry,
  changes: Iterable<readonly [key: string, value: ByteString]>,
): BootEntry {
  const values = new Map(entry.values);
  for (const [key, value] of changes) values.set(byteString(key), value);
  return { ...entry, values };
}

/** The value of a key, undefined if the entry has none. */
export function entryValue(entry: BootEntry, key: string): ByteString | undefined {
  return entry.values.get(byteString(key));
}

/** @throws SealtreeError `malformed` if it is not UTF-8 */
export function parseEntry(text: ByteString, fileName: ByteString): BootEntry {
  if (!isUtf8(text) || text.includes('\0')) throw malformed('Invalid UTF-8');
  const values = new Map<ByteString, ByteString>();
  const overlayInitrds: ByteString[] = [];
  for (const line of text.split('\n')) {
    const [, key, value] = /^([A-Za-z][^ \t]*)[ \t](.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) continue;
    if (key === INITRD && values.has(INITRD)) overlayInitrds.push(byteString(value));
    else values.set(byteString(key), byteString(value));
  }
  return { fileName, values, overlayInitrds };
}

/**
 * @throws SealtreeError `malformed` if a value holds a line end, which would begin a line of its own, or the whole is
 *   larger than any boot loader expects
 */
export function formatEntry({ values, overlayInitrds }: BootEntry): ByteString {
  const lines: [ByteString, ByteString][] = [];
  for (const key of FIRST_KEYS) {
    const value = values.get(key);
    if (value !== undefined) lines.push([key, value]);
  }
  for (const path of overlayInitrds) lines.push([INITRD, path]);
  for (const [key, value] of inDictOrder(values)) {
    if (!FIRST_KEYS.includes(key)) lines.push([key, value]);
  }
  for (const [key, value] of lines) requireOneLine(key, value);
  const text = lines.map(([key, value]) => `${key} ${value}\n`).join('');
  if (text.length > ENTRY_LIMIT)
    throw malformed(`boot entry has ${text.length} bytes, at most ${ENTRY_LIMIT} are allowed`);
  return byteString(text);
}

function requireOneLine(key: ByteString, value: ByteString): void {
  if (/^[A-Za-z][^\x00-\x20\x7f]*$/.test(key) && !/[\x00-\x08\x0a-\x1f\x7f]/.test(value)) return;
  const shown = displayByteString(byteString(value.slice(0, 200)));
  throw malformed(`boot entry: ${displayByteString(key)} holds a control character: ${shown}`);
}

/** Tries that the boot loader has left and has made, from the end of a file's name: `+LEFT-DONE`. */
export function bootTries(fileName: ByteString): { left: number; done: number } {
  const [, left, done] = /\+([0-9]{1,15})(?:-([0-9]{1,15}))?[^+]*$/.exec(fileName) ?? [];
  return { left: Number(left ?? 0), done: Number(done ?? 0) };
}

/** Orders entries as boot loaders show them: the highest `version` first, those without last. */
export function compareEntries(a: BootEntry, b: BootEntry): number {
  const [left, right] = [entryValue(a, 'version'), entryValue(b, 'version')];
  if (left !== undefined && right !== undefined) return -compareVersions(left, right);
  if (left !== undefined) return -1;
  return 1;
}

/** As glibc's strverscmp for what ostree writes there, numbers: others are compared as text. */
function compareVersions(a: ByteString, b: ByteString): number {
  if (/^[0-9]{1,15}$/.test(a) && /^[0-9]{1,15}$/.test(b)) return Number(a) - Number(b);
  return a < b ? -1 : a > b ? 1 : 0;
}
