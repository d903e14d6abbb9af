/** Changes to bytes, texts and GVariant values, small enough that most of the input stays what it was. @module */

import { byteString, isAscii } from '../../src/core/bytes/byte-string.ts';
import { joinBytes } from '../../src/core/bytes/join-bytes.ts';
import { decodeVariant } from '../../src/core/gvariant/decode.ts';
import { encodeVariant } from '../../src/core/gvariant/encode.ts';
import { parseType, type VariantType } from '../../src/core/gvariant/type.ts';
import type { Value, Variant } from '../../src/core/gvariant/value.ts';
import type { Random } from './random.ts';

const NUMBERS = [0, 1, 2, 4, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/**
 * Changes bytes in place, or their number.
 *
 * @param spots offsets worth changing; all if there are none
 * @param others bytes to splice in
 */
export function mutateBytes(
  random: Random,
  input: Uint8Array,
  others: readonly Uint8Array[],
  spots: readonly number[] = [],
): Uint8Array {
  let data: Uint8Array = Uint8Array.from(input);
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    const at = spots.length > 0 && !random.once(8) ? random.pick(spots) : random.below(data.length + 1);
    data = changeBytes(random, data, others, at);
  }
  return data;
}

function changeBytes(
  random: Random,
  data: Uint8Array,
  others: readonly Uint8Array[],
  at: number,
): Uint8Array {
  const kind = random.below(16);
  if (at < data.length && kind < 11) {
    if (kind < 3) data[at] = (data[at] as number) ^ (1 << random.below(8));
    else if (kind < 5) data[at] = random.below(256);
    else if (kind < 7) data[at] = (data[at] as number) + (random.once(2) ? 1 : 255);
    else putNumber(random, data, at);
    return data;
  }
  if (kind < 13) return joinBytes([data.subarray(0, at), data.subarray(at + 1 + random.below(8))]);
  if (kind < 14)
    return joinBytes([data.subarray(0, at), randomBytes(random, 1 + random.below(8)), data.subarray(at)]);
  if (kind < 15) {
    const other = others.length === 0 ? data : random.pick(others);
    const start = random.below(other.length + 1);
    const piece = other.subarray(start, start + random.below(64));
    return joinBytes([data.subarray(0, at), piece, data.subarray(at + (random.once(2) ? piece.length : 0))]);
  }
  return random.once(2) ? data.subarray(0, at) : joinBytes([data, data.subarray(at)]);
}

/** A number at the edge of something, or near what is there, in either byte order. */
function putNumber(random: Random, data: Uint8Array, at: number): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const littleEndian = !random.once(4);
  const small = random.once(2);
  if (at + (small ? 2 : 4) > data.length) return;
  const old = small ? view.getUint16(at, littleEndian) : view.getUint32(at, littleEndian);
  const value = random.once(2) ? random.pick(NUMBERS) : old + random.pick([-32, -4, -1, 1, 2, 4, 32, 4096]);
  if (small) view.setUint16(at, value, littleEndian);
  else view.setUint32(at, value, littleEndian);
}

export function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}

/** Changes one line of a text, or the lines' order; the first one seldom. */
export function mutateLines(
  random: Random,
  text: string,
  others: readonly string[],
  separator: string,
  words: readonly string[],
): string {
  const lines = text.split('\n');
  for (let changes = 1 + random.below(2); changes > 0; changes--) {
    const first = lines.length > 2 && !random.once(12) ? 1 : 0;
    const at = first + random.below(Math.max(1, lines.length - first));
    const kind = random.below(12);
    if (kind === 0) lines.splice(at, 1);
    else if (kind === 1) lines.splice(at, 0, random.pick(random.pick(others).split('\n')));
    else if (kind === 2) lines.splice(at, 0, lines[first + random.below(lines.length - first)] ?? '');
    else lines[at] = mutateFields(random, lines[at] ?? '', others, separator, words);
  }
  return lines.join('\n');
}

function mutateFields(
  random: Random,
  line: string,
  others: readonly string[],
  separator: string,
  words: readonly string[],
): string {
  const fields = line.split(separator);
  const at = random.below(fields.length);
  const other = random.pick(random.pick(others).split('\n')).split(separator);
  switch (random.below(6)) {
    case 0:
      fields[at] = random.pick(words);
      break;
    case 1:
      fields[at] = other[random.once(2) ? at : random.below(other.length)] ?? '';
      break;
    case 2:
      fields.splice(at, 1);
      break;
    case 3:
      fields.splice(at, 0, random.pick(words));
      break;
    default:
      fields[at] = mutateText(random, fields[at] ?? '', words);
  }
  return fields.join(separator);
}

/** Changes a few characters; characters are bytes. */
export function mutateText(random: Random, text: string, words: readonly string[]): string {
  let out = text;
  for (let changes = 1 + random.below(2); changes > 0; changes--) {
    const at = random.below(out.length + 1);
    const kind = random.below(6);
    if (kind === 0) out = out.slice(0, at) + out.slice(at + 1 + random.below(3));
    else if (kind === 1) out = out.slice(0, at) + random.pick(words) + out.slice(at);
    else if (kind === 2) out = out.slice(0, at) + String.fromCharCode(random.below(256)) + out.slice(at + 1);
    else if (kind === 3) out = out.slice(0, at) + random.pick([...'0123456789/\\.-=x ']) + out.slice(at + 1);
    else if (kind === 4) out = out.slice(0, at) + out.slice(at, at + 4).repeat(2) + out.slice(at + 4);
    else out = out.slice(0, at) + String.fromCharCode(32 + random.below(95)) + out.slice(at);
  }
  return out;
}

/** Changes the bytes of an encoded GVariant, or the value in them. */
export function mutateObject(
  random: Random,
  type: string,
  data: Uint8Array,
  others: readonly Uint8Array[],
): Uint8Array {
  if (random.once(3)) return mutateBytes(random, data, others);
  let value = decodeVariant(type, data, 'seed');
  for (let changes = 1 + random.below(2); changes > 0; changes--) value = mutateValue(random, type, value);
  return encodeVariant(type, value);
}

const STRINGS = [
  '',
  '.',
  '..',
  'a',
  '/',
  'a/b',
  'usr',
  '\u00c3\u00a9',
  'ostree.composefs.digest.v0',
  '\n',
].map(byteString);

/** Changes a value into another of the same type: members, lengths, numbers, names. */
function mutateValue(random: Random, type: string, value: Value): Value {
  return change(random, parseType(type), value);
}

function change(random: Random, type: VariantType, value: Value): Value {
  switch (type.class) {
    case 'b':
      return value !== true;
    case 'y':
      return random.below(256);
    case 'u':
      return random.once(2) ? random.pick(NUMBERS) : ((value as number) ^ (1 << random.below(32))) >>> 0;
    case 't':
      return random.once(2)
        ? BigInt(random.pick(NUMBERS)) << BigInt(random.below(33))
        : (value as bigint) ^ (1n << BigInt(random.below(64)));
    case 's':
      return changeString(random, value as string);
    case 'v':
      return changeVariant(random, value as Variant);
    case '(':
    case '{':
      return changeMember(random, type, value as Value[]);
    case 'a':
      return value instanceof Uint8Array
        ? changeByteArray(random, value)
        : changeArray(random, type.members[0] as VariantType, value as Value[]);
    default:
      return value;
  }
}

function changeString(random: Random, value: string): Value {
  if (random.once(2) || !isAscii(value)) return random.pick(STRINGS);
  return byteString((value + random.pick(['x', '/', '.', '-', '0'])).slice(random.below(3)));
}

function changeVariant(random: Random, { type, value }: Variant): Value {
  if (!random.once(4)) return { type, value: change(random, parseType(type), value) };
  return random.pick<Variant>([
    { type: 'u', value: 7 },
    { type: 'as', value: [] },
    { type: 'ay', value: new Uint8Array(random.pick([0, 1, 31, 32, 33, 64])) },
    { type: 'aay', value: [new Uint8Array(64)] },
    { type: 'v', value: { type, value } },
    { type: '(sv)', value: [byteString('x'), { type, value }] },
  ]);
}

function changeMember(random: Random, type: VariantType, value: Value[]): Value[] {
  const at = random.below(value.length);
  return value.map((member, i) =>
    i === at ? change(random, type.members[i] as VariantType, member) : member,
  );
}

function changeByteArray(random: Random, value: Uint8Array): Uint8Array {
  const kind = random.below(4);
  if (kind === 0) return value.slice(0, random.below(value.length + 1));
  if (kind === 1) return joinBytes([value, randomBytes(random, 1 + random.below(4))]);
  const out = Uint8Array.from(value);
  if (out.length > 0) out[random.below(out.length)] = random.below(256);
  return out;
}

function changeArray(random: Random, element: VariantType, value: Value[]): Value[] {
  const out = [...value];
  const at = random.below(out.length);
  const kind = random.below(6);
  if (out.length === 0) return out;
  const item = out[at] as Value;
  if (kind === 0) out.splice(at, 1);
  else if (kind === 1) out.splice(random.below(out.length), 0, item);
  else if (kind === 2) out.push(...out.splice(at, 1));
  else out[at] = change(random, element, item);
  return out;
}
