/** os-release(5): names of the operating system, for the title of its boot entry. @module */
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { malformed } from '../core/errors.ts';

/**
 * The name that people know the system by.
 *
 * @throws SealtreeError `malformed` in ostree's words if it has none
 */
export function prettyName(text: ByteString): ByteString {
  const values = parseOsRelease(text);
  const name = values.get('PRETTY_NAME') ?? values.get('ID');
  if (name === undefined) throw malformed('No PRETTY_NAME or ID in /etc/os-release');
  return name;
}

/** Variables by name; a line whose quotes are not closed does not count. */
function parseOsRelease(text: ByteString): Map<string, ByteString> {
  const values = new Map<string, ByteString>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (line.startsWith('#') || equals < 0) continue;
    const value = unquote(line.slice(equals + 1));
    if (value !== undefined) values.set(line.slice(0, equals), byteString(value));
  }
  return values;
}

/** As a shell would read a word, blanks included (g_shell_unquote); undefined if a quote is not closed. */
function unquote(quoted: string): string | undefined {
  let out = '';
  for (let at = 0; at < quoted.length; ) {
    const char = quoted[at++] as string;
    if (char === '\\') {
      if (at === quoted.length) return undefined;
      out += quoted[at++];
    } else if (char === "'") {
      const end = quoted.indexOf("'", at);
      if (end < 0) return undefined;
      out += quoted.slice(at, end);
      at = end + 1;
    } else if (char === '"') {
      for (;;) {
        const next = quoted[at++];
        if (next === undefined) return undefined;
        if (next === '"') break;
        if (next === '\\' && /["\\`$]/.test(quoted[at] ?? '')) out += quoted[at++];
        else out += next;
      }
    } else out += char;
  }
  return out;
}
