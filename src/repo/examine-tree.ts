/**
 * Examines every object behind a commit, and tells which paths of the tree use those that are damaged.
 * Each object is read once however often the tree uses it; what is not what its name says is not entered.
 * @module
 */
import { setImmediate } from 'node:timers/promises';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import type { Commit } from '../core/ostree/commit.ts';
import type { ComposefsFile, ComposefsReader } from '../core/ostree/composefs-tree.ts';
import type { Dirmeta } from '../core/ostree/dirmeta.ts';
import type { Dirtree } from '../core/ostree/dirtree.ts';
import type { Job } from '../node/jobs.ts';
import { WorkerPool } from '../node/worker-pool.ts';
import { type ExamineBatch, type ExamineResult, type Fault, saysNothing } from './examine-job.ts';
import type { Repo } from './repo.ts';

export interface ObjectFault extends Fault {
  readonly type: 'dirtree' | 'dirmeta' | 'file';
  readonly checksum: string;
}

export interface ExaminedTree {
  /** Numbers of objects that were examined. */
  readonly counts: { readonly dirtrees: number; readonly dirmetas: number; readonly files: number };
  /** Bytes of file content. */
  readonly bytes: number;
  readonly faults: readonly ObjectFault[];
  /** What was read, for the image of the tree; only of use if there are no faults. */
  readonly reader: ComposefsReader;
  /** What was found of each file object, by its checksum; undefined of one that is damaged. */
  readonly files: ReadonlyMap<string, ComposefsFile | undefined>;
  /** Every path that uses one of these objects, by {@link faultKey}. */
  pathsOf(faults: readonly ObjectFault[]): Map<string, ByteString[]>;
}

const JOB: Job = { name: 'examine', load: () => import('./examine-job.ts') };

/** Files of one batch, and what is taken for the size of one before it is read. */
const BATCH_SIZE = 32;
const FILE_WEIGHT = 64 * 1024;

/** Paths that are listed; a hostile commit can unfold to more than can be listed. */
const PATH_LIMIT = 1 << 20;

/**
 * Examines the tree of a commit.
 *
 * @param onProgress gets how many of the file objects are done, and how many there are
 * @param known what is known of a file object, which is then not read
 */
export async function examineTree(
  repo: Repo,
  commit: Pick<Commit, 'rootDirtree' | 'rootDirmeta'>,
  onProgress: (done: number, total: number) => void = () => {},
  known: (checksum: string) => ComposefsFile | undefined = () => undefined,
): Promise<ExaminedTree> {
  const faults: ObjectFault[] = [];
  const dirtrees = new Map<string, Dirtree>();
  const dirmetas = new Map<string, Dirmeta>();
  const files = new Map<string, ComposefsFile | undefined>();
  const seenDirmetas = new Set<string>();
  const readDirmeta = (checksum: string) => {
    if (seenDirmetas.has(checksum)) return;
    seenDirmetas.add(checksum);
    const found = attempt(() => repo.dirmeta(checksum));
    if ('fault' in found) faults.push({ type: 'dirmeta', checksum, ...found });
    else dirmetas.set(checksum, found.value);
  };
  const seen = new Set([commit.rootDirtree]);
  const pending = [commit.rootDirtree];
  readDirmeta(commit.rootDirmeta);
  for (let checksum = pending.pop(); checksum !== undefined; checksum = pending.pop()) {
    const name = checksum;
    const found = attempt(() => repo.dirtree(name));
    if ('fault' in found) {
      faults.push({ type: 'dirtree', checksum, ...found });
      continue;
    }
    dirtrees.set(checksum, found.value);
    for (const { checksum } of found.value.files) {
      if (!files.has(checksum)) files.set(checksum, known(checksum));
    }
    for (const { dirtree, dirmeta } of found.value.dirs) {
      readDirmeta(dirmeta);
      if (seen.has(dirtree)) continue;
      seen.add(dirtree);
      pending.push(dirtree);
    }
  }
  const bytes = await examineFiles(repo, files, faults, onProgress);
  return {
    counts: { dirtrees: seen.size, dirmetas: seenDirmetas.size, files: files.size },
    bytes,
    faults,
    reader: {
      dirtree: (checksum) => dirtrees.get(checksum) ?? repo.dirtree(checksum),
      dirmeta: (checksum) => dirmetas.get(checksum) ?? repo.dirmeta(checksum),
      file: (checksum) => {
        const file = files.get(checksum);
        if (file === undefined) throw new SealtreeError('mismatch', `${checksum}.file is damaged`);
        return file;
      },
    },
    files,
    pathsOf: (some) => pathsOf(some, commit, dirtrees),
  };
}

/** The name of an object in what {@link ExaminedTree.pathsOf} returns: `CHECKSUM.TYPE`. */
export function faultKey({ checksum, type }: Pick<ObjectFault, 'checksum' | 'type'>): string {
  return `${checksum}.${type}`;
}

async function examineFiles(
  repo: Repo,
  files: Map<string, ComposefsFile | undefined>,
  faults: ObjectFault[],
  onProgress: (done: number, total: number) => void,
): Promise<number> {
  const pool = new WorkerPool<ExamineBatch, ExamineResult>(JOB, { path: repo.path });
  const checksums = [...files].filter(([, file]) => file === undefined).map(([checksum]) => checksum);
  let bytes = 0;
  let done = 0;
  const settle = (batch: readonly string[], results: ExamineResult) => {
    for (const [i, result] of results.entries()) {
      const checksum = batch[i] as string;
      if ('fault' in result) faults.push({ type: 'file', checksum, ...result });
      else {
        files.set(checksum, result);
        bytes += result.size;
      }
    }
    done += batch.length;
    onProgress(done, checksums.length);
  };
  try {
    const running: Promise<void>[] = [];
    for (let at = 0; at < checksums.length; at += BATCH_SIZE) {
      const batch = checksums.slice(at, at + BATCH_SIZE);
      running.push(pool.run(batch, batch.length * FILE_WEIGHT).then((results) => settle(batch, results)));
      if (at % (BATCH_SIZE * 64) === 0) await setImmediate();
    }
    await pool.flush();
    await Promise.all(running);
    return bytes;
  } finally {
    await pool.close();
  }
}

function attempt<T>(read: () => T): { value: T } | Fault {
  try {
    return { value: read() };
  } catch (error) {
    if (!(error instanceof SealtreeError) || saysNothing(error)) throw error;
    const { expected, found } = error.detail;
    return {
      fault: error.message,
      ...(typeof expected === 'string' ? { expected } : {}),
      ...(typeof found === 'string' ? { found } : {}),
    };
  }
}

/** Walks only where there is something to be found. */
function pathsOf(
  faults: readonly ObjectFault[],
  { rootDirtree, rootDirmeta }: Pick<Commit, 'rootDirtree' | 'rootDirmeta'>,
  dirtrees: ReadonlyMap<string, Dirtree>,
): Map<string, ByteString[]> {
  const paths = new Map<string, ByteString[]>(faults.map((fault) => [faultKey(fault), []]));
  let count = 0;
  const use = (checksum: string, type: ObjectFault['type'], path: string) => {
    const list = paths.get(faultKey({ checksum, type }));
    if (list === undefined || count++ >= PATH_LIMIT) return;
    if (list.at(-1) !== path) list.push(byteString(path));
  };
  const affected = affectedDirtrees(faults, dirtrees);
  const pending = [{ path: '', dirtree: rootDirtree, dirmeta: rootDirmeta }];
  for (let next = pending.pop(); next !== undefined && count < PATH_LIMIT; next = pending.pop()) {
    const { path, dirtree, dirmeta } = next;
    use(dirmeta, 'dirmeta', path === '' ? '/' : path);
    use(dirtree, 'dirtree', path === '' ? '/' : path);
    if (!affected.has(dirtree)) continue;
    const content = dirtrees.get(dirtree);
    for (const { name, checksum } of content?.files ?? []) use(checksum, 'file', `${path}/${name}`);
    for (const { name, ...dir } of [...(content?.dirs ?? [])].reverse()) {
      pending.push({ path: `${path}/${name}`, ...dir });
    }
  }
  return paths;
}

/** The dirtrees with a damaged object somewhere below them. */
function affectedDirtrees(
  faults: readonly ObjectFault[],
  dirtrees: ReadonlyMap<string, Dirtree>,
): ReadonlySet<string> {
  const damaged = new Set(faults.map(faultKey));
  const parents = new Map<string, string[]>();
  const affected = new Set<string>();
  const pending: string[] = [];
  const mark = (checksum: string) => {
    if (affected.has(checksum)) return;
    affected.add(checksum);
    pending.push(checksum);
  };
  for (const [checksum, { files, dirs }] of dirtrees) {
    for (const { dirtree } of dirs) {
      const list = parents.get(dirtree);
      if (list === undefined) parents.set(dirtree, [checksum]);
      else list.push(checksum);
    }
    const direct =
      files.some((file) => damaged.has(`${file.checksum}.file`)) ||
      dirs.some((dir) => damaged.has(`${dir.dirmeta}.dirmeta`) || damaged.has(`${dir.dirtree}.dirtree`));
    if (direct) mark(checksum);
  }
  for (let checksum = pending.pop(); checksum !== undefined; checksum = pending.pop()) {
    for (const parent of parents.get(checksum) ?? []) mark(parent);
  }
  return affected;
}
