/** Rounds `value` up to a multiple of `unit`. Plain arithmetic: offsets may pass 2^32. */
export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
