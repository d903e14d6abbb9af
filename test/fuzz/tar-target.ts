/** Changed layer archives: read alike however they are cut, and made into file systems or refused. @module */
import { SealtreeError } from '../../src/core/errors.ts';
import { MAX_CONVERTED_SIZE, tarToExt4 } from '../../src/core/layer/tar-to-ext4.ts';
import { BLOCK } from '../../src/core/tar/header.ts';
import { TarReader } from '../../src/core/tar/reader.ts';
import { mutateBytes } from './mutate.ts';
import type { Random } from './random.ts';
import type { Target } from './targets.ts';

export interface TarSeeds {
  readonly archives: readonly Uint8Array[];
}

interface TarCase {
  readonly archive: Uint8Array;
  /** Bytes of a piece. */
  readonly step: number;
}

/** All of them, 100,000 together. */
export function tarTargets({ archives }: TarSeeds): Target<TarCase>[] {
  const spots = archives.map((archive) => [...archive.keys()].filter((at) => archive[at] !== 0));
  const make = (random: Random): TarCase => {
    const index = random.below(archives.length);
    const archive = mutateBytes(random, archives[index] as Uint8Array, archives, spots[index]);
    // Else most would be refused for their checksums alone.
    if (!random.once(8)) mendChecksums(archive);
    return { archive, step: 1 + random.below(700) };
  };
  const passedHeader = (_: TarCase, error: SealtreeError) => error.detail.header !== 1;
  return [
    { name: 'tar archive', cases: 60_000, make, check: checkReading, passedHeader },
    { name: 'layer', cases: 40_000, make, check: checkLayer, passedHeader },
  ];
}

function checkReading({ archive, step }: TarCase): void {
  const whole = attempt(() => eventsOf(archive, archive.length || 1));
  const inPieces = attempt(() => eventsOf(archive, step));
  if (JSON.stringify(whole) !== JSON.stringify(inPieces))
    throw new Error(`read otherwise in pieces of ${step} bytes`);
  if (whole instanceof SealtreeError) throw whole;
}

/** Everything that is read; content as its sum, since pieces differ. */
function eventsOf(archive: Uint8Array, step: number): unknown[] {
  const events: unknown[] = [];
  let size = 0;
  let sum = 0;
  const reader = new TarReader({
    entry: ({ records, ...entry }) => events.push({ ...entry, records: [...records] }),
    data(piece) {
      size += piece.length;
      for (const byte of piece) sum = (sum * 31 + byte) >>> 0;
    },
    zeros(length) {
      size += length;
    },
    end() {
      events.push([size, sum]);
      size = 0;
      sum = 0;
    },
  });
  for (let at = 0; at < archive.length; at += step) reader.push(archive.subarray(at, at + step));
  reader.finish();
  return events;
}

function checkLayer({ archive, step }: TarCase): void {
  let size = 0;
  const kept = new Set<number>();
  const pieces = function* () {
    for (let at = 0; at < archive.length; at += step) yield archive.subarray(at, at + step);
  };
  const writing = tarToExt4(
    pieces(),
    {
      write(data) {
        size += data.length;
      },
      zeros(length) {
        size += length;
      },
      mayRewrite: (offset) => kept.add(Math.floor(offset / (BLOCK_SIZE * 128))),
      rewrite(offset, data) {
        if (offset + data.length > size || !kept.has(Math.floor(offset / (BLOCK_SIZE * 128))))
          throw new Error(`rewrites what it has not told of, at ${offset}`);
      },
    },
    MAX_CONVERTED_SIZE,
  );
  let next = writing.next();
  while (!next.done) next = writing.next();
  if (next.value * BLOCK_SIZE !== size) throw new Error(`${next.value} blocks, but ${size} bytes`);
}

const BLOCK_SIZE = 4096;
const CHECKSUM: readonly [at: number, length: number] = [148, 8];

/** Gives every header that follows from the sizes the checksum of its bytes. */
function mendChecksums(archive: Uint8Array): void {
  const [field, length] = CHECKSUM;
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const block = archive.subarray(at, at + BLOCK);
    block.fill(32, field, field + length);
    const sum = block.reduce((total, byte) => total + byte, 0);
    if (sum === 32 * length) {
      block.fill(0, field, field + length);
      return;
    }
    block.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `, 'latin1'), field);
    const size = Number.parseInt(Buffer.from(block.subarray(124, 135)).toString('latin1'), 8);
    const isEmpty = '123456'.includes(String.fromCharCode(block[156] as number));
    at += BLOCK + (Number.isFinite(size) && !isEmpty ? Math.ceil(size / BLOCK) * BLOCK : 0);
  }
}

function attempt<T>(action: () => T): T | SealtreeError {
  try {
    return action();
  } catch (error) {
    if (error instanceof SealtreeError) return error;
    throw error;
  }
}
