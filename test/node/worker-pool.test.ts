/** The worker pool, with the workers of the built program. @module */
import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ByteString, byteString } from '../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../src/core/bytes/hex.ts';
import { verityParameters } from '../../src/core/verity/descriptor.ts';
import { verityDigest } from '../../src/core/verity/digest.ts';
import { PooledDigester } from '../../src/node/file-digester.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { ioError } from '../../src/node/io-error.ts';
import type { Job } from '../../src/node/jobs.ts';
import { type FileStamp, packStamp } from '../../src/node/stable-read.ts';
import { AT_FDCWD, statAt } from '../../src/node/syscalls.ts';
import type { VerityBatch, VerityResult } from '../../src/node/verity-job.ts';
import { type PoolOptions, WorkerPool } from '../../src/node/worker-pool.ts';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const workers = new URL('../../dist/', import.meta.url);
const job: Job = { name: 'verity', load: () => import('../../src/node/verity-job.ts') };
const settings = { parameters: verityParameters(), follow: false };

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('pool');
  mkdirSync(`${scratch}/directory`);
  for (let i = 0; i < 50; i++) writeFileSync(`${scratch}/${i}`, vectorBytes(i * 1000));
  writeFileSync(`${scratch}/large`, vectorBytes(20_000_001));
});
afterAll(() => removeDirectory(scratch));

describe.each<[string, PoolOptions]>([
  ['on the calling thread', { threads: 1 }],
  ['with too little work for workers', { threads: 3, workers }],
  ['with workers', { threads: 3, threshold: 0, workers }],
])('a pool %s', (_, options) => {
  it('does every batch', async () => {
    const pool = new WorkerPool<VerityBatch, VerityResult>(job, settings, options);
    const results = Array.from({ length: 50 }, (_, i) => pool.run(batchOf([`${i}`]), 1));
    await pool.flush();
    const digests = (await Promise.all(results)).flat();
    await pool.close();
    expect(digests).toEqual(
      Array.from({ length: 50 }, (_, i) => hexOf(verityDigest(opensslHash, vectorBytes(i * 1000)))),
    );
  });

  it('hands on the error of a batch, and when it knows of it begins no other', async () => {
    const pool = new WorkerPool<VerityBatch, VerityResult>(job, settings, options);
    const failing = pool.run(batchOf(['1', 'none']), 1);
    const others = Array.from({ length: 20 }, () => pool.run(batchOf(['2']), 1));
    let settled = 0;
    for (const other of others) void other.then(() => settled++);
    await pool.flush();
    await expect(failing).rejects.toMatchObject({
      name: 'SealtreeError',
      code: 'io',
      message: 'No such file or directory',
      detail: { errno: 'ENOENT', file: 1 },
    });
    await pool.close();
    if (options.threads === 1) expect(settled).toBe(0);
  });

  it('can be closed without having been used', async () => {
    await new WorkerPool(job, settings, options).close();
  });

  it('digests large files in parts', async () => {
    expect(await digestOf('large', options)).toEqual(
      hexOf(verityDigest(opensslHash, vectorBytes(20_000_001))),
    );
  });

  it('refuses a large file that has changed since', async () => {
    await expect(digestOf('large', options, { mtimeNsec: -1 })).rejects.toThrow(
      'large: file changed while it was read: its times are not what they were',
    );
  });

  it('refuses a file that has become shorter', async () => {
    await expect(digestOf('7', options, { size: 7001 })).rejects.toThrow(
      '7: file changed while it was read: it ends at 7000 bytes, not 7001',
    );
  });
});

function stampOf(name: string): FileStamp {
  return name === 'none' ? stampOf('0') : statAt(AT_FDCWD, byteString(`${scratch}/${name}`));
}

function batchOf(names: string[]): VerityBatch {
  const stamps = new Float64Array(names.length * 5);
  for (const [i, name] of names.entries()) packStamp(stamps, i, stampOf(name));
  const places = names.map((name) => byteString(`${scratch}/${name}`));
  return { files: { places, stamps, contents: new Uint8Array(names.length) } };
}

async function digestOf(
  name: string,
  pool: PoolOptions,
  change: Partial<FileStamp> = {},
): Promise<ByteString> {
  let digest: ByteString | undefined;
  const digester = new PooledDigester<string>({
    pool,
    settle: (_, result) => {
      digest = result;
    },
    refuse: (target, error) => ioError(target, error),
  });
  try {
    digester.add(name, byteString(`${scratch}/${name}`), { ...stampOf(name), ...change });
    await digester.turn();
    await digester.finish();
  } finally {
    await digester.close();
  }
  return digest as ByteString;
}
