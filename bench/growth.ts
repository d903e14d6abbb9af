/** What growth comes to: time and memory of an entry among many, by those among few. @module */
import { type Measured, perEntry } from './goals.ts';

export interface Point {
  readonly entries: number;
  /** Wall time and peak memory of an entry. */
  readonly microseconds: number;
  readonly bytes: number;
}

export interface Curve {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface GrowthVerdict {
  readonly name: string;
  /** Of the largest input by the smallest. */
  readonly time: number;
  readonly memory: number;
}

export const TIME_LIMIT = 1.5;
export const MEMORY_LIMIT = 1.2;

/** The curves of sealtree, and of the real tools where they were measured, each by number of entries. */
export function growthCurves(measured: readonly Measured[]): Curve[] {
  const names = [...new Set(measured.flatMap(({ row }) => row.growth ?? []))];
  return names.flatMap((name) => {
    const rows = measured.filter(({ row }) => row.growth === name);
    const curve = (who: 'ours' | 'theirs'): Point[] =>
      rows.flatMap((row) => {
        const value = perEntry(row, who);
        return value === undefined ? [] : [{ entries: row.size.entries as number, ...value }];
      });
    const theirs = curve('theirs');
    return [
      { name, points: curve('ours') },
      ...(theirs.length === 0 ? [] : [{ name: `${name}, the real tool`, points: theirs }]),
    ];
  });
}

/** @returns undefined for a curve of one point */
export function judgeGrowth({ name, points }: Curve): GrowthVerdict | undefined {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || first === last) return undefined;
  return { name, time: last.microseconds / first.microseconds, memory: last.bytes / first.bytes };
}
