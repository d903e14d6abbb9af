/**
 * GVariant type strings: what values a string such as `(a{sv}aya(say)sstayay)` describes, how they are aligned and
 * which of them have a fixed size. Defined by the GVariant specification, sections 2.2 and 2.4.
 * @module
 */
import { malformed } from '../errors.ts';

/** Containers within containers, in a type string and in a value; GLib's own limit. */
export const MAX_DEPTH = 128;

/** The first character of a type string; `a m ( {` are containers. */
export type TypeClass =
  | 'b'
  | 'y'
  | 'n'
  | 'q'
  | 'i'
  | 'u'
  | 'x'
  | 't'
  | 'h'
  | 'd'
  | 's'
  | 'o'
  | 'g'
  | 'v'
  | 'a'
  | 'm'
  | '('
  | '{';

export interface VariantType {
  /** The type string of this type alone. */
  readonly text: string;
  readonly class: TypeClass;
  /** Every value starts at a multiple of this many bytes: 1, 2, 4 or 8. */
  readonly alignment: number;
  /** Bytes of every value, 0 if they differ. */
  readonly fixedSize: number;
  /** Array and maybe: one; tuple: any number; dict entry: two; otherwise none. */
  readonly members: readonly VariantType[];
  /** Levels of containers, 1 for a basic type. */
  readonly depth: number;
}

const BASIC: Readonly<Record<string, readonly [alignment: number, fixedSize: number]>> = {
  b: [1, 1],
  y: [1, 1],
  n: [2, 2],
  q: [2, 2],
  i: [4, 4],
  u: [4, 4],
  h: [4, 4],
  x: [8, 8],
  t: [8, 8],
  d: [8, 8],
  s: [1, 0],
  o: [1, 0],
  g: [1, 0],
  v: [8, 0],
};

/** Types that may be the key of a dict entry. */
const KEY_CLASSES = 'bynqiuxthdsog';

const CACHE_LIMIT = 256;
const cache = new Map<string, VariantType>();

/**
 * Parses the type string of exactly one definite type.
 *
 * @throws SealtreeError `malformed` if it is none, or nests deeper than {@link MAX_DEPTH}
 */
export function parseType(text: string): VariantType {
  const known = cache.get(text);
  if (known !== undefined) return known;
  const type = typeAt(text, 0);
  if (type === undefined || type.text.length !== text.length)
    throw malformed(`'${text.slice(0, 80)}' is not a valid GVariant type string`);
  if (cache.size >= CACHE_LIMIT) cache.clear();
  cache.set(text, type);
  return type;
}

/** Whether `text` is the type string of exactly one definite type. */
export function isTypeString(text: string): boolean {
  const type = cache.get(text) ?? typeAt(text, 0);
  return type !== undefined && type.text.length === text.length;
}

/** Whether `text` is a D-Bus signature as a value of type `g`: any number of definite types without maybes, in a row. */
export function isSignature(text: string): boolean {
  if (text.includes('m')) return false;
  for (let at = 0; at < text.length; ) {
    const type = typeAt(text, at);
    if (type === undefined) return false;
    at += type.text.length;
  }
  return true;
}

/** Whether `text` is a D-Bus object path: `/`, or segments of `[A-Za-z0-9_]`, each after a slash. */
export function isObjectPath(text: string): boolean {
  return /^\/(?:[A-Za-z0-9_]+(?:\/[A-Za-z0-9_]+)*)?$/.test(text) && !text.endsWith('\n');
}

/**
 * The one type whose string begins at `start`; what follows it is not looked at.
 *
 * @returns undefined if no type begins there
 */
export function typeAt(text: string, start: number, room = MAX_DEPTH): VariantType | undefined {
  const first = text[start];
  if (first === undefined || room === 0) return undefined;
  const basic = BASIC[first];
  if (basic !== undefined) {
    return {
      text: first,
      class: first as TypeClass,
      alignment: basic[0],
      fixedSize: basic[1],
      members: [],
      depth: 1,
    };
  }
  if (first === 'a' || first === 'm') {
    const element = typeAt(text, start + 1, room - 1);
    if (element === undefined) return undefined;
    return {
      text: text.slice(start, start + 1 + element.text.length),
      class: first,
      alignment: element.alignment,
      fixedSize: 0,
      members: [element],
      depth: element.depth + 1,
    };
  }
  if (first !== '(' && first !== '{') return undefined;
  const close = first === '(' ? ')' : '}';
  const members: VariantType[] = [];
  let at = start + 1;
  while (text[at] !== close) {
    const member = typeAt(text, at, room - 1);
    if (member === undefined) return undefined;
    members.push(member);
    at += member.text.length;
  }
  if (first === '{' && !(members.length === 2 && KEY_CLASSES.includes((members[0] as VariantType).class)))
    return undefined;
  return tupleOf(first, text.slice(start, at + 1), members);
}

function tupleOf(kind: '(' | '{', text: string, members: VariantType[]): VariantType {
  let alignment = 1;
  let depth = 1;
  let size = 0;
  for (const member of members) {
    alignment = Math.max(alignment, member.alignment);
    depth = Math.max(depth, member.depth + 1);
    if (size >= 0) size = member.fixedSize === 0 ? -1 : alignUp(size, member.alignment) + member.fixedSize;
  }
  // The unit type is one zero byte, so that an array of it has a length.
  const fixedSize = members.length === 0 ? 1 : size < 0 ? 0 : alignUp(size, alignment);
  return { text, class: kind, alignment, fixedSize, members, depth };
}

/** Rounds up to a multiple of `alignment`, a power of two; for offsets below 2^31. */
export function alignUp(offset: number, alignment: number): number {
  return (offset + alignment - 1) & -alignment;
}

/** Bytes of each framing offset in a container of `size` bytes, offsets included. */
export function offsetWidth(size: number): number {
  return size === 0 ? 0 : size <= 0xff ? 1 : size <= 0xffff ? 2 : 4;
}

/** Bytes of a container with `count` framing offsets behind `body` bytes: the narrowest offsets that can name its end. */
export function framedSize(body: number, count: number): number {
  if (body + count <= 0xff) return body + count;
  if (body + 2 * count <= 0xffff) return body + 2 * count;
  return body + 4 * count;
}
