/** Two trees on disk, compared path by path: what is there, its mode, owner, xattrs, and every byte of it. @module */
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { byteString } from '../src/core/bytes/byte-string.ts';
import { readXattrs } from '../src/node/syscalls.ts';

export interface Comparison {
  readonly entries: number;
  readonly bytes: number;
  /** One line for each difference, the first hundred of them. */
  readonly differences: readonly string[];
}

export interface Allowance {
  /** Names in the root of the second tree that the first may lack. */
  readonly extra?: readonly string[];
  /** Whether the first tree went through ostree, which drops attributes with an empty value. */
  readonly committed?: boolean;
}

/** Compares everything but times and hard links. */
export function compareTrees(
  a: string,
  b: string,
  { extra = [], committed = false }: Allowance = {},
): Comparison {
  const differences: string[] = [];
  let entries = 0;
  let bytes = 0;
  const pending = [''];
  const differ = (path: string, what: string, left: unknown, right: unknown) => {
    if (differences.length < 100)
      differences.push(`${path || '/'}: ${what}: ${String(left)}, not ${String(right)}`);
  };
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const [left, right] = [bytesPath(a, path), bytesPath(b, path)];
    const [leftStat, rightStat] = [lstatSync(left), lstatSync(right)];
    entries++;
    for (const field of ['mode', 'uid', 'gid'] as const) {
      if (leftStat[field] !== rightStat[field])
        differ(path, field, leftStat[field].toString(8), rightStat[field].toString(8));
    }
    const xattrs = [left, right].map((file) =>
      JSON.stringify(
        readXattrs(byteString(file.toString('latin1'))).filter(([, value]) => !committed || value !== ''),
      ),
    );
    if (xattrs[0] !== xattrs[1]) differ(path, 'xattrs', xattrs[0], xattrs[1]);
    if (leftStat.isDirectory() && rightStat.isDirectory()) {
      const [names, others] = [left, right].map((folder) =>
        readdirSync(folder, { encoding: 'latin1' }).sort(),
      );
      const found = (others ?? []).filter(
        (name) => path !== '' || !extra.includes(name) || names?.includes(name),
      );
      if (names?.join('/') !== found.join('/')) differ(path, 'names', names?.join(' '), found.join(' '));
      for (const name of names ?? []) if (found.includes(name)) pending.push(`${path}/${name}`);
    } else if (leftStat.isSymbolicLink() && rightStat.isSymbolicLink()) {
      const [target, other] = [left, right].map((file) => readlinkSync(file, { encoding: 'latin1' }));
      if (target !== other) differ(path, 'target', target, other);
    } else if (leftStat.isFile() && rightStat.isFile()) {
      if (leftStat.size !== rightStat.size) differ(path, 'size', leftStat.size, rightStat.size);
      else if (!sameContent(left, right)) differ(path, 'content', 'one', 'the other');
      bytes += leftStat.size;
    }
  }
  return { entries, bytes, differences };
}

function bytesPath(root: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(root), Buffer.from(path, 'latin1')]);
}

const chunks = [Buffer.alloc(1 << 20), Buffer.alloc(1 << 20)] as const;

function sameContent(a: Buffer, b: Buffer): boolean {
  const [left, right] = [openSync(a, 'r'), openSync(b, 'r')];
  try {
    for (;;) {
      const [m, n] = [readSync(left, chunks[0]), readSync(right, chunks[1])];
      if (m !== n || chunks[0].compare(chunks[1], 0, n, 0, m) !== 0) return false;
      if (m === 0) return true;
    }
  } finally {
    closeSync(left);
    closeSync(right);
  }
}
