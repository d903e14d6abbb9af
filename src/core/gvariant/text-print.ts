/**
 * GVariant values as text, in the words of g_variant_print: what `ostree show` and `ostree ls -X` print.
 * Defined by GLib's documentation, "GVariant Text Format", and by GLib's printer where that is silent.
 * @module
 */
import { type ByteString, byteString, decodeUtf8, utf8ByteString } from '../bytes/byte-string.ts';
import { parseType, type VariantType } from './type.ts';
import type { Value, Variant } from './value.ts';

/**
 * Prints a value.
 *
 * @param type the type string that `value` has the shape of
 * @param options `annotate`: say the type where the text alone would not (`uint32 7`, `@as []`)
 * @returns UTF-8
 */
export function printVariant(
  type: string,
  value: Value,
  { annotate = false }: { annotate?: boolean } = {},
): ByteString {
  return byteString(print(parseType(type), value, annotate));
}

function print(type: VariantType, value: Value, annotate: boolean): string {
  switch (type.class) {
    case 'm':
      return (annotate ? `@${type.text} ` : '') + printMaybe(type, value as Value[]);
    case 'a':
      return printArray(type, value, annotate);
    case '(':
      return printTuple(type, value as Value[], annotate);
    case '{': {
      const [key, entry] = printMembers(type, value as Value[], annotate);
      return `{${key}, ${entry}}`;
    }
    case 'v': {
      const { type: text, value: child } = value as Variant;
      return `<${print(parseType(text), child, true)}>`;
    }
    case 'b':
      return value === true ? 'true' : 'false';
    case 's':
      return quoteString(value as ByteString);
    case 'o':
    case 'g':
      return `${annotate ? KEYWORDS[type.class] : ''}'${value as ByteString}'`;
    case 'd':
      return printDouble(value as number);
    case 'y':
      return (annotate ? 'byte ' : '') + printByte(value as number);
    default:
      return (annotate ? (KEYWORDS[type.class] ?? '') : '') + String(value);
  }
}

/** An `i` and a `d` never need to be told apart from the rest. */
const KEYWORDS: Readonly<Record<string, string>> = {
  n: 'int16 ',
  q: 'uint16 ',
  u: 'uint32 ',
  h: 'handle ',
  x: 'int64 ',
  t: 'uint64 ',
  o: 'objectpath ',
  g: 'signature ',
};

/** `just` is left out where the value alone is unambiguous, which is everywhere but before a nested `nothing`. */
function printMaybe(type: VariantType, value: Value[]): string {
  let inner: Value = value;
  let innerType = type;
  let justs = 0;
  while (innerType.class === 'm') {
    const [child] = inner as Value[];
    if (child === undefined) return `${'just '.repeat(justs)}nothing`;
    inner = child;
    innerType = innerType.members[0] as VariantType;
    justs++;
  }
  return print(innerType, inner, false);
}

function printArray(type: VariantType, value: Value, annotate: boolean): string {
  const element = type.members[0] as VariantType;
  if (value instanceof Uint8Array && isBytestring(value)) return quoteBytes(value);
  const length = (value as Value[] | Uint8Array).length;
  const isDictionary = element.class === '{';
  if (length === 0) return (annotate ? `@${type.text} ` : '') + (isDictionary ? '{}' : '[]');
  const parts: string[] = [];
  // The first element tells the type of all.
  let first = annotate;
  for (const item of value as Iterable<Value>) {
    parts.push(
      isDictionary ? printMembers(element, item as Value[], first).join(': ') : print(element, item, first),
    );
    first = false;
  }
  return isDictionary ? `{${parts.join(', ')}}` : `[${parts.join(', ')}]`;
}

function printTuple(type: VariantType, value: Value[], annotate: boolean): string {
  const parts = printMembers(type, value, annotate);
  return parts.length === 1 ? `(${parts[0]},)` : `(${parts.join(', ')})`;
}

function printMembers(type: VariantType, value: Value[], annotate: boolean): string[] {
  return type.members.map((member, i) => print(member, value[i] as Value, annotate));
}

function printByte(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}

/** As C's `%.17g`, with `.0` behind what would else be an integer. */
function printDouble(value: number): string {
  if (Number.isNaN(value)) return hasSignBit(value) ? '-nan' : 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa, exponentText] = scientific(value).split('e') as [string, string];
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 17) {
    const sign = exponent < 0 ? '-' : '+';
    return `${trimZeros(mantissa)}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const fixed = trimZeros(placePoint(mantissa, exponent));
  return fixed.includes('.') ? fixed : `${fixed}.0`;
}

const scratch = new DataView(new ArrayBuffer(8));

/** The sign of what is no number: the engine keeps it, but no operator tells. */
function hasSignBit(value: number): boolean {
  scratch.setFloat64(0, value);
  return scratch.getUint8(0) >= 0x80;
}

/** With 17 digits; what lies in the middle goes to the even digit as in C, where JavaScript rounds it up. */
function scientific(value: number): string {
  const match = /^(-?\d\.\d{15}[02468])50*(e.*)$/.exec(value.toExponential(100));
  return match === null ? value.toExponential(16) : `${match[1]}${match[2]}`;
}

/** Writes `d.ddd` times ten to the power of `exponent` (-4 to 16) without an exponent, all digits kept. */
function placePoint(mantissa: string, exponent: number): string {
  const sign = mantissa.startsWith('-') ? '-' : '';
  const digits = mantissa.replace(/[-.]/g, '');
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`;
}

function trimZeros(decimal: string): string {
  return decimal.replace(/\.0*$|(\.\d*[1-9])0+$/, '$1');
}

/** Whether the only NUL stands at the end. */
function isBytestring(value: Uint8Array): boolean {
  return value.length > 0 && value.indexOf(0) === value.length - 1;
}

const ESCAPES: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
};

/** As C source: octal escapes, `\a` excepted; double quotes only if there is a single one inside. */
function quoteBytes(value: Uint8Array): string {
  const quote = value.includes(0x27) ? '"' : "'";
  const parts: string[] = [];
  for (const byte of value.subarray(0, -1)) {
    if (byte === 0x22 || byte === 0x5c) parts.push(`\\${String.fromCharCode(byte)}`);
    else if (byte >= 0x20 && byte < 0x7f) parts.push(String.fromCharCode(byte));
    else if (byte !== 7 && ESCAPES[byte] !== undefined) parts.push(ESCAPES[byte]);
    else parts.push(`\\${byte.toString(8).padStart(3, '0')}`);
  }
  return `b${quote}${parts.join('')}${quote}`;
}

/** Control, format, surrogate and unassigned characters. */
const NOT_PRINTED = /[\p{Cc}\p{Cf}\p{Cs}\p{Cn}]/u;

function quoteString(value: ByteString): string {
  const quote = value.includes("'") ? '"' : "'";
  if (/^[\x20-\x7e]*$/.test(value) && !/["\\]/.test(value)) return quote + value + quote;
  const parts: string[] = [];
  for (const char of decodeUtf8(value) as string) {
    if (char === quote || char === '\\') parts.push(`\\${char}`);
    else if (NOT_PRINTED.test(char)) parts.push(escapeChar(char.codePointAt(0) as number));
    else parts.push(utf8ByteString(char));
  }
  return quote + parts.join('') + quote;
}

function escapeChar(code: number): string {
  const known = ESCAPES[code];
  if (known !== undefined) return known;
  const hex = code.toString(16);
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}
