/**
 * Bytes to GVariant values. Only normal form is accepted: what a writer that follows the specification produces, and
 * nothing else; so that equal values have equal bytes, and no reader can see something else in them.
 * Defined by the GVariant specification, section 2.5 and 2.7 (what this refuses is what it says how to survive).
 * @module
 */
import { type ByteString, byteStringFrom } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';
import { isStringOf } from './encode.ts';
import {
  alignUp,
  framedSize,
  isTypeString,
  MAX_DEPTH,
  offsetWidth,
  parseType,
  type VariantType,
} from './type.ts';
import type { Value } from './value.ts';

/** Values in one message: a bound on memory, since an array element may be as small as one byte. */
const MAX_VALUES = 1 << 22;

/**
 * Decodes a value.
 *
 * @param type type string of the whole
 * @param what names the input in messages
 * @throws SealtreeError `malformed`, `WHAT: Not normal form (…)`
 */
export function decodeVariant(type: string, data: Uint8Array, what: string): Value {
  const input: Input = {
    // Not what a subclass makes of slice: what is taken out is a copy.
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    view: new DataView(data.buffer, data.byteOffset, data.byteLength),
    what,
    values: 0,
  };
  return readValue(input, parseType(type), 0, data.length, 0);
}

interface Input {
  readonly data: Uint8Array;
  readonly view: DataView;
  readonly what: string;
  /** Values read so far. */
  values: number;
}

function readValue(input: Input, type: VariantType, start: number, end: number, depth: number): Value {
  if (depth >= MAX_DEPTH) throw bad(input, start, `nested deeper than ${MAX_DEPTH} levels`);
  if (++input.values > MAX_VALUES) throw bad(input, start, `more than ${MAX_VALUES} values`);
  if (type.fixedSize > 0 && end - start !== type.fixedSize)
    throw bad(input, start, `${end - start} bytes for type ${type.text}, expected ${type.fixedSize}`);
  switch (type.class) {
    case 'a':
      return readArray(input, type, start, end, depth);
    case '(':
    case '{':
      return readTuple(input, type, start, end, depth);
    case 'm':
      return readMaybe(input, type, start, end, depth);
    case 'v':
      return readVariant(input, start, end, depth);
    case 's':
    case 'o':
    case 'g':
      return readString(input, type.class, start, end);
    default:
      return readFixed(input, type, start);
  }
}

function readArray(input: Input, type: VariantType, start: number, end: number, depth: number): Value {
  const element = type.members[0] as VariantType;
  if (element.class === 'y') return input.data.slice(start, end);
  const values: Value[] = [];
  if (element.fixedSize > 0) {
    const step = element.fixedSize;
    if ((end - start) % step !== 0)
      throw bad(input, start, `${end - start} bytes of array ${type.text}, expected a multiple of ${step}`);
    for (let at = start; at < end; at += step)
      values.push(readValue(input, element, at, at + step, depth + 1));
    return values;
  }
  const size = end - start;
  if (size === 0) return values;
  const width = offsetWidth(size);
  const table = start + readOffset(input, end - width, width);
  if (table > end - width || (end - table) % width !== 0)
    throw bad(input, start, `framing offsets of array ${type.text} out of range`);
  const count = (end - table) / width;
  if (framedSize(table - start, count) !== size)
    throw bad(input, start, `framing offsets of array ${type.text} are wider than needed`);
  let at = start;
  for (let i = 0; i < count; i++) {
    const elementEnd = start + readOffset(input, table + i * width, width);
    if (elementEnd < at || elementEnd > table)
      throw bad(input, start, `framing offset ${i} of array ${type.text} out of range`);
    at = skipPadding(input, at, element.alignment, elementEnd);
    values.push(readValue(input, element, at, elementEnd, depth + 1));
    at = elementEnd;
  }
  return values;
}

function readTuple(input: Input, type: VariantType, start: number, end: number, depth: number): Value {
  const { members } = type;
  if (members.length === 0) {
    skipZeros(input, start, end);
    return [];
  }
  if (start === end && type.members.length > 1) throw bad(input, start, `no bytes for type ${type.text}`);
  const width = offsetWidth(end - start);
  const values: Value[] = [];
  let at = start;
  let table = end;
  let offsets = 0;
  for (let i = 0; i < members.length; i++) {
    const member = members[i] as VariantType;
    at = skipPadding(input, at, member.alignment, end);
    let memberEnd: number;
    if (member.fixedSize > 0) {
      memberEnd = at + member.fixedSize;
    } else if (i === members.length - 1) {
      memberEnd = table;
    } else {
      table -= width;
      offsets++;
      if (table < at) throw bad(input, start, `framing offsets of ${type.text} out of range`);
      memberEnd = start + readOffset(input, table, width);
    }
    if (memberEnd < at || memberEnd > table)
      throw bad(input, start, `member ${i} of ${type.text} out of range`);
    values.push(readValue(input, member, at, memberEnd, depth + 1));
    at = memberEnd;
  }
  if (type.fixedSize > 0) {
    skipZeros(input, at, end);
    return values;
  }
  if (at !== table) throw bad(input, at, `${table - at} bytes too many in ${type.text}`);
  if (framedSize(at - start, offsets) !== end - start)
    throw bad(input, start, `framing offsets of ${type.text} are wider than needed`);
  return values;
}

function readMaybe(input: Input, type: VariantType, start: number, end: number, depth: number): Value {
  if (start === end) return [];
  const element = type.members[0] as VariantType;
  if (element.fixedSize > 0) return [readValue(input, element, start, end, depth + 1)];
  skipZeros(input, end - 1, end);
  return [readValue(input, element, start, end - 1, depth + 1)];
}

function readVariant(input: Input, start: number, end: number, depth: number): Value {
  let split = end - 1;
  // A type string is short; a longer search would be quadratic over nested variants.
  const limit = Math.max(start, end - MAX_TYPE_LENGTH - 1);
  while (split > limit && input.data[split] !== 0) split--;
  if (split < start || input.data[split] !== 0) throw bad(input, start, 'variant without a type string');
  const text = byteStringFrom(input.data, split + 1, end);
  if (!isTypeString(text)) throw bad(input, split + 1, 'variant with an invalid type string');
  const type = parseType(text);
  if (depth + type.depth >= MAX_DEPTH) throw bad(input, start, `nested deeper than ${MAX_DEPTH} levels`);
  return { type: text, value: readValue(input, type, start, split, depth + 1) };
}

/** Bytes of the longest type string looked for in a variant. */
const MAX_TYPE_LENGTH = 4096;

function readString(input: Input, kind: 's' | 'o' | 'g', start: number, end: number): ByteString {
  if (end === start || input.data[end - 1] !== 0) throw bad(input, start, 'string without a NUL at its end');
  const text = byteStringFrom(input.data, start, end - 1);
  if (!isStringOf(kind, text)) {
    const wrong = { s: 'is not UTF-8, or holds a NUL', o: 'is not an object path', g: 'is not a signature' };
    throw bad(input, start, `string ${wrong[kind]}`);
  }
  return text;
}

function readFixed(input: Input, type: VariantType, start: number): Value {
  const { view } = input;
  switch (type.class) {
    case 'b': {
      const value = view.getUint8(start);
      if (value > 1) throw bad(input, start, `boolean is ${value}`);
      return value === 1;
    }
    case 'y':
      return view.getUint8(start);
    case 'n':
      return view.getInt16(start, true);
    case 'q':
      return view.getUint16(start, true);
    case 'i':
    case 'h':
      return view.getInt32(start, true);
    case 'u':
      return view.getUint32(start, true);
    case 'x':
      return view.getBigInt64(start, true);
    case 't':
      return view.getBigUint64(start, true);
    default:
      return view.getFloat64(start, true);
  }
}

function readOffset(input: Input, at: number, width: number): number {
  if (width === 1) return input.view.getUint8(at);
  if (width === 2) return input.view.getUint16(at, true);
  return input.view.getUint32(at, true);
}

function skipPadding(input: Input, at: number, alignment: number, end: number): number {
  const next = alignUp(at, alignment);
  if (next > end) throw bad(input, at, 'padding out of range');
  skipZeros(input, at, next);
  return next;
}

function skipZeros(input: Input, start: number, end: number): void {
  for (let at = start; at < end; at++) {
    if (input.data[at] !== 0) throw bad(input, at, 'padding is not zero');
  }
}

function bad(input: Input, offset: number, why: string): Error {
  return malformed(`${input.what}: Not normal form (offset ${offset}: ${why})`, { offset });
}
