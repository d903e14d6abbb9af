/**
 * GVariant values to bytes: always normal form, numbers little-endian.
 * Defined by the GVariant specification, section 2.5; the framing rules are also in its section 2.3.
 * @module
 */
import type { ByteString } from '../bytes/byte-string.ts';
import { decodeUtf8, isAscii } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import {
  alignUp,
  framedSize,
  isObjectPath,
  isSignature,
  MAX_DEPTH,
  offsetWidth,
  parseType,
  type VariantType,
} from './type.ts';
import type { Value, Variant } from './value.ts';

/**
 * Encodes a value.
 *
 * @param type the type string that `value` has the shape of
 * @returns the bytes in normal form
 * @throws SealtreeError `malformed` if the value does not fit the type
 */
export function encodeVariant(type: string, value: Value): Uint8Array {
  const out = new Writer();
  writeValue(out, parseType(type), value, 0);
  return out.finish();
}

/** Bytes being written: grows as needed, every position is relative to the outermost value. */
class Writer {
  data = new Uint8Array(256);
  view = new DataView(this.data.buffer);
  length = 0;

  reserve(count: number): number {
    const at = this.length;
    const needed = at + count;
    if (needed > this.data.length) {
      if (needed > 0x7fffffff) throw malformed('GVariant value is larger than 2 GiB');
      const grown = new Uint8Array(Math.max(needed, this.data.length * 2));
      grown.set(this.data.subarray(0, at));
      this.data = grown;
      this.view = new DataView(grown.buffer);
    }
    this.length = needed;
    return at;
  }

  align(alignment: number): void {
    this.reserve(alignUp(this.length, alignment) - this.length);
  }

  finish(): Uint8Array {
    return this.data.slice(0, this.length);
  }
}

function writeValue(out: Writer, type: VariantType, value: Value, depth: number): void {
  if (depth >= MAX_DEPTH) throw malformed(`GVariant value nests deeper than ${MAX_DEPTH} levels`);
  switch (type.class) {
    case 'a':
      writeArray(out, type, value, depth);
      return;
    case '(':
    case '{':
      writeTuple(out, type, value, depth);
      return;
    case 'm':
      writeMaybe(out, type, value, depth);
      return;
    case 'v':
      writeVariant(out, value, depth);
      return;
    case 's':
    case 'o':
    case 'g':
      writeString(out, type.class, value);
      return;
    default:
      writeFixed(out, type, value);
  }
}

function writeArray(out: Writer, type: VariantType, value: Value, depth: number): void {
  const element = type.members[0] as VariantType;
  if (element.class === 'y') {
    if (!(value instanceof Uint8Array)) throw unfit(type);
    const at = out.reserve(value.length);
    out.data.set(value, at);
    return;
  }
  if (!Array.isArray(value)) throw unfit(type);
  const start = out.length;
  const ends: number[] = [];
  for (const item of value) {
    out.align(element.alignment);
    writeValue(out, element, item, depth + 1);
    if (element.fixedSize === 0) ends.push(out.length - start);
  }
  writeOffsets(out, start, ends);
}

function writeTuple(out: Writer, type: VariantType, value: Value, depth: number): void {
  const { members } = type;
  if (!Array.isArray(value) || value.length !== members.length) throw unfit(type);
  const start = out.length;
  const ends: number[] = [];
  for (let i = 0; i < members.length; i++) {
    const member = members[i] as VariantType;
    out.align(member.alignment);
    writeValue(out, member, value[i] as Value, depth + 1);
    if (member.fixedSize === 0 && i < members.length - 1) ends.push(out.length - start);
  }
  if (type.fixedSize > 0) out.reserve(type.fixedSize - (out.length - start));
  else writeOffsets(out, start, ends.reverse());
}

function writeOffsets(out: Writer, start: number, ends: readonly number[]): void {
  if (ends.length === 0) return;
  const body = out.length - start;
  const size = framedSize(body, ends.length);
  const width = offsetWidth(size);
  let at = out.reserve(size - body);
  for (const end of ends) {
    for (let k = 0; k < width; k++) out.data[at++] = end >>> (8 * k);
  }
}

function writeMaybe(out: Writer, type: VariantType, value: Value, depth: number): void {
  const element = type.members[0] as VariantType;
  if (!Array.isArray(value) || value.length > 1) throw unfit(type);
  if (value.length === 0) return;
  writeValue(out, element, value[0] as Value, depth + 1);
  // The extra byte tells a value of no bytes from none at all.
  if (element.fixedSize === 0) out.reserve(1);
}

function writeVariant(out: Writer, value: Value, depth: number): void {
  if (typeof value !== 'object' || !('type' in value)) throw malformed('GVariant value does not fit type v');
  const { type: text, value: child } = value as Variant;
  writeValue(out, parseType(text), child, depth + 1);
  const at = out.reserve(1 + text.length) + 1;
  for (let i = 0; i < text.length; i++) out.data[at + i] = text.charCodeAt(i);
}

function writeString(out: Writer, kind: 's' | 'o' | 'g', value: Value): void {
  if (typeof value !== 'string') throw malformed(`GVariant value does not fit type ${kind}`);
  if (!isStringOf(kind, value)) throw malformed(`GVariant string is not valid for type ${kind}`);
  const at = out.reserve(value.length + 1);
  for (let i = 0; i < value.length; i++) out.data[at + i] = value.charCodeAt(i);
}

/** Whether `text` may be a value of type `s` (UTF-8 without NUL), `o` or `g`. */
export function isStringOf(kind: 's' | 'o' | 'g', text: ByteString): boolean {
  if (kind === 'o') return isObjectPath(text);
  if (kind === 'g') return isSignature(text);
  return !text.includes('\0') && (isAscii(text) || decodeUtf8(text) !== undefined);
}

const INTEGER_RANGE: Readonly<Record<string, readonly [bigint, bigint]>> = {
  y: [0n, 0xffn],
  n: [-0x8000n, 0x7fffn],
  q: [0n, 0xffffn],
  i: [-0x80000000n, 0x7fffffffn],
  h: [-0x80000000n, 0x7fffffffn],
  u: [0n, 0xffffffffn],
  x: [-0x8000000000000000n, 0x7fffffffffffffffn],
  t: [0n, 0xffffffffffffffffn],
};

/** Whether `value` is an integer that the type (`y n q i h u x t`) can hold. */
export function fitsInteger(kind: string, value: number | bigint): boolean {
  const range = INTEGER_RANGE[kind];
  if (range === undefined || (typeof value === 'number' && !Number.isInteger(value))) return false;
  return value >= range[0] && value <= range[1];
}

function writeFixed(out: Writer, type: VariantType, value: Value): void {
  const at = out.reserve(type.fixedSize);
  const { view } = out;
  if (type.class === 'b') {
    if (typeof value !== 'boolean') throw unfit(type);
    out.data[at] = value ? 1 : 0;
    return;
  }
  if (type.class === 'd') {
    if (typeof value !== 'number') throw unfit(type);
    view.setFloat64(at, value, true);
    return;
  }
  if (type.class === 'x' || type.class === 't') {
    if (typeof value !== 'bigint' || !fitsInteger(type.class, value)) throw unfit(type);
    view.setBigUint64(at, BigInt.asUintN(64, value), true);
    return;
  }
  if (typeof value !== 'number' || !fitsInteger(type.class, value)) throw unfit(type);
  if (type.fixedSize === 1) out.data[at] = value;
  else if (type.fixedSize === 2) view.setUint16(at, value & 0xffff, true);
  else view.setUint32(at, value >>> 0, true);
}

function unfit(type: VariantType): Error {
  return malformed(`GVariant value does not fit type ${type.text}`);
}
