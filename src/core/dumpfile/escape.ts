/** The escapes of composefs dump files: composefs-dump(5). @module */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';

/**
 * Resolves `\\ \n \r \t \xHH`.
 *
 * @throws SealtreeError `malformed` in mkcomposefs's words
 */
export function unescapeField(field: ByteString): ByteString {
  let at = field.indexOf('\\');
  if (at < 0) return field;
  let out = '';
  let copied = 0;
  for (; at >= 0; at = field.indexOf('\\', copied)) {
    out += field.slice(copied, at);
    if (at + 1 >= field.length) throw malformed('No character after escape');
    const kind = field[at + 1] as string;
    copied = at + 2;
    switch (kind) {
      case '\\':
        out += '\\';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'x': {
        if (copied + 2 > field.length) throw malformed('No hex characters after hex escape');
        const digits = field.slice(copied, copied + 2);
        if (!/^[0-9a-fA-F]{2}$/.test(digits)) throw malformed('Invalid hex characters after hex escape');
        out += String.fromCharCode(Number.parseInt(digits, 16));
        copied += 2;
        break;
      }
      default:
        throw malformed(`Unsupported escape type ${kind}`);
    }
  }
  return byteString(out + field.slice(copied));
}

/** What is escaped beyond the bytes that always are. */
export interface EscapeOptions {
  /** `=` too, which ends an xattr's key. */
  readonly equal?: boolean;
  /** A field that is nothing but `-` too, which would say that there is none. */
  readonly loneDash?: boolean;
  /** Leave spaces as they are. */
  readonly keepSpace?: boolean;
}

/** Escapes all that is not a visible ASCII character, as composefs-info prints it. */
export function escapeField(text: ByteString, options: EscapeOptions = {}): ByteString {
  if (options.loneDash && text === '-') return byteString('\\x2d');
  if (/^[!-<>-[\]-~]*$/.test(text)) return text;
  return byteString(
    text.replace(/[^!-[\]-~]|=/g, (char) => {
      switch (char) {
        case '\\':
          return '\\\\';
        case '\n':
          return '\\n';
        case '\r':
          return '\\r';
        case '\t':
          return '\\t';
        case ' ':
          return options.keepSpace ? char : '\\x20';
        case '=':
          return options.equal ? '\\x3d' : char;
        default:
          return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
      }
    }),
  );
}
