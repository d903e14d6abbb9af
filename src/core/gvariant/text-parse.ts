/**
 * GVariant values from text, by the rules of g_variant_parse: what `ostree commit --add-metadata=KEY=TEXT` takes.
 * Defined by GLib's documentation, "GVariant Text Format", and by GLib's parser where that is silent; error messages
 * are GLib's, since they reach the user's screen and scripts.
 * @module
 */
import { type ByteString, byteString, bytesOf, isUtf8 } from '../bytes/byte-string.ts';
import { isNumber, parseNumber } from './text-number.ts';
import { ANY, coalesce, type Pattern, patternOf, resolve } from './text-pattern.ts';
import { readBytestring, readString } from './text-string.ts';
import { openTokens, type Span, type Token, type Tokens, textError } from './text-tokens.ts';
import { isObjectPath, isSignature, isTypeString, MAX_DEPTH, parseType, type VariantType } from './type.ts';
import type { Value, Variant } from './value.ts';

/**
 * Parses the text of one value and infers its type.
 *
 * @throws SealtreeError `malformed`, `START-END:what is wrong` as GLib words it
 */
export function parseVariant(text: ByteString): Variant {
  const tokens = openTokens(text);
  const variant = resolveNode(parse(tokens, MAX_DEPTH));
  const rest = tokens.peek();
  if (rest !== undefined) throw textError(rest.start, undefined, 'expected end of input');
  return variant;
}

type Node = Span &
  (
    | { readonly kind: 'array' | 'tuple'; readonly children: readonly Node[] }
    | { readonly kind: 'variant'; readonly child: Node }
    | {
        readonly kind: 'dictionary' | 'entry';
        readonly keys: readonly Node[];
        readonly values: readonly Node[];
      }
    | { readonly kind: 'maybe'; readonly child: Node | undefined }
    | { readonly kind: 'boolean'; readonly value: boolean }
    | { readonly kind: 'number'; readonly text: string }
    | { readonly kind: 'string'; readonly value: ByteString }
    | { readonly kind: 'bytestring'; readonly value: ByteString }
    | { readonly kind: 'typed'; readonly type: VariantType; readonly child: Node }
  );

/** A node without its place in the text. */
type Part = Node extends infer N ? (N extends Node ? Omit<N, 'start' | 'end'> : never) : never;

function parse(tokens: Tokens, room: number): Node {
  const start = tokens.start();
  if (room === 0) throw textError(start, undefined, 'variant nested too deeply');
  const part = parsePart(tokens, room);
  return { ...part, start, end: tokens.end() } as Node;
}

function parsePart(tokens: Tokens, room: number): Part {
  const token = tokens.peek();
  if (token === undefined) throw textError(tokens.start(), undefined, 'expected value');
  const [first] = token.text;
  if (first === '[') return parseArray(tokens, room);
  if (first === '(') return parseTuple(tokens, room);
  if (first === '<') return parseBoxed(tokens, room);
  if (first === '{') return parseDictionary(tokens, room);
  if (tokens.consume('true')) return { kind: 'boolean', value: true };
  if (tokens.consume('false')) return { kind: 'boolean', value: false };
  if (isNumber(token.text)) {
    tokens.next();
    return { kind: 'number', text: token.text };
  }
  if (first === 'n' || first === 'j') return parseMaybe(tokens, token, room);
  if (first === '@' || /^[A-Za-z]{2}/.test(token.text)) return parseTyped(tokens, token, room);
  if (first === "'" || first === '"') {
    tokens.next();
    return { kind: 'string', value: readString(token) };
  }
  if (/^b['"]/.test(token.text)) {
    tokens.next();
    return { kind: 'bytestring', value: readBytestring(token) };
  }
  throw textError(token.start, undefined, 'expected value');
}

function parseArray(tokens: Tokens, room: number): Part {
  const children: Node[] = [];
  tokens.next();
  while (!tokens.consume(']')) {
    if (children.length > 0) tokens.require(',', " or ']' to follow array element");
    children.push(parse(tokens, room - 1));
  }
  return { kind: 'array', children };
}

function parseTuple(tokens: Tokens, room: number): Part {
  const children: Node[] = [];
  tokens.next();
  while (!tokens.consume(')')) {
    if (children.length > 1) tokens.require(',', " or ')' to follow tuple element");
    children.push(parse(tokens, room - 1));
    // It is the comma that makes one value in brackets a tuple.
    if (children.length === 1) tokens.require(',', ' after first tuple element');
  }
  return { kind: 'tuple', children };
}

function parseBoxed(tokens: Tokens, room: number): Part {
  tokens.next();
  const child = parse(tokens, room - 1);
  tokens.require('>', ' to follow variant value');
  return { kind: 'variant', child };
}

function parseDictionary(tokens: Tokens, room: number): Part {
  const keys: Node[] = [];
  const values: Node[] = [];
  tokens.next();
  if (tokens.consume('}')) return { kind: 'dictionary', keys, values };
  keys.push(parse(tokens, room - 1));
  if (tokens.consume(',')) {
    values.push(parse(tokens, room - 1));
    tokens.require('}', ' at end of dictionary entry');
    return { kind: 'entry', keys, values };
  }
  tokens.require(':', " or ',' to follow dictionary entry key");
  values.push(parse(tokens, room - 1));
  while (!tokens.consume('}')) {
    tokens.require(',', " or '}' to follow dictionary entry");
    keys.push(parse(tokens, room - 1));
    tokens.require(':', ' to follow dictionary entry key');
    values.push(parse(tokens, room - 1));
  }
  return { kind: 'dictionary', keys, values };
}

function parseMaybe(tokens: Tokens, token: Token, room: number): Part {
  if (tokens.consume('just')) return { kind: 'maybe', child: parse(tokens, room - 1) };
  if (tokens.consume('nothing')) return { kind: 'maybe', child: undefined };
  throw textError(token.start, token.end, 'unknown keyword');
}

const KEYWORDS: Readonly<Record<string, string>> = {
  boolean: 'b',
  byte: 'y',
  int16: 'n',
  uint16: 'q',
  int32: 'i',
  handle: 'h',
  uint32: 'u',
  int64: 'x',
  uint64: 't',
  double: 'd',
  string: 's',
  objectpath: 'o',
  signature: 'g',
};

function parseTyped(tokens: Tokens, token: Token, room: number): Part {
  const type = token.text.startsWith('@') ? declaredType(token, room) : keywordType(token);
  tokens.next();
  return { kind: 'typed', type, child: parse(tokens, room - 1) };
}

function keywordType(token: Token): VariantType {
  if (!Object.hasOwn(KEYWORDS, token.text)) throw textError(token.start, token.end, 'unknown keyword');
  return parseType(KEYWORDS[token.text] as string);
}

function declaredType(token: Token, room: number): VariantType {
  const text = token.text.slice(1);
  // The indefinite types are only known here, to be refused by name.
  const definite = text.replaceAll('*', 'v').replaceAll('r', '()').replaceAll('?', 'y');
  if (!isTypeString(definite)) throw textError(token.start, token.end, 'invalid type declaration');
  if (parseType(definite).depth > room)
    throw textError(token.start, token.end, 'type declaration recurses too deeply');
  if (definite !== text) throw textError(token.start, token.end, 'type declarations must be definite');
  return parseType(text);
}

function resolveNode(node: Node): Variant {
  const type = resolve(patternAt(node));
  if (type === undefined) throw textError(node.start, node.end, 'unable to infer type');
  return { type, value: valueAt(node, parseType(type)) };
}

function patternAt(node: Node): Pattern {
  switch (node.kind) {
    case 'maybe':
      return { kind: 'maybe', inner: node.child === undefined ? ANY : patternAt(node.child) };
    case 'typed':
      return patternOf(node.type);
    default:
      return { kind: 'perhaps', inner: plainPatternAt(node) };
  }
}

function plainPatternAt(node: Exclude<Node, { kind: 'maybe' | 'typed' }>): Pattern {
  switch (node.kind) {
    case 'array':
      return { kind: 'array', inner: node.children.length === 0 ? ANY : commonPattern(node.children) };
    case 'tuple':
      return { kind: 'tuple', members: node.children.map(patternAt) };
    case 'variant':
      return { kind: 'basic', class: 'v' };
    case 'dictionary':
      return { kind: 'array', inner: entryPattern(node) };
    case 'entry':
      return entryPattern(node);
    case 'boolean':
      return { kind: 'basic', class: 'b' };
    case 'string':
      return { kind: 'string' };
    case 'bytestring':
      return { kind: 'array', inner: { kind: 'basic', class: 'y' } };
    case 'number':
      return numberPattern(node.text);
  }
}

function numberPattern(text: string): Pattern {
  const isDouble =
    text.includes('.') ||
    (!text.startsWith('0x') && text.includes('e')) ||
    text.includes('inf') ||
    text.includes('nan');
  return isDouble ? { kind: 'basic', class: 'd' } : { kind: 'number' };
}

/** The values' types are inferred from the first alone; the others have to fit it. */
function entryPattern(
  node: Span & { readonly keys: readonly Node[]; readonly values: readonly Node[] },
): Pattern {
  const [firstValue] = node.values;
  if (firstValue === undefined) return { kind: 'entry', members: [ANY, ANY] };
  let key = commonPattern(node.keys);
  if (key.kind === 'perhaps') key = key.inner;
  const isBasic =
    key.kind === 'number' || key.kind === 'string' || (key.kind === 'basic' && key.class !== 'v');
  if (!isBasic) throw textError(node.start, node.end, 'dictionary keys must have basic types');
  return { kind: 'entry', members: [key, patternAt(firstValue)] };
}

function commonPattern(nodes: readonly Node[]): Pattern {
  let common = patternAt(nodes[0] as Node);
  for (let i = 1; i < nodes.length; i++) {
    const node = nodes[i] as Node;
    const pattern = patternAt(node);
    const merged = coalesce(common, pattern);
    if (merged === undefined) throw noCommonType(nodes.slice(0, i), node, pattern);
    common = merged;
  }
  return common;
}

function noCommonType(before: readonly Node[], node: Node, pattern: Pattern): Error {
  const other = before.find((candidate) => coalesce(pattern, patternAt(candidate)) === undefined);
  const what = 'unable to find a common type';
  if (other === undefined) return textError(node.start, node.end, what);
  return textError(other.start, other.end, what, node);
}

function valueAt(node: Node, type: VariantType): Value {
  if (node.kind === 'typed') return valueAt(node.child, type);
  if (node.kind === 'maybe') {
    if (type.class !== 'm') throw typeError(node, type);
    return node.child === undefined ? [] : [valueAt(node.child, type.members[0] as VariantType)];
  }
  let base = type;
  let justs = 0;
  for (; base.class === 'm'; justs++) base = base.members[0] as VariantType;
  let value = plainValueAt(node, base);
  for (; justs > 0; justs--) value = [value];
  return value;
}

function plainValueAt(node: Exclude<Node, { kind: 'maybe' | 'typed' }>, type: VariantType): Value {
  switch (node.kind) {
    case 'array':
      if (type.class !== 'a') throw typeError(node, type);
      return arrayValue(node.children, type.members[0] as VariantType);
    case 'tuple':
      if (type.class !== '(') throw typeError(node, type);
      return tupleValue(node, node.children, type);
    case 'variant':
      if (type.class !== 'v') throw typeError(node, type);
      return resolveNode(node.child);
    case 'dictionary': {
      const [entry] = type.members;
      if (type.class !== 'a' || entry?.class !== '{') throw typeError(node, type);
      return node.keys.map((_, i) => entryValue(node, i, entry));
    }
    case 'entry':
      if (type.class !== '{') throw typeError(node, type);
      return entryValue(node, 0, type);
    case 'boolean':
      if (type.class !== 'b') throw typeError(node, type);
      return node.value;
    case 'number': {
      const value = parseNumber(node, node.text, type.class);
      if (value === undefined) throw typeError(node, type);
      return value;
    }
    case 'string':
      return stringValue(node, node.value, type);
    case 'bytestring':
      if (type.text !== 'ay') throw typeError(node, type);
      return bytesOf(byteString(`${node.value}\0`));
  }
}

function arrayValue(children: readonly Node[], element: VariantType): Value {
  const values = children.map((child) => valueAt(child, element));
  return element.class === 'y' ? Uint8Array.from(values as number[]) : values;
}

/** What stands before the first difference in length is looked at first, as its errors come first. */
function tupleValue(node: Span, children: readonly Node[], type: VariantType): Value {
  const values = children.map((child, i) => {
    const member = type.members[i];
    if (member === undefined) throw typeError(node, type);
    return valueAt(child, member);
  });
  if (values.length < type.members.length) throw typeError(node, type);
  return values;
}

function entryValue(
  node: { readonly keys: readonly Node[]; readonly values: readonly Node[] },
  index: number,
  type: VariantType,
): Value {
  const [key, value] = type.members as [VariantType, VariantType];
  return [valueAt(node.keys[index] as Node, key), valueAt(node.values[index] as Node, value)];
}

function stringValue(node: Span, value: ByteString, type: VariantType): Value {
  switch (type.class) {
    case 's':
      if (!isUtf8(value)) throw textError(node.start, node.end, 'string is not UTF-8');
      return value;
    case 'o':
      if (!isObjectPath(value)) throw textError(node.start, node.end, 'not a valid object path');
      return value;
    case 'g':
      if (!isSignature(value)) throw textError(node.start, node.end, 'not a valid signature');
      return value;
    default:
      throw typeError(node, type);
  }
}

function typeError(node: Span, type: VariantType): Error {
  return textError(node.start, node.end, `can not parse as value of type '${type.text}'`);
}
