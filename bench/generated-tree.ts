/** Directories of files as a system has them, written to disk: sizes, modes, symlinks and hard links. @module */
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { numbers } from './random.ts';

export interface TreeOptions {
  readonly entries: number;
  readonly seed: number;
  /** Half of the files are smaller than this, a few are thousands of times larger. */
  readonly typicalSize: number;
  readonly largestSize: number;
}

const FILES_PER_DIRECTORY = 11;
const POOL_SIZE = 1 << 20;
const SYLLABLES = [
  'con',
  'de',
  'fig',
  'in',
  'la',
  'lib',
  'mo',
  'ne',
  'per',
  'ra',
  'se',
  'ter',
  'u',
  'ver',
  'x',
  '_',
];

/** Writes the tree to `root`, which must not be there. */
export function writeTree(root: string, { entries, seed, typicalSize, largestSize }: TreeOptions): void {
  const random = numbers(seed);
  const pool = text(random);
  mkdirSync(root);
  const directories = [root];
  for (let written = 1; written < entries; ) {
    const parent = directories[random() % Math.min(directories.length, 400)] as string;
    const directory = `${parent}/${word(random)}-${directories.length.toString(36)}`;
    mkdirSync(directory);
    directories.push(directory);
    written++;
    let last: string | undefined;
    for (let i = 0; i < FILES_PER_DIRECTORY && written < entries; i++, written++) {
      const name = `${directory}/${word(random)}_${i}.${(random() % 46_656).toString(36)}`;
      const kind = random() % 32;
      if (kind < 2) symlinkSync(`../${word(random)}`, name);
      else if (kind === 2 && last !== undefined) linkSync(last, name);
      else {
        writeFileSync(name, content(pool, random, typicalSize, largestSize), {
          mode: kind < 8 ? 0o755 : 0o644,
        });
        last = name;
      }
    }
  }
}

/** A size whose logarithm is spread evenly around that of the typical one, and bytes that no other file has. */
function content(pool: Buffer, random: () => number, typical: number, largest: number): Buffer {
  const deviation = [0, 0, 0, 0].reduce((sum) => sum + random() / 2 ** 32 - 0.5, 0);
  const size = Math.min(largest, Math.round(typical * 2 ** (deviation * 6)));
  const number = random();
  const data = Buffer.alloc(size);
  for (let at = 0; at < size; at += POOL_SIZE) pool.copy(data, at, number % (POOL_SIZE >> 1));
  data.write(`${number}\n`, 0, 'latin1');
  return data;
}

/** Compresses as program text does. */
function text(random: () => number): Buffer {
  const pool = Buffer.alloc(POOL_SIZE);
  for (let at = 0; at < POOL_SIZE; ) {
    at += pool.write(`${word(random)}${random() % 9 === 0 ? ';\n' : ' '}`, at, 'latin1');
    if (random() % 16 === 0 && at < POOL_SIZE - 8) at = pool.writeUInt32LE(random(), at);
  }
  return pool;
}

function word(random: () => number): string {
  const number = random();
  let made = '';
  for (let i = 0; i < 2 + (number % 3); i++) made += SYLLABLES[(number >>> (4 + 4 * i)) % SYLLABLES.length];
  return made;
}
