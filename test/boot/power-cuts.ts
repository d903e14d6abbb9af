/** Power cuts in a recording of what a disk was told: where, what is left of the disk, and what is found on it. @module */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { type BootKind, type Parts, partsOf } from './boot-menu.ts';
import { copySparse, MARK_OFFSET, type Recording } from './power-system.ts';
import { type Judgement, judgeParts, onDisk } from './whole-systems.ts';
import { type Cut, cutPower, durable, findMark, type LogEntry, type Random, replay } from './write-log.ts';

export interface JudgedCut extends Cut, Judgement {
  /** The deploy that was being made, by the version. */
  readonly during: string;
}

export interface CutOptions {
  /** What was being done: names of marks. */
  readonly during: readonly string[];
  /** Of cuts, about as many in each. */
  readonly count: number;
  readonly random: Random;
  /** A disk that says that it has flushed, and has not. */
  readonly lies?: boolean;
}

/** Lets the power go at random places, and judges what is left each time. */
export function judgeCuts(
  { disk, log }: Recording,
  kind: BootKind,
  { during, count, random, lies = false }: CutOptions,
): JudgedCut[] {
  const places = during
    .flatMap((name, index) => {
      const { begin, end } = phase(log, name);
      const share =
        Math.floor((count * (index + 1)) / during.length) - Math.floor((count * index) / during.length);
      // From one flush to the next there may be one write or hundreds.
      const flushes = Array.from(log.keys()).filter((at) => at >= begin && at <= end && log[at] === 'flush');
      return Array.from({ length: share }, () => {
        const at = Math.floor(random() * flushes.length);
        const before = flushes[at - 1] ?? begin;
        return { name, begin, place: before + 1 + Math.floor(random() * ((flushes[at] ?? end) - before)) };
      });
    })
    .sort((a, b) => a.place - b.place);
  const partitions = onDisk(disk, partsOf);
  const base: Parts = { boot: `${disk}.boot`, root: `${disk}.root` };
  const left: Parts = { boot: `${disk}.left.boot`, root: `${disk}.left.root` };
  for (const name of ['boot', 'root'] as const) takeOut(disk, partitions[name], base[name]);
  let done = 0;
  const known = new Map<string, Judgement>();
  const judged = places.map(({ name, begin, place }) => {
    const certain = lies ? begin : durable(log, place);
    const cut = cutPower(log, place, random, certain);
    const state = stateOf(log, certain, cut);
    const judgement = known.get(state);
    if (judgement !== undefined) return { ...cut, ...judgement, during: name };
    for (const part of ['boot', 'root'] as const) {
      replay(base[part], partitions[part], log.slice(done, certain));
      copySparse(base[part], left[part]);
      replay(left[part], partitions[part], cut.survived);
    }
    done = certain;
    const found = judgeParts(left, kind);
    known.set(state, found);
    return { ...cut, ...found, during: name };
  });
  for (const path of [...Object.values(base), ...Object.values(left)]) rmSync(path);
  return judged;
}

/** The same text for the same content of the disk, which need not be judged twice. */
function stateOf(log: readonly LogEntry[], certain: number, { entries, survived }: Cut): string {
  const writesIn = (start: number, end: number) => log.slice(start, end).filter((entry) => entry !== 'flush');
  const pending = writesIn(certain, entries);
  const all =
    pending.length === survived.length && pending.every((write, index) => write === survived[index]);
  if (all) return String(writesIn(0, entries).length);
  return [
    writesIn(0, certain).length,
    ...survived.map(({ data }) => `${data.byteOffset}+${data.length}`),
  ].join();
}

/** The disk as the power left it. @returns its path */
export function diskAfter({ disk, log }: Recording, { entries, survived }: Cut): string {
  const path = `${disk}.${entries}`;
  copySparse(disk, path);
  replay(path, { start: 0, size: Number.POSITIVE_INFINITY }, log.slice(0, durable(log, entries)));
  replay(path, { start: 0, size: Number.POSITIVE_INFINITY }, survived);
  return path;
}

/** Where something begins and ends, by entries of the log. */
export function phase(log: readonly LogEntry[], name: string): { begin: number; end: number } {
  return {
    begin: findMark(log, MARK_OFFSET, `begin ${name}`),
    end: findMark(log, MARK_OFFSET, `end ${name}`),
  };
}

function takeOut(disk: string, { start, size }: { start: number; size: number }, target: string): void {
  const [skip, count] = [start / 2 ** 20, size / 2 ** 20];
  const words = [`if=${disk}`, `of=${target}`, 'bs=1M', `skip=${skip}`, `count=${count}`, 'conv=sparse'];
  const { status, stderr } = spawnSync('dd', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}
