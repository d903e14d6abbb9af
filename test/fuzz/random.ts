/** Random choices that come out the same for the same seed. @module */

export interface Random {
  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number;
  /** True once in `n` calls. */
  once(n: number): boolean;
  pick<T>(items: readonly T[]): T;
}

/** The seed of this run: SEALTREE_FUZZ_SEED, or always the same one. */
export const FUZZ_SEED = Number(process.env.SEALTREE_FUZZ_SEED ?? 20261121);

/** @param key further numbers that choose the sequence, such as those of a target and a case */
export function makeRandom(seed: number, ...key: number[]): Random {
  let state = mix(seed >>> 0);
  for (const part of key) state = mix((state ^ part) >>> 0);
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    return mix(state);
  };
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit);
  return {
    below,
    once: (n) => below(n) === 0,
    pick(items) {
      if (items.length === 0) throw new Error('nothing to pick from');
      return items[below(items.length)] as (typeof items)[number];
    },
  };
}

function mix(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}
