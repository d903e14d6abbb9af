/**
 * Numbers with their bytes turned round: `ostree show --raw` prints ostree's big-endian numbers so, and those that a
 * user put into the metadata along with them.
 * @module
 */
import { parseType, type VariantType } from './type.ts';
import type { Value, Variant } from './value.ts';

/** A copy of the value with the bytes of every number in it, of two bytes or more, turned round. */
export function byteswapped(type: string, value: Value): Value {
  return swap(parseType(type), value);
}

function swap(type: VariantType, value: Value): Value {
  switch (type.class) {
    case 'v': {
      const { type: text, value: child } = value as Variant;
      return { type: text, value: swap(parseType(text), child) };
    }
    case 'a':
    case 'm': {
      const element = type.members[0] as VariantType;
      if (value instanceof Uint8Array) return value;
      return (value as Value[]).map((item) => swap(element, item));
    }
    case '(':
    case '{':
      return (value as Value[]).map((item, i) => swap(type.members[i] as VariantType, item));
    case 'n':
    case 'q':
    case 'i':
    case 'u':
    case 'h':
    case 'x':
    case 't':
    case 'd':
      return swapNumber(type.class, value as number | bigint);
    default:
      return value;
  }
}

const scratch = new DataView(new ArrayBuffer(8));

function swapNumber(kind: 'n' | 'q' | 'i' | 'u' | 'h' | 'x' | 't' | 'd', value: number | bigint): Value {
  switch (kind) {
    case 'n':
      scratch.setInt16(0, value as number, true);
      return scratch.getInt16(0, false);
    case 'q':
      scratch.setUint16(0, value as number, true);
      return scratch.getUint16(0, false);
    case 'i':
    case 'h':
      scratch.setInt32(0, value as number, true);
      return scratch.getInt32(0, false);
    case 'u':
      scratch.setUint32(0, value as number, true);
      return scratch.getUint32(0, false);
    case 'x':
      scratch.setBigInt64(0, value as bigint, true);
      return scratch.getBigInt64(0, false);
    case 't':
      scratch.setBigUint64(0, value as bigint, true);
      return scratch.getBigUint64(0, false);
    default:
      scratch.setFloat64(0, value as number, true);
      return scratch.getFloat64(0, false);
  }
}
