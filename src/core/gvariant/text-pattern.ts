/**
 * What the text of a value says about its type before the type is known: `[1, 2]` is an array of some kind of number.
 * Values that stand in one array must have a type that fits all of their patterns.
 * Defined by GLib's documentation, "GVariant Text Format", "Type Inference".
 * @module
 */
import type { VariantType } from './type.ts';

export type Pattern =
  /** Nothing known. */
  | { readonly kind: 'any' }
  /** Any numeric type; if nothing else is said, `i`. */
  | { readonly kind: 'number' }
  /** `s`, `o` or `g`; if nothing else is said, `s`. */
  | { readonly kind: 'string' }
  | { readonly kind: 'basic'; readonly class: string }
  /** The inner one, or a maybe of it, or a maybe of a maybe of it, and so on; if nothing else is said, the inner one. */
  | { readonly kind: 'perhaps'; readonly inner: Pattern }
  | { readonly kind: 'maybe' | 'array'; readonly inner: Pattern }
  | { readonly kind: 'tuple' | 'entry'; readonly members: readonly Pattern[] };

export const ANY: Pattern = { kind: 'any' };

/** The pattern that only this type fits. */
export function patternOf(type: VariantType): Pattern {
  const [inner] = type.members;
  if (type.class === 'm') return { kind: 'maybe', inner: patternOf(inner as VariantType) };
  if (type.class === 'a') return { kind: 'array', inner: patternOf(inner as VariantType) };
  if (type.class === '(') return { kind: 'tuple', members: type.members.map(patternOf) };
  if (type.class === '{') return { kind: 'entry', members: type.members.map(patternOf) };
  return { kind: 'basic', class: type.class };
}

/**
 * The most general pattern that only types fit which fit both.
 *
 * @returns undefined if there are none
 */
export function coalesce(left: Pattern, right: Pattern): Pattern | undefined {
  if (left.kind === 'perhaps' && right.kind === 'perhaps')
    return wrap('perhaps', coalesce(left.inner, right.inner));
  if (left.kind === 'any') return right;
  if (right.kind === 'any') return left;
  if (left.kind === 'perhaps') return coalescePerhaps(left, right);
  if (right.kind === 'perhaps') return coalescePerhaps(right, left);
  switch (left.kind) {
    case 'number':
      return right.kind === 'number' || (right.kind === 'basic' && 'ynqiuxthd'.includes(right.class))
        ? right
        : undefined;
    case 'string':
      return right.kind === 'string' || (right.kind === 'basic' && 'sog'.includes(right.class))
        ? right
        : undefined;
    case 'basic':
      if (right.kind === 'basic') return left.class === right.class ? left : undefined;
      return right.kind === 'number' || right.kind === 'string' ? coalesce(right, left) : undefined;
    case 'maybe':
    case 'array':
      return right.kind === left.kind ? wrap(left.kind, coalesce(left.inner, right.inner)) : undefined;
    default:
      return right.kind === left.kind ? coalesceMembers(left.kind, left.members, right.members) : undefined;
  }
}

/** The type string of a pattern where nothing else is said, or undefined if it holds something not known at all. */
export function resolve(pattern: Pattern): string | undefined {
  switch (pattern.kind) {
    case 'any':
      return undefined;
    case 'number':
      return 'i';
    case 'string':
      return 's';
    case 'basic':
      return pattern.class;
    case 'perhaps':
      return resolve(pattern.inner);
    case 'maybe':
    case 'array': {
      const inner = resolve(pattern.inner);
      return inner === undefined ? undefined : (pattern.kind === 'maybe' ? 'm' : 'a') + inner;
    }
    default: {
      const members = pattern.members.map(resolve);
      if (members.includes(undefined)) return undefined;
      return pattern.kind === 'tuple' ? `(${members.join('')})` : `{${members.join('')}}`;
    }
  }
}

function coalescePerhaps(perhaps: { readonly inner: Pattern }, other: Pattern): Pattern | undefined {
  if (other.kind !== 'maybe') return coalesce(perhaps.inner, other);
  return wrap('maybe', coalesce({ kind: 'perhaps', inner: perhaps.inner }, other.inner));
}

function coalesceMembers(
  kind: 'tuple' | 'entry',
  left: readonly Pattern[],
  right: readonly Pattern[],
): Pattern | undefined {
  if (left.length !== right.length) return undefined;
  const members: Pattern[] = [];
  for (let i = 0; i < left.length; i++) {
    const member = coalesce(left[i] as Pattern, right[i] as Pattern);
    if (member === undefined) return undefined;
    members.push(member);
  }
  return { kind, members };
}

function wrap(kind: 'perhaps' | 'maybe' | 'array', inner: Pattern | undefined): Pattern | undefined {
  return inner === undefined ? undefined : { kind, inner };
}
